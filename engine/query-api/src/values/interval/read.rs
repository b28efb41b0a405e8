//! Texts of intervals, as Postgres reads them: its own forms and SQL's from the last piece to the first, else ISO 8601's.

use super::iso::iso_8601;
use super::parts::{HOUR, MINUTE, Parts, SECOND};
use super::pieces::{Look, Piece, pieces};
use super::{IntervalFault, IntervalRead};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    /// A unit of dates that intervals do not have.
    Foreign,
}

impl Unit {
    /// One bit for each, so that none comes twice.
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

const SECONDS: u16 = Unit::Second.bit() | Unit::Millisecond.bit() | Unit::Microsecond.bit();
const TIME: u16 = Unit::Hour.bit() | Unit::Minute.bit() | SECONDS;

/// A word's letters that Postgres looks at.
const WORD_MOST: usize = 10;

fn unit(word: &str) -> Option<Unit> {
    Some(match word.get(..WORD_MOST).unwrap_or(word) {
        "c" | "cent" | "centuries" | "century" => Unit::Century,
        "d" | "day" | "days" => Unit::Day,
        "dec" | "decade" | "decades" | "decs" => Unit::Decade,
        "h" | "hour" | "hours" | "hr" | "hrs" => Unit::Hour,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "microsecon" | "us" | "usec" | "usecond" | "useconds" | "usecs" => Unit::Microsecond,
        "mil" | "millennia" | "millennium" | "mils" => Unit::Millennium,
        "millisecon" | "ms" | "msec" | "msecond" | "mseconds" | "msecs" => Unit::Millisecond,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "qtr" | "quarter" | "timezone" | "timezone_h" | "timezone_m" => Unit::Foreign,
        "s" | "sec" | "second" | "seconds" | "secs" => Unit::Second,
        "w" | "week" | "weeks" => Unit::Week,
        "y" | "year" | "years" | "yr" | "yrs" => Unit::Year,
        _ => return None,
    })
}

/// Reads an interval.
///
/// # Errors
/// What is wrong with the text.
pub fn read(text: &str) -> Result<IntervalRead, IntervalFault> {
    let read = match pieces(text).and_then(|pieces| parts_of(&pieces)) {
        Err(IntervalFault::Syntax) => iso_8601(text),
        read => read,
    };
    read?.interval()
}

/// From the last piece to the first, so that a unit is known before its number.
fn parts_of(pieces: &[Piece]) -> Result<Parts, IntervalFault> {
    let mut parts = Parts::default();
    let (mut unit_of_next, mut seen, mut ago) = (None, 0_u16, false);
    for piece in pieces.iter().rev() {
        let found = match piece.look {
            Look::Time => {
                parts.micros = time(&piece.text)?;
                unit_of_next = Some(Unit::Day);
                TIME
            }
            Look::Signed if piece.text.contains(':') && time(&piece.text[1..]).is_ok() => {
                let micros = time(&piece.text[1..])?;
                parts.micros = if piece.text.starts_with('-') { -micros } else { micros };
                unit_of_next = Some(Unit::Day);
                TIME
            }
            Look::Signed | Look::Date | Look::Number => {
                number(&piece.text, unit_of_next.unwrap_or(Unit::Second), &mut unit_of_next, &mut parts)?
            }
            Look::Word | Look::Special if piece.text == "ago" => {
                (ago, unit_of_next) = (true, Some(Unit::Foreign));
                0
            }
            Look::Word | Look::Special => {
                unit_of_next = Some(unit(&piece.text).ok_or(IntervalFault::Syntax)?);
                0
            }
        };
        if seen & found != 0 {
            return Err(IntervalFault::Syntax);
        }
        seen |= found;
    }
    if seen == 0 {
        return Err(IntervalFault::Syntax);
    }
    if ago {
        parts.negate()?;
    }
    Ok(parts)
}

/// A number of a unit, or years and months; which bits it is.
fn number(text: &str, unit: Unit, unit_of_next: &mut Option<Unit>, parts: &mut Parts) -> Result<u16, IntervalFault> {
    let (value, rest) = whole(text)?;
    let negative = text.starts_with('-');
    let (value, fraction, unit) = if let Some(months) = rest.strip_prefix('-') {
        let (months, rest) = whole(months)?;
        if !(0..12).contains(&months) {
            return Err(IntervalFault::Field);
        }
        if !rest.is_empty() {
            return Err(IntervalFault::Syntax);
        }
        let months = if negative { -months } else { months };
        let value = value.checked_mul(12).and_then(|v| v.checked_add(months)).ok_or(IntervalFault::Field)?;
        (value, 0.0, Unit::Month)
    } else if rest.is_empty() {
        (value, 0.0, unit)
    } else {
        let part = fraction(rest)?;
        (value, if negative { -part } else { part }, unit)
    };
    *unit_of_next = Some(unit);
    match unit {
        Unit::Microsecond => parts.add_micros(value, fraction, 1)?,
        Unit::Millisecond => parts.add_micros(value, fraction, 1_000)?,
        Unit::Second => {
            parts.add_micros(value, fraction, SECOND)?;
            // A fraction of seconds is milliseconds and microseconds, too.
            return Ok(if fraction == 0.0 { unit.bit() } else { SECONDS });
        }
        Unit::Minute => parts.add_micros(value, fraction, MINUTE)?,
        Unit::Hour => {
            parts.add_micros(value, fraction, HOUR)?;
            *unit_of_next = Some(Unit::Day);
        }
        Unit::Day => parts.add_days(value, fraction)?,
        Unit::Week => parts.add_weeks(value, fraction)?,
        Unit::Month => parts.add_months(value, fraction)?,
        Unit::Year => parts.add_years(value, fraction, 1)?,
        Unit::Decade => parts.add_years(value, fraction, 10)?,
        Unit::Century => parts.add_years(value, fraction, 100)?,
        Unit::Millennium => parts.add_years(value, fraction, 1_000)?,
        Unit::Foreign => return Err(IntervalFault::Syntax),
    }
    Ok(unit.bit())
}

/// The whole number that a text begins with, 0 where it has none, and the rest.
fn whole(text: &str) -> Result<(i64, &str), IntervalFault> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok((0, text));
    }
    let (number, rest) = text.split_at(sign + digits);
    Ok((number.parse().map_err(|_| IntervalFault::Field)?, rest))
}

