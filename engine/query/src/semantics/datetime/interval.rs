//! Texts of intervals, as Postgres reads them (its own forms, SQL's and ISO 8601's), and what it prints.

use super::Wrong;
use super::parse::fraction_micros;
use crate::semantics::zone::{DAY, SECOND};

/// Months, days and microseconds, which Postgres keeps apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::semantics) struct Interval {
    pub(in crate::semantics) months: i64,
    pub(in crate::semantics) days: i64,
    pub(in crate::semantics) micros: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Months(i64),
    Days(i64),
    Micros(i64),
}

/// Units by their names, singular; an `s` may follow words of three letters and more.
const UNITS: &[(&str, Unit)] = &[
    ("millennium", Unit::Months(12_000)),
    ("millennia", Unit::Months(12_000)),
    ("mil", Unit::Months(12_000)),
    ("century", Unit::Months(1_200)),
    ("centurie", Unit::Months(1_200)),
    ("cent", Unit::Months(1_200)),
    ("c", Unit::Months(1_200)),
    ("decade", Unit::Months(120)),
    ("dec", Unit::Months(120)),
    ("year", Unit::Months(12)),
    ("yr", Unit::Months(12)),
    ("y", Unit::Months(12)),
    ("month", Unit::Months(1)),
    ("mon", Unit::Months(1)),
    ("week", Unit::Days(7)),
    ("w", Unit::Days(7)),
    ("day", Unit::Days(1)),
    ("d", Unit::Days(1)),
    ("hour", Unit::Micros(3_600 * SECOND)),
    ("hr", Unit::Micros(3_600 * SECOND)),
    ("h", Unit::Micros(3_600 * SECOND)),
    ("minute", Unit::Micros(60 * SECOND)),
    ("min", Unit::Micros(60 * SECOND)),
    ("m", Unit::Micros(60 * SECOND)),
    ("second", Unit::Micros(SECOND)),
    ("sec", Unit::Micros(SECOND)),
    ("s", Unit::Micros(SECOND)),
    ("millisecond", Unit::Micros(1_000)),
    ("msec", Unit::Micros(1_000)),
    ("ms", Unit::Micros(1_000)),
    ("microsecond", Unit::Micros(1)),
    ("usec", Unit::Micros(1)),
    ("us", Unit::Micros(1)),
];

fn unit(word: &str) -> Option<Unit> {
    let lower = word.to_ascii_lowercase();
    let find = |name: &str| UNITS.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit);
    find(&lower).or_else(|| lower.strip_suffix('s').filter(|singular| singular.len() > 1).and_then(find))
}

/// Reads an interval.
pub(in crate::semantics) fn parse(text: &str) -> Result<Interval, Wrong> {
    read(text).map_err(|wrong| if wrong == Wrong::Range { Wrong::Span } else { wrong })
}

fn read(text: &str) -> Result<Interval, Wrong> {
    let text = text.trim();
    if let Some(iso) = text.strip_prefix(['P', 'p']) {
        return iso_8601(iso);
    }
    let mut reader = Reader { rest: text, found: Interval::default(), seen: Vec::new(), pending: None };
    reader.read()?;
    reader.found.within()
}

