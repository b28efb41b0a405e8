//! `to_date` and `to_timestamp` with a pattern. Lenient where Postgres is: separators match separators, blanks are skipped.

use super::Wrong;
use super::names::{DAYS, MONTHS, ROMAN_MONTHS};
use super::parse::days_in;
use super::pattern::{Field, Piece};
use crate::times::civil::{Date, first_monday};
use crate::times::zone::{SECOND, Zone};

/// How a pattern counts days: the two do not mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Convention {
    Gregorian,
    IsoWeek,
}

const fn convention(field: Field) -> Option<Convention> {
    match field {
        Field::Year(_)
        | Field::Month
        | Field::MonthName
        | Field::MonthShort
        | Field::MonthRoman
        | Field::Day
        | Field::DayOfYear
        | Field::DayOfWeek
        | Field::WeekOfYear
        | Field::WeekOfMonth => Some(Convention::Gregorian),
        Field::IsoYear(_) | Field::IsoWeek | Field::IsoDayOfWeek | Field::IsoDayOfYear => Some(Convention::IsoWeek),
        Field::Quarter
        | Field::Century
        | Field::Julian
        | Field::SecondOfDay
        | Field::DayName
        | Field::DayShort
        | Field::Hour12
        | Field::Hour24
        | Field::Minute
        | Field::Second
        | Field::Millisecond
        | Field::Microsecond
        | Field::Fraction(_)
        | Field::Meridiem(_)
        | Field::Era(_)
        | Field::Zone
        | Field::ZoneHours
        | Field::ZoneMinutes
        | Field::Offset => None,
    }
}

/// Puts a field's value where no other one is.
fn put(slot: &mut Option<i64>, value: i64) -> Result<(), Wrong> {
    if slot.is_some_and(|other| other != value) {
        return Err(Wrong::Syntax);
    }
    *slot = Some(value);
    Ok(())
}

/// What a text said.
#[derive(Debug, Default)]
struct Found {
    year: Option<i64>,
    /// Letters of the pattern that the year was read by.
    year_width: u8,
    century: Option<i64>,
    iso_year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    iso_day_of_year: Option<i64>,
    week: Option<i64>,
    week_of_month: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    hour_is_12: bool,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    of_day: Option<i64>,
    before_christ: bool,
    convention: Option<Convention>,
    /// Positive but where the text says otherwise.
    zone_sign: i32,
    zone_hours: Option<i64>,
    zone_minutes: Option<i64>,
}

/// Reads by a pattern: the wall clock in microseconds since 1970, and the zone if the text has one. Fields beyond the text's end
/// are not read.
pub(crate) fn read(text: &str, pieces: &[Piece]) -> Result<(i64, Option<Zone>), Wrong> {
    let mut found = Found::default();
    let mut at = At { rest: text.trim_start(), skipped: 0, before: None };
    for (place, piece) in pieces.iter().enumerate() {
        if at.rest.is_empty() {
            break;
        }
        match piece {
            Piece::Text(pattern) => pattern.chars().for_each(|wanted| at.separator(wanted)),
            Piece::Quoted(pattern) => pattern.chars().for_each(|_| at.character()),
            Piece::Field { field, fill, ordinal, .. } => {
                at.blanks();
                if at.rest.is_empty() {
                    break;
                }
                let bounded = !fill && ordinal.is_none() && digits_follow(pieces.get(place + 1));
                if *field == Field::ZoneHours {
                    found.zone_sign = at.sign();
                }
                at.rest = found.field(*field, at.rest, bounded)?;
                if ordinal.is_some() {
                    at.rest = at.rest.get(2..).unwrap_or_default();
                }
                at.skipped = 0;
                at.blanks();
            }
        }
    }
    found.finish()
}

/// Where in a text the reader is.
struct At<'a> {
    rest: &'a str,
    /// Characters passed over since the last field beyond those that the pattern names.
    skipped: i32,
    /// The last of them.
    before: Option<char>,
}

