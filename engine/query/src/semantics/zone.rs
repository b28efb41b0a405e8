//! Time zones by name or offset, as Postgres reads them. Knows no clock.

use super::fault::external;
use chrono::{DateTime, MappedLocalTime, Offset as _, TimeDelta, TimeZone as _};
use chrono_tz::{OffsetName as _, Tz};
use datafusion::common::Result;
use querygate_types::{Error, ErrorCode};
use std::str::FromStr as _;

/// Microseconds of a second.
pub(super) const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400 * SECOND;
/// The rules of zones are tabulated up to here (2099-12-31); later instants follow the last year's rules.
const TABULATED_UNTIL: i64 = 4_102_358_400;

/// Abbreviations that Postgres knows without the zone's name, in seconds east. Others are looked up as zone names.
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
    ("wet", 0),
    ("west", 3600),
    ("bst", 3600),
    ("msk", 3 * 3600),
    ("jst", 9 * 3600),
    ("kst", 9 * 3600),
    ("hst", -10 * 3600),
];

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    Named(Tz),
}

impl Zone {
    pub(super) const UTC: Self = Self::Fixed(0);

    /// Reads a name, an abbreviation, an offset (`+02`, `-3:30`), or POSIX `<+02>-02`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let lower = name.to_ascii_lowercase();
        if let Some((_, east)) = ABBREVIATIONS.iter().find(|(known, _)| *known == lower) {
            return Some(Self::Fixed(*east));
        }
        if let Some(posix) = name.strip_prefix('<') {
            // POSIX offsets count west of Greenwich.
            return offset(posix.split_once('>')?.1).map(|west| Self::Fixed(-west));
        }
        if name.starts_with(['+', '-']) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return offset(name).map(Self::Fixed);
        }
        let found = Tz::from_str(name).ok();
        found
            .or_else(|| chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(name)))
            .map(Self::Named)
    }

    /// # Errors
    /// 22023 for a name that is no zone's.
    pub(super) fn required(name: &str) -> Result<Self> {
        Self::parse(name).ok_or_else(|| {
            external(Error::new(ErrorCode::InvalidParameterValue, "time zone not recognized".to_owned()))
        })
    }

    /// A name that Arrow reads, too.
    pub(super) fn name(self) -> String {
        match self {
            Self::Fixed(east) => {
                let (sign, minutes) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs() / 60);
                format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Self::Named(zone) => zone.name().to_owned(),
        }
    }

    /// The zone that an argument of AT TIME ZONE names: there, a bare offset counts west of Greenwich, as in POSIX.
    pub(super) fn argument(name: &str) -> Result<Self> {
        let zone = Self::required(name)?;
        Ok(match zone {
            Self::Fixed(east) if name.trim().starts_with(['+', '-']) => Self::Fixed(-east),
            other => other,
        })
    }

    /// Seconds east of Greenwich at an instant in microseconds.
    pub(super) fn offset_at(self, instant: i64) -> i32 {
        match self {
            Self::Fixed(east) => east,
            Self::Named(zone) => DateTime::from_timestamp(seconds(instant), 0)
                .map_or(0, |utc| zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()),
        }
    }

    /// The wall clock at an instant, both in microseconds. Infinite ones stay.
    pub(super) fn local(self, instant: i64) -> i64 {
        if is_infinite(instant) { instant } else { instant + i64::from(self.offset_at(instant)) * SECOND }
    }

    /// The instant of a wall clock. In a gap the offset before it holds, in an overlap the later one.
    pub(super) fn instant(self, local: i64) -> i64 {
        if is_infinite(local) {
            return local;
        }
        let east = match self {
            Self::Fixed(east) => east,
            Self::Named(zone) => DateTime::from_timestamp(seconds(local), 0).map_or(0, |utc| {
                let naive = utc.naive_utc();
                match zone.offset_from_local_datetime(&naive) {
                    MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => {
                        offset.fix().local_minus_utc()
                    }
                    MappedLocalTime::None => {
                        zone.offset_from_utc_datetime(&(naive - TimeDelta::hours(24))).fix().local_minus_utc()
                    }
                }
            }),
        };
        local - i64::from(east) * SECOND
    }

    /// What stands for the zone at an instant: `CET`, `+02`.
    pub(super) fn abbreviation(self, instant: i64) -> String {
        match self {
            Self::Fixed(0) => "UTC".to_owned(),
            Self::Fixed(east) => offset_text(east),
            Self::Named(zone) => DateTime::from_timestamp(seconds(instant), 0)
                .and_then(|utc| zone.offset_from_utc_datetime(&utc.naive_utc()).abbreviation().map(str::to_owned))
                .unwrap_or_else(|| offset_text(self.offset_at(instant))),
        }
    }
}

/// Infinity of time stamps, either way.
pub(super) const fn is_infinite(micros: i64) -> bool {
    micros == i64::MAX || micros == i64::MIN
}

/// Whole seconds of an instant, within the tables.
fn seconds(instant: i64) -> i64 {
    const YEARS_400: i64 = 146_097 * 86_400;
    let seconds = instant.div_euclid(SECOND);
    if seconds < TABULATED_UNTIL {
        return seconds;
    }
    // The calendar repeats after 400 years, and 28 years repeat leap years and days of the week within a century.
    const YEARS_28: i64 = 10_227 * 86_400;
    TABULATED_UNTIL - YEARS_28 + (seconds - TABULATED_UNTIL).rem_euclid(YEARS_400) % YEARS_28
}

/// `+02`, `-03:30`.
pub(super) fn offset_text(east: i32) -> String {
    let (sign, seconds) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs());
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    if minutes == 0 { format!("{sign}{hours:02}") } else { format!("{sign}{hours:02}:{minutes:02}") }
}

/// `[+-]hh[[:]mm[[:]ss]]`, in seconds.
pub(super) fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    let parts: Vec<i32> = if digits.contains(':') {
        digits.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?
    } else {
        match digits.len() {
            1 | 2 => vec![digits.parse().ok()?],
            3 | 4 => vec![digits[..digits.len() - 2].parse().ok()?, digits[digits.len() - 2..].parse().ok()?],
            6 => vec![digits[..2].parse().ok()?, digits[2..4].parse().ok()?, digits[4..].parse().ok()?],
            _ => return None,
        }
    };
    let (hours, minutes, seconds) = match parts.as_slice() {
        [h] => (*h, 0, 0),
        [h, m] => (*h, *m, 0),
        [h, m, s] => (*h, *m, *s),
        _ => return None,
    };
    (hours <= 15 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
}
