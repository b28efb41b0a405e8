//! Time zones: offset of an instant, instant of a local time, as PostgreSQL decides them. Knows no clock.

use crate::calendar::{civil_of_days, days_of_civil, is_leap};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;
use querygate_types::{Error, ErrorCode, Result};
use std::str::FromStr as _;

/// A session's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Utc,
    /// Seconds east of Greenwich.
    Fixed(i32),
    Named(Tz),
}

const DAY_SECONDS: i64 = 86_400;
/// The rules of zones are tabulated up to here; later years follow the last rules by a year of the same shape.
const TABULATED_UNTIL_YEAR: i64 = 2_100;

impl Zone {
    /// Reads a `TimeZone` setting: a name, or an offset in hours (`+02`, `-3`, `+05:30`), or POSIX `<+02>-02`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") || name.eq_ignore_ascii_case("etc/utc")
        {
            return Some(Self::Utc);
        }
        if let Some(posix) = name.strip_prefix('<') {
            // POSIX offsets count west of Greenwich.
            let (_, west) = posix.split_once('>')?;
            return offset(west).map(|west| Self::Fixed(-west));
        }
        if let Some(east) = offset(name) {
            return Some(Self::Fixed(east));
        }
        Tz::from_str(name)
            .ok()
            .or_else(|| chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(name)))
            .map(Self::Named)
    }

    pub(crate) fn required(name: &str) -> Result<Self> {
        Self::parse(name)
            .ok_or_else(|| Error::new(ErrorCode::InvalidParameterValue, format!("time zone \"{name}\" not recognized")))
    }

    /// Seconds east of Greenwich at an instant (seconds since 1970).
    pub(crate) fn offset_at(self, instant: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Fixed(east) => east,
            Self::Named(zone) => DateTime::from_timestamp(tabulated(instant), 0)
                .map_or(0, |utc| zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()),
        }
    }

    /// Offset that belongs to a local time (seconds since 1970 as if it were UTC). In a gap the offset before it holds, in
    /// an overlap the later one (`DetermineTimeZoneOffset`).
    pub(crate) fn offset_of_local(self, local: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Fixed(east) => east,
            Self::Named(zone) => {
                let Some(naive) = DateTime::from_timestamp(tabulated(local), 0).map(|utc| utc.naive_utc()) else {
                    return 0;
                };
                local_offset(zone, naive)
            }
        }
    }
}

fn local_offset(zone: Tz, naive: NaiveDateTime) -> i32 {
    match zone.offset_from_local_datetime(&naive) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => offset.fix().local_minus_utc(),
        MappedLocalTime::None => {
            let before = naive - chrono::TimeDelta::hours(24);
            zone.offset_from_utc_datetime(&before).fix().local_minus_utc()
        }
    }
}

/// Moves an instant of a far year into a tabulated year with the same calendar.
fn tabulated(instant: i64) -> i64 {
    let days = instant.div_euclid(DAY_SECONDS);
    let (year, month, day) = civil_of_days(days);
    if year < TABULATED_UNTIL_YEAR {
        return instant;
    }
    let weekday = |year| (days_of_civil(year, 1, 1) + 4).rem_euclid(7);
    let same = (TABULATED_UNTIL_YEAR - 28..TABULATED_UNTIL_YEAR)
        .find(|candidate| is_leap(*candidate) == is_leap(year) && weekday(*candidate) == weekday(year))
        .unwrap_or(TABULATED_UNTIL_YEAR - 1);
    days_of_civil(same, month, day) * DAY_SECONDS + instant.rem_euclid(DAY_SECONDS)
}

/// `[+-]hh[[:]mm[[:]ss]]`, in seconds.
pub(crate) fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => (1, text),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    let parts: Vec<i32> = if digits.contains(':') {
        digits.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?
    } else {
        match digits.len() {
            1 | 2 => vec![digits.parse().ok()?],
            3 | 4 => {
                let (hours, minutes) = digits.split_at(digits.len() - 2);
                vec![hours.parse().ok()?, minutes.parse().ok()?]
            }
            6 => vec![digits[..2].parse().ok()?, digits[2..4].parse().ok()?, digits[4..].parse().ok()?],
            _ => return None,
        }
    };
    match parts.as_slice() {
        [hours @ 0..=15] => Some(sign * hours * 3600),
        [hours @ 0..=15, minutes @ 0..=59] => Some(sign * (hours * 3600 + minutes * 60)),
        [hours @ 0..=15, minutes @ 0..=59, seconds @ 0..=59] => Some(sign * (hours * 3600 + minutes * 60 + seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_a_zone_or_an_offset() {
        let check = |name: &str, expected: Option<Zone>| assert_eq!(Zone::parse(name), expected, "{name}");
        check("UTC", Some(Zone::Utc));
        check("europe/berlin", Some(Zone::Named(chrono_tz::Europe::Berlin)));
        check("+02", Some(Zone::Fixed(7_200)));
        check("<+02>-02", Some(Zone::Fixed(7_200)));
        check("-3", Some(Zone::Fixed(-10_800)));
        check("+05:30", Some(Zone::Fixed(19_800)));
        check("Mars/Olympus", None);
        check("", None);
    }

    #[test]
    fn offsets_follow_summer_time_gaps_and_overlaps() {
        let berlin = Zone::Named(chrono_tz::Europe::Berlin);
        let local = |year, month, day, hour: i64| days_of_civil(year, month, day) * DAY_SECONDS + hour * 3600 + 1800;
        assert_eq!(berlin.offset_at(local(2024, 7, 1, 0)), 7_200);
        assert_eq!(berlin.offset_at(local(2024, 1, 1, 0)), 3_600);
        assert_eq!(berlin.offset_of_local(local(2024, 3, 31, 2)), 3_600, "gap");
        assert_eq!(berlin.offset_of_local(local(2024, 10, 27, 2)), 3_600, "overlap");
        assert_eq!(berlin.offset_at(local(9999, 7, 1, 0)), 7_200, "far future");
        assert_eq!(berlin.offset_at(local(1800, 7, 1, 0)), 3_208, "local mean time");
    }
}