struct Reader<'a> {
    rest: &'a str,
    found: Interval,
    /// Units already given: none may come twice.
    seen: Vec<Unit>,
    /// A number that waits for its unit.
    pending: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), Wrong> {
        let (mut any, mut ago) = (false, false);
        self.rest = self.rest.trim_start_matches('@');
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
            if self.rest.is_empty() {
                break;
            }
            if ago {
                return Err(Wrong::Syntax);
            }
            let word = self.take(|c| c.is_ascii_alphabetic());
            if !word.is_empty() {
                if word.eq_ignore_ascii_case("ago") {
                    ago = true;
                    continue;
                }
                let (number, unit) = (self.pending.take().ok_or(Wrong::Syntax)?, unit(word).ok_or(Wrong::Syntax)?);
                if self.seen.contains(&unit) {
                    return Err(Wrong::Syntax);
                }
                self.seen.push(unit);
                self.found.add(number, unit)?;
                continue;
            }
            let piece = self.take(|c| matches!(c, '0'..='9' | '.' | ':' | '-' | '+'));
            if piece.is_empty() {
                return Err(Wrong::Syntax);
            }
            any = true;
            self.number(piece)?;
        }
        // A number at the end without a unit counts seconds.
        if let Some(number) = self.pending.take() {
            self.found.add(number, Unit::Micros(SECOND))?;
        }
        if !any {
            return Err(Wrong::Syntax);
        }
        if ago {
            self.found = Interval { months: -self.found.months, days: -self.found.days, micros: -self.found.micros };
        }
        Ok(())
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn number(&mut self, piece: &'a str) -> Result<(), Wrong> {
        // A number before a time or a year-month pair counts days.
        if piece.contains(':') {
            if let Some(days) = self.pending.take() {
                self.found.add(days, Unit::Days(1))?;
            }
            self.found.micros = self.found.micros.checked_add(clock(piece)?).ok_or(Wrong::Range)?;
            return Ok(());
        }
        let (negative, body) = signed(piece);
        if let Some((years, months)) = body.split_once('-') {
            let count = counted;
            let (years, months) = (count(years)?, count(months)?);
            if months > 11 || self.pending.is_some() {
                return Err(Wrong::Field);
            }
            let total = years.checked_mul(12).and_then(|y| y.checked_add(months)).ok_or(Wrong::Range)?;
            self.found.months =
                self.found.months.checked_add(if negative { -total } else { total }).ok_or(Wrong::Range)?;
            return Ok(());
        }
        if self.pending.replace(piece).is_some() {
            return Err(Wrong::Syntax);
        }
        Ok(())
    }
}

/// Digits as a number; too many are out of range.
fn counted(digits: &str) -> Result<i64, Wrong> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Wrong::Syntax);
    }
    digits.parse().map_err(|_| Wrong::Range)
}

fn signed(piece: &str) -> (bool, &str) {
    match piece.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, piece.strip_prefix('+').unwrap_or(piece)),
    }
}

/// `[-]h:m[:s[.f]]` in microseconds.
fn clock(piece: &str) -> Result<i64, Wrong> {
    let (negative, body) = signed(piece);
    let mut parts = body.split(':');
    let (hours, minutes, seconds) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or("0"));
    if parts.next().is_some() {
        return Err(Wrong::Syntax);
    }
    // Two parts of which the second has a point are minutes and seconds.
    let (hours, minutes, seconds) =
        if minutes.contains('.') { ("0", hours, minutes) } else { (hours, minutes, seconds) };
    let count = counted;
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let (hours, minutes, whole) = (count(hours)?, count(minutes)?, count(whole)?);
    if minutes > 59 || whole > 59 {
        return Err(Wrong::Field);
    }
    let micros = hours
        .checked_mul(3_600)
        .and_then(|h| h.checked_add(minutes * 60 + whole))
        .and_then(|s| s.checked_mul(SECOND))
        .and_then(|m| m.checked_add(fraction_micros(fraction)?))
        .ok_or(Wrong::Range)?;
    Ok(if negative { -micros } else { micros })
}

