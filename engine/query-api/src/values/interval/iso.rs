//! Intervals in the forms of ISO 8601: with designators (`P1Y2DT3H`), basic (`P00021015T103020`), extended (`P0002-10-15T10:30:20`).

use super::IntervalFault;
use super::parts::{HOUR, MINUTE, Parts, SECOND};

/// What ends a number: a designator, a separator, or the text.
type Ended = (i64, f64, Option<u8>);

struct Reader<'a> {
    rest: &'a str,
    parts: Parts,
}

/// Reads a whole text.
pub(super) fn iso_8601(text: &str) -> Result<Parts, IntervalFault> {
    let rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(IntervalFault::Syntax)?;
    let mut reader = Reader { rest, parts: Parts::default() };
    let goes_on = reader.rest.starts_with('T') || reader.dates()?;
    if goes_on {
        // Further letters T begin the time again.
        while let Some(rest) = reader.rest.strip_prefix('T') {
            reader.rest = rest;
            reader.times()?;
        }
    }
    Ok(reader.parts)
}

impl Reader<'_> {
    /// What stands before the time; whether one follows.
    fn dates(&mut self) -> Result<bool, IntervalFault> {
        let mut is_first = true;
        while !self.rest.is_empty() && !self.rest.starts_with('T') {
            let (at, (value, fraction, end)) = (self.rest, self.number()?);
            match end {
                Some(b'Y') => self.parts.add_years(value, fraction, 1)?,
                Some(b'M') => self.parts.add_months(value, fraction)?,
                Some(b'W') => self.parts.add_weeks(value, fraction)?,
                Some(b'D') => self.parts.add_days(value, fraction)?,
                None | Some(b'T') if integer_width(at) == 8 && is_first => {
                    self.parts.add_years(value / 10_000, 0.0, 1)?;
                    self.parts.add_months(value / 100 % 100, 0.0)?;
                    self.parts.add_days(value % 100, fraction)?;
                    return Ok(end.is_some());
                }
                None | Some(b'T' | b'-') if is_first => {
                    self.parts.add_years(value, fraction, 1)?;
                    return if end == Some(b'-') { self.extended_date() } else { Ok(end.is_some()) };
                }
                _ => return Err(IntervalFault::Syntax),
            }
            is_first = false;
        }
        Ok(!self.rest.is_empty())
    }

    /// Months, and maybe days, behind the years of the extended form.
    fn extended_date(&mut self) -> Result<bool, IntervalFault> {
        let (value, fraction, end) = self.number()?;
        self.parts.add_months(value, fraction)?;
        if end != Some(b'-') {
            return ends(end);
        }
        let (value, fraction, end) = self.number()?;
        self.parts.add_days(value, fraction)?;
        ends(end)
    }

    /// What stands behind the letter T.
    fn times(&mut self) -> Result<(), IntervalFault> {
        let mut is_first = true;
        while !self.rest.is_empty() && !self.rest.starts_with('T') {
            let (at, (value, fraction, end)) = (self.rest, self.number()?);
            match end {
                Some(b'H') => self.parts.add_micros(value, fraction, HOUR)?,
                Some(b'M') => self.parts.add_micros(value, fraction, MINUTE)?,
                Some(b'S') => self.parts.add_micros(value, fraction, SECOND)?,
                None if integer_width(at) == 6 && is_first => {
                    self.parts.add_micros(value / 10_000, 0.0, HOUR)?;
                    self.parts.add_micros(value / 100 % 100, 0.0, MINUTE)?;
                    self.parts.add_micros(value % 100, 0.0, SECOND)?;
                    return self.parts.add_part(fraction, 1);
                }
                None | Some(b':') if is_first => {
                    self.parts.add_micros(value, fraction, HOUR)?;
                    return if end.is_none() { Ok(()) } else { self.extended_time() };
                }
                _ => return Err(IntervalFault::Syntax),
            }
            is_first = false;
        }
        Ok(())
    }

    fn extended_time(&mut self) -> Result<(), IntervalFault> {
        let (value, fraction, end) = self.number()?;
        self.parts.add_micros(value, fraction, MINUTE)?;
        match end {
            None => return Ok(()),
            Some(b':') => {}
            Some(_) => return Err(IntervalFault::Syntax),
        }
        let (value, fraction, end) = self.number()?;
        self.parts.add_micros(value, fraction, SECOND)?;
        if end.is_none() { Ok(()) } else { Err(IntervalFault::Syntax) }
    }
}

impl Reader<'_> {
    /// A number with its sign, point and exponent, its whole part and the rest of it, and the byte behind it, which is taken but for a T.
    fn number(&mut self) -> Result<Ended, IntervalFault> {
        if !self.rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')) {
            return Err(IntervalFault::Syntax);
        }
        let length = number_length(self.rest);
        let value: f64 = self.rest[..length].parse().map_err(|_| IntervalFault::Syntax)?;
        if !(-1e15..=1e15).contains(&value) {
            return Err(IntervalFault::Field);
        }
        self.rest = &self.rest[length..];
        let end = self.rest.bytes().next();
        if let Some(byte) = end.filter(|byte| *byte != b'T') {
            if !byte.is_ascii() {
                return Err(IntervalFault::Syntax);
            }
            self.rest = &self.rest[1..];
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
        let whole = value.trunc() as i64;
        Ok((whole, value - value.trunc(), end))
    }
}

/// Whether a time follows.
const fn ends(end: Option<u8>) -> Result<bool, IntervalFault> {
    match end {
        None => Ok(false),
        Some(b'T') => Ok(true),
        Some(_) => Err(IntervalFault::Syntax),
    }
}

/// Bytes of the number that a text begins with.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = usize::from(bytes.first() == Some(&b'-'));
    end += digits(end);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + sign);
        end += if exponent == 0 { 0 } else { 1 + sign + exponent };
    }
    end
}

/// Digits before a point.
fn integer_width(text: &str) -> usize {
    text.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count()
}
