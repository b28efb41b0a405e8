//! Date, time and timestamp literals in the forms that drivers send (ISO 8601, PostgreSQL's own output).
//! Asks the clock only what a zone's distance is today; `now` and its kin are refused.

use super::syntax;
use crate::calendar::{days_of_civil, days_of_month};
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::zone::Zone;
use querygate_types::{Error, ErrorCode, PgType, Result};

const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Julian day 0 and the end of PostgreSQL's dates, in days from 1970.
const DATE_FIRST: i64 = -2_440_588;
const DATE_END: i64 = 2_145_042_906;
/// PostgreSQL's first timestamp, in microseconds from 1970. Its last one lies beyond 64 bits.
const TIMESTAMP_FIRST: i64 = DATE_FIRST * MICROS_PER_DAY;

fn field_overflow(text: &str) -> Error {
    Error::new(ErrorCode::DatetimeOverflow, format!("date/time field value out of range: \"{text}\""))
}

/// A literal's parts.
struct Parts {
    days: i64,
    micros: Option<i64>,
    zone: Option<Zone>,
}

enum Moment {
    Infinity,
    MinusInfinity,
    At(Parts),
}

pub(super) fn date(text: &str) -> Result<i32> {
    match moment(PgType::Date, text)? {
        Moment::Infinity => Ok(i32::MAX),
        Moment::MinusInfinity => Ok(i32::MIN),
        Moment::At(parts) if (DATE_FIRST..DATE_END).contains(&parts.days) => {
            i32::try_from(parts.days).map_err(|_| field_overflow(text))
        }
        Moment::At(_) => Err(Error::new(ErrorCode::DatetimeOverflow, format!("date out of range: \"{text}\""))),
    }
}

pub(super) fn time(text: &str) -> Result<i64> {
    let trimmed = text.trim_ascii();
    // PostgreSQL reads and drops a date and a zone around a time.
    let clock =
        trimmed.rsplit_once(['T', ' ']).filter(|(date, _)| date.contains('-')).map_or(trimmed, |(_, clock)| clock);
    let (clock, _) = split_zone(clock);
    let micros = clock_micros(clock, text).transpose()?;
    micros.ok_or_else(|| syntax(PgType::Time, text))
}

/// A time of day with a zone. Where the text has none, it is the session's, whose distance from Greenwich a date decides: the text's or,
/// where it has none, today's.
pub(super) fn timetz(text: &str, session: Zone) -> Result<TimeTz> {
    let wrong = || syntax(PgType::Timetz, text);
    let trimmed = text.trim_ascii();
    let dated = trimmed.split_once(['T', ' ']).filter(|(date, _)| date.contains('-') && !date.contains(':'));
    let (clock, zone) = split_zone(dated.map_or(trimmed, |(_, clock)| clock));
    let zone = zone.filter(|zone| !zone.is_empty()).map(|zone| literal_zone(zone).ok_or_else(wrong)).transpose()?;
    let micros = clock_micros(clock, text).ok_or_else(wrong)??;
    let day = match dated {
        Some((date, _)) => Some(date_days(date, false, text).ok_or_else(wrong)??),
        None => None,
    };
    let east = match (zone, day) {
        (Some(Zone::Fixed(east)), _) => east,
        // The clocks of a city are not known without a day.
        (Some(Zone::Named(_)), None) => return Err(wrong()),
        (zone, Some(day)) => {
            let seconds = day.checked_mul(86_400).and_then(|day| day.checked_add(micros / MICROS_PER_SECOND));
            zone.unwrap_or(session).offset_of_local(seconds.ok_or_else(|| field_overflow(text))?)
        }
        (zone, None) => zone.unwrap_or(session).offset_at(now()),
    };
    Ok(TimeTz { micros, east })
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}

pub(super) fn timestamp(text: &str) -> Result<i64> {
    match moment(PgType::Timestamp, text)? {
        Moment::Infinity => Ok(i64::MAX),
        Moment::MinusInfinity => Ok(i64::MIN),
        // A zone in a timestamp without one is read and dropped.
        Moment::At(parts) => local_micros(&parts, text).and_then(|micros| in_range(micros, text)),
    }
}

pub(super) fn timestamptz(text: &str, session: Zone) -> Result<i64> {
    match moment(PgType::Timestamptz, text)? {
        Moment::Infinity => Ok(i64::MAX),
        Moment::MinusInfinity => Ok(i64::MIN),
        Moment::At(parts) => {
            let local = local_micros(&parts, text)?;
            let offset = parts.zone.unwrap_or(session).offset_of_local(local.div_euclid(MICROS_PER_SECOND));
            let east = i64::from(offset).checked_mul(MICROS_PER_SECOND);
            in_range(east.and_then(|east| local.checked_sub(east)).ok_or_else(|| out_of_range(text))?, text)
        }
    }
}

fn local_micros(parts: &Parts, text: &str) -> Result<i64> {
    parts
        .days
        .checked_mul(MICROS_PER_DAY)
        .and_then(|micros| micros.checked_add(parts.micros.unwrap_or_default()))
        .ok_or_else(|| out_of_range(text))
}

