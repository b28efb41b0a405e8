//! Intervals: months, days and time, what they are compared by, and the text that Postgres prints.

use super::Wrong;
use crate::times::zone::{DAY, SECOND};
use querygate_query_api::values::interval::{IntervalFault, read_interval};

/// Months, days and microseconds, which Postgres keeps apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) months: i64,
    pub(crate) days: i64,
    pub(crate) micros: i64,
}

/// Reads an interval.
pub(crate) fn parse(text: &str) -> Result<Interval, Wrong> {
    match read_interval(text) {
        Ok(read) => {
            Interval { months: i64::from(read.months), days: i64::from(read.days), micros: read.micros }.within()
        }
        Err(IntervalFault::Syntax) => Err(Wrong::Syntax),
        Err(IntervalFault::Field) => Err(Wrong::Span),
        Err(IntervalFault::Range) => Err(Wrong::Range),
    }
}

impl Interval {
    /// Itself, if each field fits its type.
    pub(crate) fn within(self) -> Result<Self, Wrong> {
        let fits = i32::try_from(self.months).is_ok()
            && i32::try_from(self.days).is_ok()
            && self.micros.checked_mul(1_000).is_some();
        if fits { Ok(self) } else { Err(Wrong::Range) }
    }

    /// Microseconds of a month of 30 days, a day of 24 hours: what intervals are compared by.
    pub(crate) const fn span(self) -> i128 {
        (self.months as i128 * 30 + self.days as i128) * DAY as i128 + self.micros as i128
    }

    /// Postgres' text of it.
    pub(crate) fn text(self) -> String {
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