impl At<'_> {
    fn pass(&mut self) {
        self.before = self.rest.chars().next();
        self.rest = self.before.map_or(self.rest, |c| &self.rest[c.len_utf8()..]);
    }

    /// Any character stands for one of the pattern's; a blank that was passed over may have been it.
    fn character(&mut self) {
        if self.skipped > 0 {
            self.skipped -= 1;
        } else {
            self.pass();
        }
    }

    fn blanks(&mut self) {
        while self.rest.starts_with(|c: char| c.is_ascii_whitespace()) {
            self.pass();
            self.skipped += 1;
        }
    }

    /// A blank or a separator of the pattern stands for any one of the text, or for none; a letter for any character.
    fn separator(&mut self, wanted: char) {
        let is_separator = |c: char| c.is_ascii_graphic() && !c.is_ascii_alphanumeric();
        if !wanted.is_ascii_whitespace() && !is_separator(wanted) {
            return self.character();
        }
        self.skipped -= 1;
        if self.rest.starts_with(|c: char| c.is_ascii_whitespace() || is_separator(c)) {
            self.pass();
            self.skipped += 1;
        }
    }

    /// The sign of a zone's hours, which may have been passed over as a separator.
    fn sign(&mut self) -> i32 {
        match self.rest.chars().next() {
            Some(sign @ ('+' | '-' | ' ')) => {
                self.rest = &self.rest[1..];
                if sign == '-' { -1 } else { 1 }
            }
            _ if self.skipped > 0 && self.before == Some('-') => -1,
            _ => 1,
        }
    }
}

/// Whether what follows in a pattern begins with a digit of the text.
fn digits_follow(next: Option<&Piece>) -> bool {
    match next {
        None => false,
        Some(Piece::Text(text) | Piece::Quoted(text)) => text.starts_with(|c: char| c.is_ascii_digit()),
        Some(Piece::Field { field, .. }) => !matches!(
            field,
            Field::Meridiem(_)
                | Field::Era(_)
                | Field::MonthName
                | Field::MonthShort
                | Field::MonthRoman
                | Field::DayName
                | Field::DayShort
                | Field::Zone
                | Field::ZoneHours
                | Field::Offset
        ),
    }
}

/// Digits at the front: `width` of them, or all where no digits follow in the pattern.
fn number(rest: &str, width: usize, bounded: bool) -> Result<(i64, &str), Wrong> {
    // A sign is one of the characters that are asked for.
    let part = if bounded { rest.get(..width).ok_or(Wrong::Syntax)? } else { rest };
    let sign = usize::from(part.starts_with(['-', '+']));
    let digits = part[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || (bounded && sign + digits < width) {
        return Err(Wrong::Syntax);
    }
    let value: i64 = part[..sign + digits].parse().map_err(|_| Wrong::Field)?;
    if i32::try_from(value).is_err() {
        return Err(Wrong::Field);
    }
    Ok((value, &rest[sign + digits..]))
}

/// The name, whole or its first three letters, that a text begins with.
fn named<'a>(rest: &'a str, names: &[&str], short: bool) -> Result<(i64, &'a str), Wrong> {
    for (name, number) in names.iter().zip(0..) {
        let name = if short { &name[..3] } else { name };
        if rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
            return Ok((number, &rest[name.len()..]));
        }
    }
    Err(Wrong::Syntax)
}

