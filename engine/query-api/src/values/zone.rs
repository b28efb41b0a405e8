//! Time zones by name, abbreviation or offset, as PostgreSQL reads them: the offset at an instant, the offset of a wall clock. Doors
//! that print instants and engines that compute with them mean the same. Knows no clock.

use crate::values::zone_rules;
use chrono::{
    DateTime, Datelike as _, MappedLocalTime, NaiveDate, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _,
};
use chrono_tz::{OffsetName as _, Tz};
use querygate_types::{Error, ErrorCode, Result};
use std::str::FromStr as _;

/// A time zone. Instants and wall clocks are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    /// A name of the IANA database, with its rules.
    Named(Tz),
    /// An abbreviation of a zone's winter time, in capitals: what it meant at the time.
    Abbreviated(&'static str, Tz),
}

/// Abbreviations that PostgreSQL knows without the zone's name, in seconds east. Others are looked up as zone names.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("zulu", 0),
    ("ut", 0),
    ("est", -5 * 3600),
    ("edt", -4 * 3600),
    ("cst", -6 * 3600),
    ("cdt", -5 * 3600),
    ("mst", -7 * 3600),
    ("mdt", -6 * 3600),
    ("pst", -8 * 3600),
    ("pdt", -7 * 3600),
    ("cet", 3600),
    ("cest", 2 * 3600),
    ("eet", 2 * 3600),
    ("eest", 3 * 3600),
    ("met", 3600),
    ("wet", 0),
    ("west", 3600),
    ("bst", 3600),
    ("jst", 9 * 3600),
    ("kst", 9 * 3600),
    ("hst", -10 * 3600),
];

/// Abbreviations whose offset has changed over the years: they are what their zone has at the time.
const MOVING: &[(&str, Tz)] = &[("MSK", Tz::Europe__Moscow), ("VET", Tz::America__Caracas)];

/// The rules of zones are tabulated up to here (2100-01-01); later years follow the last rules, by a year of the same shape.
const TABULATED_UNTIL: i64 = 4_102_444_800;
/// Years that have all shapes, the last of the tables.
const SHAPES: std::ops::Range<i32> = 2_072..2_100;
/// The calendar, days of the week included, repeats after 400 years.
const CALENDAR: i64 = 146_097 * 86_400;

impl Zone {
    /// No offset.
    pub const UTC: Self = Self::Fixed(0);