fn out_of_range(text: &str) -> Error {
    Error::new(ErrorCode::DatetimeOverflow, format!("timestamp out of range: \"{text}\""))
}

fn in_range(micros: i64, text: &str) -> Result<i64> {
    if micros < TIMESTAMP_FIRST { Err(out_of_range(text)) } else { Ok(micros) }
}

/// A text that begins with no digit, in small letters: it may be a word.
fn word(text: &str) -> Option<String> {
    let is_number = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    (!is_number).then(|| text.to_ascii_lowercase())
}

fn moment(pg_type: PgType, text: &str) -> Result<Moment> {
    let trimmed = text.trim_ascii();
    match word(trimmed).as_deref().unwrap_or_default() {
        "infinity" => return Ok(Moment::Infinity),
        "-infinity" => return Ok(Moment::MinusInfinity),
        "epoch" => return Ok(Moment::At(Parts { days: 0, micros: Some(0), zone: Some(Zone::UTC) })),
        "now" | "today" | "tomorrow" | "yesterday" | "allballs" => {
            let message = format!("date/time value \"{trimmed}\" is not supported in a parameter");
            return Err(Error::new(ErrorCode::FeatureNotSupported, message));
        }
        _ => {}
    }
    let wrong = || syntax(pg_type, text);
    let (trimmed, bc) = match trimmed.len().checked_sub(3).and_then(|at| trimmed.split_at_checked(at)) {
        Some((year, era)) if era.eq_ignore_ascii_case(" bc") => (year.trim_ascii_end(), true),
        Some((year, era)) if era.eq_ignore_ascii_case(" ad") => (year.trim_ascii_end(), false),
        _ => (trimmed, false),
    };
    let (date, rest) = match trimmed.split_once(['T', 't', ' ']) {
        Some((date, rest)) => (date, Some(rest.trim_ascii())),
        None => (trimmed, None),
    };
    let days = date_days(date, bc, text).ok_or_else(wrong)??;
    let (micros, zone) = match rest {
        None | Some("") => (None, None),
        Some(rest) => {
            let (clock, zone) = split_zone(rest);
            let zone = zone.map(|zone| literal_zone(zone).ok_or_else(wrong)).transpose()?;
            (Some(clock_micros(clock, text).ok_or_else(wrong)??), zone)
        }
    };
    Ok(Moment::At(Parts { days, micros, zone }))
}

/// `y…-mm-dd` or `yyyymmdd`. Outer `None`: not a date at all.
#[cfg_attr(not(test), expect(clippy::arithmetic_side_effects, reason = "a year has at most seven digits"))]
fn date_days(date: &str, bc: bool, text: &str) -> Option<Result<i64>> {
    let (year, month, day) = if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) {
        (&date[..4], &date[4..6], &date[6..])
    } else {
        let mut parts = date.split('-');
        let parts = (parts.next()?, parts.next()?, parts.next()?, parts.next());
        match parts {
            // Years of fewer than three digits mean something else in PostgreSQL.
            (year, month, day, None) if year.len() >= 3 => (year, month, day),
            _ => return None,
        }
    };
    let number = |digits: &str, len: usize| {
        let all_digits = !digits.is_empty() && digits.len() <= len && digits.bytes().all(|byte| byte.is_ascii_digit());
        if all_digits { digits.parse::<i64>().ok() } else { None }
    };
    let (year, month, day) = (number(year, 7)?, number(month, 2)?, number(day, 2)?);
    if year == 0 || !(1..=12).contains(&month) {
        return Some(Err(field_overflow(text)));
    }
    let year = if bc { 1 - year } else { year };
    if !(1..=days_of_month(year, month)).contains(&day) {
        return Some(Err(field_overflow(text)));
    }
    Some(Ok(days_of_civil(year, month, day)))
}

/// Splits `hh:mm:ss.f+zz` or `hh:mm:ss zone` before the zone.
fn split_zone(rest: &str) -> (&str, Option<&str>) {
    match rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.'))) {
        Some(at) => (rest[..at].trim_ascii(), Some(rest[at..].trim_ascii())),
        None => (rest, None),
    }
}

fn literal_zone(zone: &str) -> Option<Zone> {
    match zone {
        "Z" | "z" => Some(Zone::UTC),
        signed if signed.starts_with(['+', '-']) => Zone::offset(signed).map(Zone::Fixed),
        name => Zone::parse(name),
    }
}

/// `hh:mm[:ss[.ffffff]]`; 24:00:00 and a second 60 are allowed, as in PostgreSQL.
#[cfg_attr(not(test), expect(clippy::arithmetic_side_effects, reason = "each field has at most two digits"))]
fn clock_micros(clock: &str, text: &str) -> Option<Result<i64>> {
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() {
        return None;
    }
    let two = |digits: &str| {
        let fits = matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if fits { digits.parse::<i64>().ok() } else { None }
    };
    let (whole, fraction) = second.split_once('.').unwrap_or((second, ""));
    let (hour, minute, second) = (two(hour)?, two(minute)?, two(whole)?);
    let fraction = fraction_micros(fraction)?;
    let micros = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + fraction;
    if minute > 59 || second > 60 || micros > MICROS_PER_DAY || hour > 24 {
        return Some(Err(field_overflow(text)));
    }
    Some(Ok(micros))
}