impl Interval {
    /// Adds `number` units; fractions go on to the next smaller field, as Postgres lets them.
    fn add(&mut self, number: &str, unit: Unit) -> Result<(), Wrong> {
        let (negative, body) = signed(number);
        let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
        let whole: i64 = if whole.is_empty() { 0 } else { counted(whole)? };
        if !fraction.bytes().all(|b| b.is_ascii_digit()) || body == "." {
            return Err(Wrong::Syntax);
        }
        let sign = if negative { -1 } else { 1 };
        let part: f64 =
            if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().map_err(|_| Wrong::Syntax)? };
        let scaled = |factor: i64| whole.checked_mul(factor).and_then(|n| n.checked_mul(sign)).ok_or(Wrong::Range);
        let plus = |a: i64, b: i64| a.checked_add(b).ok_or(Wrong::Range);
        match unit {
            Unit::Months(1) => {
                self.months = plus(self.months, scaled(1)?)?;
                self.add_days(part * 30.0, sign)?;
            }
            Unit::Months(factor) => {
                let months = rounded(part * factor as f64)?;
                self.months = plus(self.months, plus(scaled(factor)?, sign * months)?)?;
            }
            Unit::Days(factor) => {
                self.days = plus(self.days, scaled(factor)?)?;
                self.add_days(part * factor as f64, sign)?;
            }
            Unit::Micros(factor) => {
                let micros = rounded(part * factor as f64)?;
                self.micros = plus(self.micros, plus(scaled(factor)?, sign * micros)?)?;
            }
        }
        Ok(())
    }

    /// Days with a fraction, which becomes time.
    fn add_days(&mut self, days: f64, sign: i64) -> Result<(), Wrong> {
        let whole = rounded(days.trunc())?;
        let micros = rounded((days - days.trunc()) * DAY as f64)?;
        self.days = self.days.checked_add(sign * whole).ok_or(Wrong::Range)?;
        self.micros = self.micros.checked_add(sign * micros).ok_or(Wrong::Range)?;
        Ok(())
    }

    /// Itself, if each field fits its type.
    pub(in crate::semantics) fn within(self) -> Result<Self, Wrong> {
        let fits = i32::try_from(self.months).is_ok()
            && i32::try_from(self.days).is_ok()
            && self.micros.checked_mul(1_000).is_some();
        if fits { Ok(self) } else { Err(Wrong::Range) }
    }

    /// Microseconds of a month of 30 days, a day of 24 hours: what intervals are compared by.
    pub(in crate::semantics) const fn span(self) -> i128 {
        (self.months as i128 * 30 + self.days as i128) * DAY as i128 + self.micros as i128
    }

    /// Postgres' text of it.
    pub(in crate::semantics) fn text(self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut before_negative = false;
        let mut push = |value: i64, one: &str, many: &str| {
            if value != 0 {
                let plus = if before_negative && value > 0 { "+" } else { "" };
                parts.push(format!("{plus}{value} {}", if value == 1 { one } else { many }));
                before_negative = value < 0;
            }
        };
        push(self.months / 12, "year", "years");
        push(self.months % 12, "mon", "mons");
        push(self.days, "day", "days");
        if self.micros != 0 || parts.is_empty() {
            let magnitude = self.micros.unsigned_abs();
            let second = SECOND.unsigned_abs();
            let (seconds, fraction) = (magnitude / second, magnitude % second);
            let sign = match self.micros {
                m if m < 0 => "-",
                _ if before_negative => "+",
                _ => "",
            };
            let mut text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
            if fraction != 0 {
                text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
            }
            parts.push(text);
        }
        parts.join(" ")
    }
}

fn rounded(value: f64) -> Result<i64, Wrong> {
    if !value.is_finite() || value.abs() > 9e18 {
        return Err(Wrong::Range);
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range by the check above")]
    let whole = value.round_ties_even() as i64;
    Ok(whole)
}

/// What follows the `P`: designators, or the alternative form `2024-02-29T12:34:56`.
fn iso_8601(text: &str) -> Result<Interval, Wrong> {
    let mut found = Interval::default();
    let mut rest = text;
    let (mut in_time, mut any) = (false, false);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(['T', 't']) {
            (in_time, rest) = (true, after);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or(Wrong::Syntax)?;
        let (number, after) = rest.split_at(end);
        let designator = after.chars().next().unwrap_or(' ').to_ascii_uppercase();
        let unit = match (in_time, designator) {
            (false, 'Y') => Unit::Months(12),
            (false, 'M') => Unit::Months(1),
            (false, 'W') => Unit::Days(7),
            (false, 'D') => Unit::Days(1),
            (true, 'H') => Unit::Micros(3_600 * SECOND),
            (true, 'M') => Unit::Micros(60 * SECOND),
            (true, 'S') => Unit::Micros(SECOND),
            _ => return Err(Wrong::Syntax),
        };
        if number.is_empty() {
            return Err(Wrong::Syntax);
        }
        found.add(number, unit)?;
        any = true;
        rest = after.get(1..).unwrap_or_default();
    }
    if any { found.within() } else { Err(Wrong::Syntax) }
}