impl Found {
    fn field<'a>(&mut self, field: Field, rest: &'a str, bounded: bool) -> Result<&'a str, Wrong> {
        let own = convention(field);
        if own.is_some() && self.convention.is_some() && self.convention != own {
            return Err(Wrong::Syntax);
        }
        self.convention = self.convention.or(own);
        let read = |slot: &mut Option<i64>, width: usize| {
            let (value, rest) = number(rest, width, bounded)?;
            put(slot, value)?;
            Ok(rest)
        };
        let mut plain: Option<i64> = None;
        match field {
            Field::Year(width @ 1..=4) => {
                let (value, after) = number(rest, usize::from(width), bounded)?;
                let digits = rest.len() - after.len();
                self.year_width = width;
                put(&mut self.year, completed(value, width, digits))?;
                Ok(after)
            }
            Field::Year(_) => {
                let (thousands, after) = number(rest, 3, false)?;
                let after = after.strip_prefix(',').ok_or(Wrong::Syntax)?;
                let digits = after.bytes().take_while(u8::is_ascii_digit).count().min(3);
                let (rest_of, after) = number(after, digits, true)?;
                self.year_width = 4;
                put(&mut self.year, thousands * 1_000 + rest_of)?;
                Ok(after)
            }
            Field::IsoYear(width) => {
                let (value, after) = number(rest, usize::from(width), bounded)?;
                let digits = rest.len() - after.len();
                self.year_width = width;
                put(&mut self.iso_year, completed(value, width, digits))?;
                Ok(after)
            }
            Field::Month => read(&mut self.month, 2),
            Field::Day => read(&mut self.day, 2),
            Field::DayOfYear => read(&mut self.day_of_year, 3),
            Field::IsoWeek => read(&mut self.iso_week, 2),
            Field::IsoDayOfWeek => read(&mut self.iso_day, 1),
            Field::WeekOfYear => read(&mut self.week, 2),
            Field::Julian => read(&mut self.julian, 7),
            Field::SecondOfDay => read(&mut self.of_day, 5),
            Field::IsoDayOfYear => read(&mut self.iso_day_of_year, 3),
            Field::WeekOfMonth => read(&mut self.week_of_month, 1),
            Field::Century => read(&mut self.century, 2),
            Field::DayOfWeek | Field::Quarter => read(&mut plain, 1),
            Field::MonthName | Field::MonthShort => {
                let (month, after) = named(rest, &MONTHS, field == Field::MonthShort)?;
                put(&mut self.month, month + 1)?;
                Ok(after)
            }
            Field::DayName | Field::DayShort => Ok(named(rest, &DAYS, field == Field::DayShort)?.1),
            Field::MonthRoman => {
                let at = ROMAN_MONTHS
                    .iter()
                    .zip(0..)
                    .find(|(name, _)| rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)));
                let (name, at) = at.ok_or(Wrong::Syntax)?;
                put(&mut self.month, 12 - at)?;
                Ok(&rest[name.len()..])
            }
            Field::Hour12
            | Field::Hour24
            | Field::Minute
            | Field::Second
            | Field::Millisecond
            | Field::Microsecond
            | Field::Fraction(_)
            | Field::Meridiem(_)
            | Field::Era(_)
            | Field::Zone
            | Field::ZoneHours
            | Field::ZoneMinutes
            | Field::Offset => self.clock(field, rest, bounded),
        }
    }

    fn clock<'a>(&mut self, field: Field, rest: &'a str, bounded: bool) -> Result<&'a str, Wrong> {
        match field {
            Field::Hour12 | Field::Hour24 => {
                self.hour_is_12 = field == Field::Hour12;
                let (hour, after) = number(rest, 2, bounded)?;
                self.hour = hour;
                Ok(after)
            }
            Field::Minute => {
                let (minute, after) = number(rest, 2, bounded)?;
                self.minute = minute;
                Ok(after)
            }
            Field::Second => {
                let (second, after) = number(rest, 2, bounded)?;
                self.second = second;
                Ok(after)
            }
            Field::Millisecond | Field::Microsecond | Field::Fraction(_) => {
                let width = match field {
                    Field::Millisecond => 3,
                    Field::Fraction(places) => places as usize,
                    _ => 6,
                };
                let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                // All digits of a fraction are read where no others follow, and rounded to its places.
                let whole = matches!(field, Field::Fraction(_)) && !bounded;
                let end = if whole { digits } else { digits.min(width) };
                if end == 0 {
                    return Err(Wrong::Syntax);
                }
                if end > 6 {
                    return Err(Wrong::Field);
                }
                // Digits after a point: 5 is 500 milliseconds.
                let micros: i64 = format!("{:0<6}", &rest[..end]).parse().map_err(|_| Wrong::Field)?;
                let unit = 10_i64.pow(6 - u32::try_from(width).unwrap_or(6));
                self.micros = if whole { (micros + unit / 2) / unit * unit } else { micros };
                Ok(&rest[end..])
            }
            Field::Meridiem(points) | Field::Era(points) => {
                let length = if points { 4 } else { 2 };
                let word = rest.get(..length).ok_or(Wrong::Syntax)?.to_ascii_lowercase().replace('.', "");
                match word.as_str() {
                    "am" => self.afternoon = Some(false),
                    "pm" => self.afternoon = Some(true),
                    "bc" => self.before_christ = true,
                    "ad" => {}
                    _ => return Err(Wrong::Syntax),
                }
                Ok(&rest[length..])
            }
            Field::ZoneHours => {
                let (hours, after) = number(rest, 2, bounded)?;
                self.zone_hours = Some(hours);
                Ok(after)
            }
            Field::ZoneMinutes => {
                let (minutes, after) = number(rest, 2, bounded)?;
                self.zone_minutes = Some(minutes);
                Ok(after)
            }
            Field::Zone | Field::Offset => Err(Wrong::Printed),
            _ => Err(Wrong::Syntax),
        }
    }

    fn finish(&self) -> Result<(i64, Option<Zone>), Wrong> {
        let within =
            |value: i64, low: i64, high: i64| if (low..=high).contains(&value) { Ok(()) } else { Err(Wrong::Field) };
        within(self.minute, 0, 59)?;
        within(self.second, 0, 59)?;
        let mut hour = self.hour;
        if self.hour_is_12 || self.afternoon.is_some() {
            within(hour, 1, 12).map_err(|_| Wrong::Syntax)?;
            hour %= 12;
            if self.afternoon == Some(true) {
                hour += 12;
            }
        }
        within(hour, 0, 23)?;
        let clock = match self.of_day {
            Some(seconds) => {
                within(seconds, 0, 86_399)?;
                seconds * SECOND
            }
            None => (hour * 3_600 + self.minute * 60 + self.second) * SECOND,
        };
        let local = self.day()?.checked_mul(86_400 * SECOND).and_then(|d| d.checked_add(clock + self.micros));
        Ok((local.ok_or(Wrong::Range)?, self.zone()?))
    }

    fn zone(&self) -> Result<Option<Zone>, Wrong> {
        if self.zone_hours.is_none() && self.zone_minutes.is_none() {
            return Ok(None);
        }
        let (hours, minutes) = (self.zone_hours.unwrap_or(0), self.zone_minutes.unwrap_or(0));
        if !(0..=15).contains(&hours) || !(0..60).contains(&minutes) {
            return Err(Wrong::Field);
        }
        let east = i32::try_from(hours * 3_600 + minutes * 60).map_err(|_| Wrong::Field)?;
        Ok(Some(Zone::fixed(if self.zone_sign < 0 { -east } else { east })))
    }

    /// Days since 1970.
    fn day(&self) -> Result<i64, Wrong> {
        if let Some(julian) = self.julian {
            return Ok(julian - 2_440_588);
        }
        if let (Some(year), Some(week)) = (self.iso_year, self.iso_week) {
            let day = self.iso_day.unwrap_or(1);
            if !(1..=53).contains(&week) || !(1..=7).contains(&day) {
                return Err(Wrong::Field);
            }
            return Ok(first_monday(year) + (week - 1) * 7 + day - 1);
        }
        let year = self.astronomical_year();
        if !(-4_713..=294_276).contains(&year) {
            return Err(Wrong::Range);
        }
        let first = Date::new(year, 1, 1).to_days();
        if let Some(day) = self.iso_day_of_year {
            return if (1..=999).contains(&day) { Ok(first_monday(year) + day - 1) } else { Err(Wrong::Field) };
        }
        if let Some(day) = self.day_of_year {
            return if (1..=365 + i64::from(days_in(year, 2) == 29)).contains(&day) {
                Ok(first + day - 1)
            } else {
                Err(Wrong::Field)
            };
        }
        if let Some(week) = self.week {
            return if (1..=53).contains(&week) { Ok(first + (week - 1) * 7) } else { Err(Wrong::Field) };
        }
        let day = self.week_of_month.map(|week| (week - 1) * 7 + 1).or(self.day).filter(|day| *day != 0).unwrap_or(1);
        let month = self.month.filter(|month| *month != 0).unwrap_or(1);
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return Err(Wrong::Field);
        }
        Ok(Date::new(year, month, day).to_days())
    }
}