/// Digits after the point in microseconds, rounded half to even as `rint` does.
#[cfg_attr(not(test), expect(clippy::arithmetic_side_effects, reason = "six digits, and one more for rounding"))]
pub(super) fn fraction_micros(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() > 30 {
        return None;
    }
    let mut micros: i64 = 0;
    for at in 0..6 {
        micros = micros * 10 + digits.as_bytes().get(at).map_or(0, |digit| i64::from(digit - b'0'));
    }
    let rest = digits.get(6..).unwrap_or_default();
    let beyond_half = match rest.as_bytes().split_first() {
        None => false,
        Some((b'5', more)) if more.iter().all(|digit| *digit == b'0') => micros % 2 == 1,
        Some((first, _)) => *first >= b'5',
    };
    Some(micros + i64::from(beyond_half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_iso_form() {
        let check = |text: &str, expected: i64| assert_eq!(i64::from(date(text).unwrap()), expected, "{text}");
        check("2024-02-29", days_of_civil(2024, 2, 29));
        check("20240229", days_of_civil(2024, 2, 29));
        check("0044-03-15 BC", days_of_civil(-43, 3, 15));
        check("12345-06-07", days_of_civil(12_345, 6, 7));
        check("2024-02-29 23:00:00", days_of_civil(2024, 2, 29));
        check("infinity", i64::from(i32::MAX));
        for (text, sqlstate) in [
            ("2023-02-29", "22008"),
            ("2023-13-01", "22008"),
            ("0000-01-01", "22008"),
            ("9999999-01-01", "22008"),
            ("yesterday's", "22007"),
            ("", "22007"),
            ("1/2/2024", "22007"),
            ("now", "0A000"),
        ] {
            assert_eq!(date(text).unwrap_err().code().sqlstate(), sqlstate, "{text}");
        }
    }

    #[test]
    fn timestamps_keep_or_drop_their_zone_by_type() {
        let noon = days_of_civil(2024, 7, 1) * MICROS_PER_DAY + 43_200 * MICROS_PER_SECOND;
        assert_eq!(timestamp("2024-07-01 12:00:00+02").unwrap(), noon);
        assert_eq!(timestamp("2024-07-01T12:00:00.0000015").unwrap(), noon + 2);
        let check = |text: &str, expected: i64| {
            assert_eq!(timestamptz(text, Zone::Named(chrono_tz::Europe::Berlin)).unwrap(), expected, "{text}");
        };
        check("2024-07-01 12:00:00Z", noon);
        check("2024-07-01 12:00", noon - 7_200 * MICROS_PER_SECOND);
        check("2024-07-01 12:00:00+05:30", noon - 19_800 * MICROS_PER_SECOND);
        check("2024-07-01 12:00:00 America/New_York", noon + 14_400 * MICROS_PER_SECOND);
        check("-infinity", i64::MIN);
        assert!(timestamptz("2024-07-01 12:00:00 Mars", Zone::UTC).is_err());
        assert!(timestamp("2024-07-01 25:00:00").is_err());
    }

    #[test]
    fn times_are_bounded() {
        assert_eq!(time("24:00:00").unwrap(), MICROS_PER_DAY);
        assert_eq!(time("01:02:03.5").unwrap(), 3_723_500_000);
        assert_eq!(time("24:00:01").unwrap_err().code().sqlstate(), "22008");
        assert_eq!(time("noon").unwrap_err().code().sqlstate(), "22007");
    }
    #[test]
    fn a_zone_is_the_texts_or_the_sessions_at_the_texts_date() {
        let hour = 3_600;
        let berlin = Zone::Named(chrono_tz::Europe::Berlin);
        let check = |text: &str, session: Zone, micros: i64, east: i32| {
            assert_eq!(timetz(text, session).unwrap(), TimeTz { micros: micros * 1_000_000, east }, "{text}");
        };
        check("12:00:00+02", Zone::UTC, 43_200, 2 * hour);
        check("12:00-00:30", berlin, 43_200, -1_800);
        check("12:00", Zone::Fixed(hour), 43_200, hour);
        check("24:00:00 PDT", Zone::UTC, 86_400, -7 * hour);
        check("2024-07-01 12:00", berlin, 43_200, 2 * hour);
        check("2024-01-01 12:00 America/New_York", berlin, 43_200, -5 * hour);
        for text in ["", "noon", "12:00 Mars", "12:00 America/New_York"] {
            assert_eq!(timetz(text, Zone::UTC).unwrap_err().code().sqlstate(), "22007", "{text}");
        }
        assert_eq!(timetz("25:00:00+00", Zone::UTC).unwrap_err().code().sqlstate(), "22008");
    }
}