    /// Reads a name, an abbreviation, an offset (`+02`, `-3:30`), or POSIX `<+02>-02`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        if let Some((_, east)) = ABBREVIATIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Some(Self::Fixed(*east));
        }
        if let Some((known, zone)) = MOVING.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Some(Self::Abbreviated(known, *zone));
        }
        if let Some(posix) = name.strip_prefix('<') {
            // POSIX offsets count west of Greenwich.
            return Self::offset(posix.split_once('>')?.1).map(|west| Self::Fixed(-west));
        }
        if name.starts_with(['+', '-']) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Self::offset(name).map(Self::Fixed);
        }
        Tz::from_str(name)
            .ok()
            .or_else(|| chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(name)))
            .map(Self::Named)
            .or_else(|| Self::posix(name))
    }

    /// `UTC+10`: letters and how far west of Greenwich, without summer time.
    fn posix(name: &str) -> Option<Self> {
        let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
        let west = name.get(letters..).filter(|rest| letters >= 3 && !rest.is_empty())?;
        Self::offset(west).map(|west| Self::Fixed(-west))
    }

    /// # Errors
    /// 22023 for a text that names no zone.
    pub fn required(name: &str) -> Result<Self> {
        Self::parse(name)
            .ok_or_else(|| Error::new(ErrorCode::InvalidParameterValue, format!("time zone \"{name}\" not recognized")))
    }

    /// Reads `[+-]hh[[:]mm[[:]ss]]`, in seconds; the sign alone decides the side.
    #[must_use]
    pub fn offset(text: &str) -> Option<i32> {
        let (sign, digits) = match text.as_bytes().first()? {
            b'+' => (1, text.get(1..)?),
            b'-' => (-1, text.get(1..)?),
            _ => (1, text),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
            return None;
        }
        let pairs: Vec<&str> = if digits.contains(':') {
            digits.split(':').collect()
        } else {
            match digits.len() {
                1 | 2 => vec![digits],
                3 | 4 => vec![digits.get(..digits.len() - 2)?, digits.get(digits.len() - 2..)?],
                6 => vec![digits.get(..2)?, digits.get(2..4)?, digits.get(4..)?],
                _ => return None,
            }
        };
        // What a colon ends may be missing: `+1:` is an hour.
        let number = |pair: &str| if pair.is_empty() { Some(0) } else { pair.parse().ok() };
        let parts: Vec<i32> = pairs.into_iter().map(number).collect::<Option<_>>()?;
        let (hours, minutes, seconds) = match parts.as_slice() {
            [hours] => (*hours, 0, 0),
            [hours, minutes] => (*hours, *minutes, 0),
            [hours, minutes, seconds] => (*hours, *minutes, *seconds),
            _ => return None,
        };
        (hours <= 15 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
    }

    /// A name that Arrow reads, too.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Fixed(east) => {
                let (sign, minutes) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs() / 60);
                format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Self::Named(zone) | Self::Abbreviated(_, zone) => zone.name().to_owned(),
        }
    }

    /// Seconds east of Greenwich at an instant.
    #[must_use]
    pub fn offset_at(self, instant: i64) -> i32 {
        match self {
            Self::Fixed(east) => east,
            Self::Named(zone) => match zone_rules::at(zone, instant) {
                Some((east, _)) => east,
                None => tabulated(instant).map_or(0, |utc| zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()),
            },
            Self::Abbreviated(name, zone) => zone_rules::meant(name, zone, instant),
        }
    }

    /// Seconds east of Greenwich on a wall clock. In a gap the offset before it holds, in an overlap the later one.
    #[must_use]
    pub fn offset_of_local(self, local: i64) -> i32 {
        match self {
            Self::Fixed(east) => east,
            Self::Abbreviated(name, zone) => {
                let instant = local - i64::from(Self::Named(zone).offset_of_local(local));
                zone_rules::meant(name, zone, instant)
            }
            Self::Named(zone) => zone_rules::on_clock(zone, local).unwrap_or_else(|| {
                tabulated(local).map_or(0, |local| match zone.offset_from_local_datetime(&local) {
                    MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => {
                        offset.fix().local_minus_utc()
                    }
                    MappedLocalTime::None => {
                        zone.offset_from_utc_datetime(&(local - TimeDelta::hours(24))).fix().local_minus_utc()
                    }
                })
            }),
        }
    }

    /// What people call the zone at an instant (`CET`), where it has such a name.
    #[must_use]
    pub fn abbreviation(self, instant: i64) -> Option<String> {
        match self {
            Self::Fixed(0) => Some("UTC".to_owned()),
            Self::Fixed(_) => None,
            Self::Named(zone) | Self::Abbreviated(_, zone) => match zone_rules::at(zone, instant) {
                Some((_, letters)) => Some(letters.iter().collect()),
                None => zone.offset_from_utc_datetime(&tabulated(instant)?).abbreviation().map(str::to_owned),
            },
        }
    }
}