impl Found {
    /// The year, where 0 is 1 BC, as it is without one.
    fn astronomical_year(&self) -> i64 {
        let era = |value: i64| if self.before_christ { -value } else { value };
        match (self.year.or(self.iso_year), self.century.map(era)) {
            // Centuries end with their hundredth year.
            (Some(year), Some(century)) if self.year_width <= 2 => match (year.rem_euclid(100), century) {
                (0, century) => century * 100 + i64::from(century < 0),
                (year, 0..) => (century - 1) * 100 + year,
                (year, _) => (century + 1) * 100 - year + 1,
            },
            (Some(year), _) => {
                let year = era(year);
                year + i64::from(year < 0)
            }
            (None, Some(century @ 0..)) => (century - 1) * 100 + 1,
            (None, Some(century)) => century * 100 + 1,
            (None, None) => 0,
        }
    }
}

/// A year of fewer digits than four lies near 2020, as in Postgres.
fn completed(value: i64, width: u8, digits: usize) -> i64 {
    match (width, digits) {
        (4, _) | (_, 4..) => value,
        (3, 3) => {
            if value < 520 {
                value + 2_000
            } else {
                value + 1_000
            }
        }
        (_, 1 | 2) => {
            if value < 70 {
                value + 2_000
            } else {
                value + 1_900
            }
        }
        _ => value,
    }
}