/// A point and digits. A point alone is nothing.
fn fraction(text: &str) -> Result<f64, IntervalFault> {
    let digits = text.strip_prefix('.').ok_or(IntervalFault::Syntax)?;
    if digits.is_empty() {
        return Ok(0.0);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IntervalFault::Syntax);
    }
    text.parse().map_err(|_| IntervalFault::Syntax)
}

/// `h:m[:s[.f]]` or `m:s.f` in microseconds.
fn time(text: &str) -> Result<i64, IntervalFault> {
    let (first, rest) = whole(text)?;
    let (second, rest) = whole(rest.strip_prefix(':').ok_or(IntervalFault::Syntax)?)?;
    let (hours, minutes, seconds, part) = match rest.as_bytes().first() {
        None => (first, second, 0, 0.0),
        Some(b'.') => (0, first, second, fraction(rest)?),
        Some(b':') => {
            let (seconds, rest) = whole(&rest[1..])?;
            let part = if rest.is_empty() { 0.0 } else { fraction(rest)? };
            (first, second, seconds, part)
        }
        Some(_) => return Err(IntervalFault::Syntax),
    };
    let fits = hours >= 0 && (0..60).contains(&minutes) && (0..=60).contains(&seconds);
    if !fits {
        return Err(IntervalFault::Field);
    }
    let mut parts = Parts::default();
    parts.add_micros(hours, 0.0, HOUR)?;
    parts.add_micros(minutes, 0.0, MINUTE)?;
    parts.add_micros(seconds, 0.0, SECOND)?;
    #[expect(clippy::cast_possible_truncation, reason = "less than a second")]
    let part = (part * 1e6).round_ties_even() as i64;
    parts.micros.checked_add(part).ok_or(IntervalFault::Field)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PostgreSQL 15's answers.
    #[test]
    fn intervals_are_read_as_postgresql_does() {
        let check = |text: &str, months, days, micros| {
            assert_eq!(read(text), Ok(IntervalRead { months, days, micros }), "{text}");
        };
        check("1 year 2 mons 3 days 04:05:06.789", 14, 3, 14_706_789_000);
        check("-1 days +04:05:06", 0, -1, 14_706_000_000);
        check("1 hour 30 minutes ago", 0, 0, -5_400_000_000);
        check("1 month - 1 second", 1, 0, -1_000_000);
        check("1.5 months", 1, 15, 0);
        check("2h", 0, 0, 7_200_000_000);
        check("90", 0, 0, 90_000_000);
        check("P1Y2M3DT4H5M6.5S", 14, 3, 14_706_500_000);
        check("P00021015T103020", 34, 15, 37_820_000_000);
        check("P0002-10-15T10:30:20", 34, 15, 37_820_000_000);
        check("P0002T1S", 24, 0, 1_000_000);
        check("P10.5e4Y", 1_260_000, 0, 0);
        check("y5", 0, 0, 5_000_000);
        check("-2147483648 months -2147483648 days -9223372036854775808 us", i32::MIN, i32::MIN, i64::MIN);
    }

    #[test]
    fn others_are_refused_as_there() {
        let check = |text: &str, fault| assert_eq!(read(text), Err(fault), "{text}");
        for text in [
            "",
            "P",
            "p1d",
            "1 parsec",
            "1:2:3:4",
            "five days",
            "1 quarter",
            "5.5 seconds 3 milliseconds",
            "1:20:05 5 microseconds",
            "123 2:03 -2:04",
            "1 day 1 day",
            "1 ago",
        ] {
            check(text, IntervalFault::Syntax);
        }
        for text in ["3000000000 days", "P2147483648", "PT2562047789", "P0.1-2147483647-00", "2562047788.1:0:54.775807"]
        {
            check(text, IntervalFault::Field);
        }
        check("P1-2147483647-2147483647", IntervalFault::Range);
    }
}
