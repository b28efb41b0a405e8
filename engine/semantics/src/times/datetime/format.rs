//! `to_char` of time stamps, times and intervals. Knows no array.

use super::interval::Interval;
use super::moment::Moment;
use super::names::{DAYS, MONTHS, ROMAN_MONTHS};
use super::pattern::{Case, Field, Piece};
use crate::casts::text::put_digits;
use crate::fault::external;
use crate::times::zone::{SECOND, Zone, offset_text};
use datafusion::common::Result;
use querygate_types::{Error, ErrorCode};
use std::borrow::Cow;

/// What is printed.
pub(crate) struct Shown {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// None for an interval, which has no day of the week.
    moment: Option<Moment>,
    /// The zone of an instant.
    zone: Option<(Zone, i64)>,
}

impl Shown {
    pub(crate) fn moment(micros: i64, zone: Option<(Zone, i64)>) -> Self {
        let moment = Moment::of(micros);
        let (hour, minute, second, micros) = moment.clock_fields();
        let (year, month, day) = (moment.date.year, moment.date.month, moment.date.day);
        Self { year, month, day, hour, minute, second, micros, moment: Some(moment), zone }
    }

    pub(crate) fn interval(of: Interval) -> Self {
        let seconds = of.micros / SECOND;
        Self {
            year: of.months / 12,
            month: of.months % 12,
            day: of.days,
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: of.micros % SECOND,
            moment: None,
            zone: None,
        }
    }