/// The date and time, in a tabulated year with the same calendar.
fn tabulated(seconds: i64) -> Option<NaiveDateTime> {
    let time = |seconds| DateTime::from_timestamp(seconds, 0).map(|time| time.naive_utc());
    if seconds < TABULATED_UNTIL {
        return time(seconds);
    }
    let within = time(TABULATED_UNTIL + (seconds - TABULATED_UNTIL).rem_euclid(CALENDAR))?;
    let shape = |year| NaiveDate::from_ymd_opt(year, 1, 1).map(|first| (first.weekday(), first.leap_year()));
    let same = SHAPES.into_iter().find(|year| shape(*year) == shape(within.year()))?;
    within.with_year(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_a_zone_or_an_offset() {
        let check = |name: &str, expected: Option<Zone>| assert_eq!(Zone::parse(name), expected, "{name}");
        check("UTC", Some(Zone::UTC));
        check("europe/berlin", Some(Zone::Named(chrono_tz::Europe::Berlin)));
        check("Etc/UTC", Some(Zone::Named(chrono_tz::Etc::UTC)));
        check("pdt", Some(Zone::Fixed(-25_200)));
        check("MET", Some(Zone::Fixed(3_600)));
        check("+02", Some(Zone::Fixed(7_200)));
        check("0230", Some(Zone::Fixed(9_000)));
        check("<+02>-02", Some(Zone::Fixed(7_200)));
        check("-3", Some(Zone::Fixed(-10_800)));
        check("+05:30", Some(Zone::Fixed(19_800)));
        check("+01:02:03", Some(Zone::Fixed(3_723)));
        for wrong in ["Mars/Olympus", "", "+", "+16", "+05:60", "+1:2:3:4", "+12345", "<+02>", "+0é"] {
            check(wrong, None);
        }
    }

    #[test]
    fn offsets_follow_summer_time_gaps_and_overlaps() {
        let berlin = Zone::Named(chrono_tz::Europe::Berlin);
        let local = |year, month, day, hour| {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            date.and_hms_opt(hour, 30, 0).unwrap().and_utc().timestamp()
        };
        assert_eq!(berlin.offset_at(local(2024, 7, 1, 0)), 7_200);
        assert_eq!(berlin.offset_at(local(2024, 1, 1, 0)), 3_600);
        assert_eq!(berlin.offset_of_local(local(2024, 3, 31, 2)), 3_600, "gap");
        assert_eq!(berlin.offset_of_local(local(2024, 10, 27, 2)), 3_600, "overlap");
        assert_eq!(berlin.offset_at(local(1800, 7, 1, 0)), 3_208, "local mean time");
        assert_eq!(berlin.abbreviation(local(2024, 7, 1, 0)).as_deref(), Some("CEST"));
        assert_eq!(Zone::UTC.abbreviation(0).as_deref(), Some("UTC"));
        assert_eq!(Zone::Fixed(60).abbreviation(0), None);
    }

    /// PostgreSQL 15's answers with Debian's table.
    #[test]
    fn zones_of_two_names_have_no_city() {
        let pacific = Zone::parse("PST8PDT").unwrap();
        let local = |year, month, day, hour| {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            date.and_hms_opt(hour, 30, 0).unwrap().and_utc().timestamp()
        };
        let check = |year, month, day, hour, hours: i32| {
            assert_eq!(
                pacific.offset_of_local(local(year, month, day, hour)),
                hours * 3_600,
                "{year}-{month}-{day} {hour}"
            );
        };
        check(1800, 1, 1, 0, -8);
        check(1918, 3, 31, 2, -8);
        check(1918, 6, 1, 0, -7);
        check(1918, 10, 27, 1, -8);
        check(1930, 6, 1, 0, -8);
        check(1942, 2, 9, 2, -8);
        check(1943, 1, 1, 0, -7);
        check(1945, 9, 30, 1, -8);
        check(1950, 6, 1, 0, -8);
        check(1967, 6, 1, 0, -7);
        assert_eq!(pacific.offset_at(local(1943, 1, 1, 12)), -25_200);
        assert_eq!(pacific.abbreviation(local(1943, 1, 1, 12)).as_deref(), Some("PWT"));
        assert_eq!(pacific.abbreviation(local(1945, 9, 1, 12)).as_deref(), Some("PPT"));
        assert_eq!(Zone::parse("HST10").unwrap().offset_at(0), -36_000);
    }

    #[test]
    fn an_abbreviation_means_what_it_meant_at_the_time() {
        let moscow = Zone::parse("msk").unwrap();
        let local = |year, month| {
            NaiveDate::from_ymd_opt(year, month, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp()
        };
        for (year, month, hours) in [(2010, 7, 3), (2010, 1, 3), (2012, 7, 4), (2015, 7, 3), (1991, 7, 3), (1925, 7, 3)]
        {
            assert_eq!(moscow.offset_of_local(local(year, month)), hours * 3_600, "{year}");
        }
        assert_eq!(Zone::parse("VET").unwrap().offset_of_local(local(2010, 7)), -16_200);
    }

    /// Summer time begins on the last Sunday of March, whatever the year; 2100 is no leap year.
    #[test]
    fn years_beyond_the_tables_follow_the_last_rules() {
        let berlin = Zone::Named(chrono_tz::Europe::Berlin);
        for year in (2_098..2_600).chain([9_999, 200_000]) {
            let last = (25..=31).filter_map(|day| NaiveDate::from_ymd_opt(year, 3, day));
            let sunday = last.into_iter().find(|date| date.weekday() == chrono::Weekday::Sun).unwrap();
            let begins = sunday.and_hms_opt(1, 0, 0).unwrap().and_utc().timestamp();
            assert_eq!((berlin.offset_at(begins - 1), berlin.offset_at(begins)), (3_600, 7_200), "{year}");
        }
        // PostgreSQL's last year, which chrono does not know.
        assert_eq!(berlin.offset_at(9_224_318_015_999), 3_600);
    }
}
