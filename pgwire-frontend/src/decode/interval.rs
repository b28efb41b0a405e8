//! Interval literals: PostgreSQL's own output, its verbose input and ISO 8601. Knows no calendar.

use super::datetime::{MICROS_PER_DAY, fraction_micros};
use super::syntax;
use arrow::datatypes::IntervalMonthDayNano;
use querygate_types::{Error, ErrorCode, PgType, Result};

/// PostgreSQL's output (`1 year 2 mons -3 days +04:05:06`), its verbose input (`1 hour 30 minutes ago`) and ISO 8601.
pub(super) fn interval(text: &str) -> Result<IntervalMonthDayNano> {
    let wrong = || syntax(PgType::Interval, text);
    let overflow =
        || Error::new(ErrorCode::IntervalFieldOverflow, format!("interval field value out of range: \"{text}\""));
    let trimmed = text.trim_ascii().trim_start_matches('@').trim_ascii();
    let mut sum = Sum::default();
    if let Some(iso) = trimmed.strip_prefix('P') {
        iso_interval(iso, &mut sum).ok_or_else(wrong)?;
    } else {
        let mut words = trimmed.split_ascii_whitespace().peekable();
        if words.peek().is_none() {
            return Err(wrong());
        }
        while let Some(word) = words.next() {
            if word.contains(':') {
                sum.clock(word).ok_or_else(wrong)?;
            } else if word.eq_ignore_ascii_case("ago") && words.peek().is_none() {
                sum.negate();
            } else {
                let digits = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
                let (count, glued) = word.split_at(digits);
                let unit = if glued.is_empty() { words.next().unwrap_or("second") } else { glued };
                sum.add(count, unit).ok_or_else(wrong)?;
            }
        }
    }
    sum.finish().ok_or_else(overflow)
}

/// Parts of an interval while they are added up; months and days exact, the rest in microseconds.
#[derive(Default)]
struct Sum {
    months: i128,
    days: i128,
    micros: i128,
}

impl Sum {
    /// Adds `count` of a unit; fractions go down to the smaller unit, at 30 days a month.
    fn add(&mut self, count: &str, unit: &str) -> Option<()> {
        let (negative, whole, fraction) = signed_parts(count)?;
        let sign = if negative { -1 } else { 1 };
        let whole = sign * whole;
        let part = |of: i128| sign * (fraction * of / FRACTION_UNIT);
        let unit = unit.to_ascii_lowercase();
        match unit.as_str() {
            "y" | "yr" | "yrs" | "year" | "years" => self.months += whole * 12 + part(12),
            "mon" | "mons" | "month" | "months" => {
                self.months += whole;
                self.add_days(part(30 * i128::from(MICROS_PER_DAY)));
            }
            "w" | "week" | "weeks" => {
                self.days += whole * 7;
                self.add_days(part(7 * i128::from(MICROS_PER_DAY)));
            }
            "d" | "day" | "days" => {
                self.days += whole;
                self.micros += part(i128::from(MICROS_PER_DAY));
            }
            "h" | "hr" | "hrs" | "hour" | "hours" => self.micros += whole * 3_600_000_000 + part(3_600_000_000),
            "m" | "min" | "mins" | "minute" | "minutes" => self.micros += whole * 60_000_000 + part(60_000_000),
            "s" | "sec" | "secs" | "second" | "seconds" => self.micros += whole * 1_000_000 + part(1_000_000),
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => self.micros += whole * 1_000 + part(1_000),
            "us" | "usec" | "usecs" | "microsecond" | "microseconds" => self.micros += whole + part(1),
            _ => return None,
        }
        Some(())
    }

    /// Whole days out of microseconds, the rest stays time.
    fn add_days(&mut self, micros: i128) {
        self.days += micros / i128::from(MICROS_PER_DAY);
        self.micros += micros % i128::from(MICROS_PER_DAY);
    }

    fn clock(&mut self, word: &str) -> Option<()> {
        let (negative, clock) = match word.split_at_checked(1)? {
            ("-", rest) => (true, rest),
            ("+", rest) => (false, rest),
            _ => (false, word),
        };
        let mut parts = clock.split(':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
        if parts.next().is_some() {
            return None;
        }
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let number = |digits: &str| {
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                digits.parse::<i64>().ok()
            } else {
                None
            }
        };
        let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(whole)?);
        if minutes > 59 || seconds > 60 {
            return None;
        }
        let micros = (i128::from(hours) * 3600 + i128::from(minutes * 60 + seconds)) * 1_000_000
            + i128::from(fraction_micros(fraction)?);
        self.micros += if negative { -micros } else { micros };
        Some(())
    }

    fn negate(&mut self) {
        (self.months, self.days, self.micros) = (-self.months, -self.days, -self.micros);
    }

    fn finish(&self) -> Option<IntervalMonthDayNano> {
        let nanos = i64::try_from(self.micros).ok()?.checked_mul(1_000)?;
        Some(IntervalMonthDayNano::new(i32::try_from(self.months).ok()?, i32::try_from(self.days).ok()?, nanos))
    }
}

/// Fractions are kept in units of 10^−9.
const FRACTION_UNIT: i128 = 1_000_000_000;

fn signed_parts(count: &str) -> Option<(bool, i128, i128)> {
    let (negative, digits) = match count.split_at_checked(1)? {
        ("-", rest) => (true, rest),
        ("+", rest) => (false, rest),
        _ => (false, count),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 {
        return None;
    }
    let scaled = (0..9)
        .fold(0, |value, at| value * 10 + fraction.as_bytes().get(at).map_or(0, |digit| i128::from(digit - b'0')));
    Some((negative, if whole.is_empty() { 0 } else { whole.parse().ok()? }, scaled))
}

/// After the `P`: `nYnMnWnDTnHnMnS`.
fn iso_interval(iso: &str, sum: &mut Sum) -> Option<()> {
    let (mut in_time, mut rest, mut any) = (false, iso, false);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if in_time {
                return None;
            }
            (in_time, rest) = (true, time);
            continue;
        }
        let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = match (in_time, rest.as_bytes().get(at)?) {
            (false, b'Y') => "year",
            (false, b'M') => "month",
            (false, b'W') => "week",
            (false, b'D') => "day",
            (true, b'H') => "hour",
            (true, b'M') => "minute",
            (true, b'S') => "second",
            _ => return None,
        };
        sum.add(&rest[..at], unit)?;
        (rest, any) = (&rest[at + 1..], true);
    }
    any.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_in_each_style() {
        let check = |text: &str, months: i32, days: i32, micros: i64| {
            assert_eq!(interval(text).unwrap(), IntervalMonthDayNano::new(months, days, micros * 1_000), "{text}");
        };
        check("1 year 2 mons 3 days 04:05:06.789", 14, 3, 14_706_789_000);
        check("-1 days +04:05:06", 0, -1, 14_706_000_000);
        check("1 hour 30 minutes ago", 0, 0, -5_400_000_000);
        check("1.5 days", 0, 1, 43_200_000_000);
        check("1.5 months", 1, 15, 0);
        check("2h", 0, 0, 7_200_000_000);
        check("90", 0, 0, 90_000_000);
        check("P1Y2M3DT4H5M6.5S", 14, 3, 14_706_500_000);
        check("P2W", 0, 14, 0);
        check("-00:00:01", 0, 0, -1_000_000);
        for text in ["", "P", "1 parsec", "1:2:3:4", "PT", "five days"] {
            assert_eq!(interval(text).unwrap_err().code().sqlstate(), "22007", "{text}");
        }
        assert_eq!(interval("3000000000 days").unwrap_err().code().sqlstate(), "22015");
    }
}