    /// # Errors
    /// 22007 for a pattern that asks an interval for its place in a calendar.
    pub(crate) fn text(&self, pieces: &[Piece]) -> Result<String> {
        let mut out = String::with_capacity(pieces.len() * 4);
        for piece in pieces {
            match piece {
                Piece::Text(text) | Piece::Quoted(text) => out.push_str(text),
                Piece::Field { field, case, fill, ordinal, translated } => {
                    let start = out.len();
                    let number = self.field(*field, *case, *fill || *translated, &mut out)?;
                    if let (Some(case), Some(number)) = (ordinal, number) {
                        let suffix = ordinal_suffix(number);
                        out.push_str(if *case == Case::Upper { suffix.0 } else { suffix.1 });
                    } else if let (Some(case), None) = (ordinal, number) {
                        // The suffix of what is no number: Postgres appends it as well to texts that end with a digit.
                        let digit = out[start..].chars().next_back().and_then(|c| c.to_digit(10));
                        if let Some(digit) = digit {
                            let suffix = ordinal_suffix(i64::from(digit));
                            out.push_str(if *case == Case::Upper { suffix.0 } else { suffix.1 });
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// Of an interval, its days where a month has 30.
    fn day_of_year(&self) -> i64 {
        self.moment.map_or_else(|| (self.year * 12 + self.month) * 30 + self.day, |m| m.day_of_year())
    }

    /// Prints a field; the number, if it is one that may have an ordinal suffix.
    fn field(&self, field: Field, case: Case, fill: bool, out: &mut String) -> Result<Option<i64>> {
        let mut digits = |value: i64, width: usize| {
            if value < 0 {
                out.push('-');
            }
            put_digits(value.unsigned_abs(), if fill { 0 } else { width }, out);
            Ok(Some(value))
        };
        match field {
            Field::Hour24 => digits(self.hour, 2),
            // Of hours before midnight, 12 has room for the sign that it does not have.
            Field::Hour12 if self.hour % 12 == 0 => digits(12, if self.hour < 0 { 3 } else { 2 }),
            Field::Hour12 => digits(self.hour % 12, 2),
            Field::Minute => digits(self.minute, 2),
            Field::Second => digits(self.second, 2),
            Field::SecondOfDay => digits(self.hour * 3_600 + self.minute * 60 + self.second, 0),
            Field::Month => digits(self.month, 2),
            Field::Day => digits(self.day, beside_sign(self.day, 2)),
            Field::Year(width) => {
                let year = if self.moment.is_some() && self.year <= 0 { 1 - self.year } else { self.year };
                year_digits(year, width, fill, out);
                Ok(Some(year))
            }
            Field::Century => {
                let year = self.year;
                let century = match self.moment {
                    None => year / 100,
                    Some(_) if year > 0 => (year - 1) / 100 + 1,
                    Some(_) => year / 100 - 1,
                };
                digits(century, 2)
            }
            Field::DayOfYear => digits(self.day_of_year(), beside_sign(self.day_of_year(), 3)),
            Field::WeekOfMonth => digits((self.day - 1) / 7 + 1, 0),
            Field::WeekOfYear => {
                let week = (self.day_of_year() - 1) / 7 + 1;
                digits(week, beside_sign(week, 2))
            }
            Field::Quarter => {
                if self.month == 0 {
                    return Ok(None);
                }
                digits((self.month - 1) / 3 + 1, 0)
            }
            Field::Millisecond => {
                put_signed(self.micros / 1_000, 3, out);
                Ok(Some(self.micros / 1_000))
            }
            Field::Microsecond => {
                put_signed(self.micros, 6, out);
                Ok(Some(self.micros))
            }
            Field::Fraction(places) => {
                let value = self.micros / 10_i64.pow(6 - places);
                put_filled(value, places as usize, out);
                Ok(Some(value))
            }
            Field::MonthRoman => {
                // Months of an interval are below zero, too, and 0 in whole years; a time stamp's are neither.
                let place = match (self.month, self.year) {
                    (0, 0) => None,
                    (0, year) => Some(if year > 0 { 0 } else { 11 }),
                    (month, _) if month < 0 => Some(-1 - month),
                    (month, _) => Some(12 - month),
                };
                let place = place.and_then(|at| usize::try_from(at).ok());
                if let Some(roman) = place.and_then(|at| ROMAN_MONTHS.get(at)) {
                    padded(&cased(roman, case), 4, fill, out);
                }
                Ok(None)
            }
            Field::Meridiem(points) => {
                let afternoon = self.hour.rem_euclid(24) >= 12;
                let word = match (afternoon, points) {
                    (true, true) => "P.M.",
                    (true, false) => "PM",
                    (false, true) => "A.M.",
                    (false, false) => "AM",
                };
                out.push_str(&cased(word, case));
                Ok(None)
            }
            Field::Era(_)
            | Field::MonthName
            | Field::MonthShort
            | Field::DayName
            | Field::DayShort
            | Field::DayOfWeek
            | Field::IsoDayOfWeek
            | Field::IsoDayOfYear
            | Field::IsoWeek
            | Field::IsoYear(_)
            | Field::Julian
            | Field::Zone
            | Field::ZoneHours
            | Field::ZoneMinutes
            | Field::Offset => self.calendar(field, case, fill, out),
        }
    }

    /// Fields that only a moment has.
    fn calendar(&self, field: Field, case: Case, fill: bool, out: &mut String) -> Result<Option<i64>> {
        let Some(moment) = &self.moment else {
            let message = "invalid format specification for an interval value";
            let error = Error::new(ErrorCode::InvalidDatetimeFormat, message);
            return Err(external(error.with_hint("Intervals are not tied to specific calendar dates.")));
        };
        let name = |names: &[&'static str], at: i64| {
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
        };
        let mut digits = |value: i64, width: usize| {
            let width = if fill { 0 } else { width };
            put_filled(value, width, out);
            Ok(Some(value))
        };
        match field {
            Field::DayOfWeek => return digits(moment.day_of_week() + 1, 0),
            Field::IsoDayOfWeek => return digits(moment.iso_day_of_week(), 0),
            Field::IsoDayOfYear => {
                let (_, week) = moment.iso_week();
                return digits((week - 1) * 7 + moment.iso_day_of_week(), 3);
            }
            Field::IsoWeek => return digits(moment.iso_week().1, 2),
            Field::Julian => return digits(moment.days + 2_440_588, 0),
            Field::IsoYear(width) => {
                let (year, _) = moment.iso_week();
                let year = if year <= 0 { 1 - year } else { year };
                year_digits(year, width, fill, out);
                return Ok(Some(year));
            }
            Field::MonthName => padded(&cased(name(&MONTHS, moment.date.month - 1), case), 9, fill, out),
            Field::MonthShort => out.push_str(&cased(&name(&MONTHS, moment.date.month - 1)[..3], case)),
            Field::DayName => padded(&cased(name(&DAYS, moment.day_of_week()), case), 9, fill, out),
            Field::DayShort => out.push_str(&cased(&name(&DAYS, moment.day_of_week())[..3], case)),
            Field::Era(points) => {
                let word = match (self.year <= 0, points) {
                    (true, true) => "B.C.",
                    (true, false) => "BC",
                    (false, true) => "A.D.",
                    (false, false) => "AD",
                };
                out.push_str(&cased(word, case));
            }
            Field::Zone => {
                let name = self.zone.map_or_else(String::new, |(zone, instant)| zone.abbreviation(instant));
                out.push_str(&if case == Case::Lower { name.to_lowercase() } else { name.to_uppercase() });
            }
            Field::Offset => out.push_str(&offset_text(self.east())),
            Field::ZoneHours => out.push_str(&offset_text(self.east())[..3]),
            Field::ZoneMinutes => put_digits(u64::from(self.east().unsigned_abs() / 60 % 60), 2, out),
            _ => {}
        }
        Ok(None)
    }

    fn east(&self) -> i32 {
        self.zone.map_or(0, |(zone, instant)| zone.offset_at(instant))
    }
}

/// The digits of a number whose sign is within its width, as those of days are and those of hours are not.
const fn beside_sign(value: i64, width: usize) -> usize {
    if value < 0 { width.saturating_sub(1) } else { width }
}

/// The sign first, and within the width.
fn put_signed(value: i64, width: usize, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    put_digits(value.unsigned_abs(), width - usize::from(value < 0), out);
}

/// Zeros before the sign.
fn put_filled(value: i64, width: usize, out: &mut String) {
    if value < 0 {
        return out.push_str(&format!("{value:0>width$}"));
    }
    put_digits(value.unsigned_abs(), width, out);
}

fn year_digits(year: i64, width: u8, fill: bool, out: &mut String) {
    match width {
        5 => {
            put_signed(year / 1_000, 1, out);
            out.push(',');
            put_signed(year % 1_000, 3, out);
        }
        4 if fill => put_signed(year, 1, out),
        4 => put_signed(year, 4, out),
        places => {
            let rest = year % 10_i64.pow(u32::from(places));
            put_filled(rest, if fill { 0 } else { usize::from(places) }, out);
        }
    }
}

/// A word in a case, in ASCII.
fn cased(word: &'static str, case: Case) -> Cow<'static, str> {
    match case {
        Case::Upper => Cow::Owned(word.to_ascii_uppercase()),
        Case::Lower => Cow::Owned(word.to_ascii_lowercase()),
        Case::Title => Cow::Borrowed(word),
    }
}

fn padded(word: &str, width: usize, fill: bool, out: &mut String) {
    out.push_str(word);
    if !fill {
        out.extend(std::iter::repeat_n(' ', width.saturating_sub(word.len())));
    }
}

/// `st`, `nd`, `rd` or `th`, in both cases.
pub(crate) fn ordinal_suffix(number: i64) -> (&'static str, &'static str) {
    let number = number.unsigned_abs();
    match (number / 10 % 10, number % 10) {
        (1, _) => ("TH", "th"),
        (_, 1) => ("ST", "st"),
        (_, 2) => ("ND", "nd"),
        (_, 3) => ("RD", "rd"),
        _ => ("TH", "th"),
    }
}
