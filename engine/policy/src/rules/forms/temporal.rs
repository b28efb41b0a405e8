//! Dates, instants and times of day as a written value spells them, in the form in which they are stored.

use crate::rules::moments::{instant_of_micros, micros_of, time_of_micros};
use crate::value;
use serde_json::Value;

/// `YYYY-MM-DD`; a time behind the day is cut off.
pub(in crate::rules) fn date(given: &Value) -> Option<Value> {
    let text = given.as_str()?.trim();
    value::day(text)?;
    text.get(..10).map(Value::from)
}

/// An instant in UTC with milliseconds, or with microseconds where it has some; a bare day is its midnight.
pub(in crate::rules) fn datetime(given: &Value) -> Option<Value> {
    let instant = value::instant(given.as_str()?.trim())?;
    instant_of_micros(micros_of(instant)).map(Value::String)
}

/// `HH:MM:SS`, with milliseconds or microseconds where there are any. `HH:MM` is a whole minute, an instant its time of day in UTC.
pub(in crate::rules) fn time(given: &Value) -> Option<Value> {
    let text = given.as_str()?.trim();
    let micros = match value::instant(text).filter(|_| text.len() > 12) {
        Some(instant) => micros_of(instant).rem_euclid(DAY_MICROS),
        None => clock(text)?,
    };
    time_of_micros(micros).map(Value::String)
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Microseconds since midnight. Further digits are rounded, as SQL rounds them.
fn clock(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let mut part = |below: u8| {
        let part = parts.next()?;
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u8>().ok().filter(|number| is_number && *number < below)
    };
    let (hours, minutes) = (part(24)?, part(60)?);
    let seconds = if whole.len() > 5 { part(60)? } else { 0 };
    if whole.len() != 5 && whole.len() != 8 || (whole.len() == 5 && text.contains('.')) {
        return None;
    }
    if text.contains('.') && (fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let tenths: i64 = format!("{:0<7}", fraction.get(..fraction.len().min(7))?).parse().ok()?;
    let seconds = i64::from(hours) * 3_600 + i64::from(minutes) * 60 + i64::from(seconds);
    Some(seconds * 1_000_000 + (tenths + 5) / 10).filter(|micros| *micros < DAY_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spellings() {
        let check = |read: fn(&Value) -> Option<Value>, given: &str, stored: Option<&str>| {
            assert_eq!(read(&json!(given)), stored.map(|text| json!(text)), "{given}");
        };
        check(date, "2026-06-21", Some("2026-06-21"));
        for behind in ["T10:00:00Z", "T10:00Z", " 10:00", "T10:00:00.250+02:00", " 10:00:00+02", " 10:00:00 +0200"] {
            check(date, &format!("2026-06-21{behind}"), Some("2026-06-21"));
        }
        check(date, " 2026-06-21 ", Some("2026-06-21"));
        for junk in [
            "junk",
            "1",
            "T",
            " junk",
            "T10",
            "T25:00",
            "T10:00:00.",
            "T10:00.5",
            "T10:00:00Zx",
            " 10:00 x",
            "T10:00:00-99:99",
            " 10:00+0:200",
        ] {
            check(date, &format!("2026-06-21{junk}"), None);
        }
        check(date, "2026- 6-21", None);
        check(date, "2026-02-30", None);
        check(date, "not a date", None);
        for wrong in ["-0044-03-15", "+2024-03-15", "0044-03-15 BC", "0044-03-15bc", "2024-03"] {
            check(date, wrong, None);
        }
        check(datetime, "2026-06-21", Some("2026-06-21T00:00:00.000Z"));
        check(datetime, "2026-06-21T12:00:00+02:00", Some("2026-06-21T10:00:00.000Z"));
        check(datetime, "2026-01-01T00:00:00.123456Z", Some("2026-01-01T00:00:00.123456Z"));
        check(datetime, "2026-01-01T02:00:00.9999994+02:00", Some("2026-01-01T00:00:00.999999Z"));
        check(datetime, "2026-01-01 00:00:00.9999995", Some("2026-01-01T00:00:01.000Z"));
        check(datetime, "1969-12-31T23:59:59.000001Z", Some("1969-12-31T23:59:59.000001Z"));
        check(datetime, "2026-01-01T00:00:00.120000Z", Some("2026-01-01T00:00:00.120Z"));
        check(datetime, "2026-13-45", None);
        check(time, "14:30", Some("14:30:00"));
        check(time, "14:30:15.5", Some("14:30:15.500"));
        check(time, "14:30:15.000", Some("14:30:15"));
        check(time, "14:30:15.000001", Some("14:30:15.000001"));
        check(time, "14:30:59.9999996", Some("14:31:00"));
        check(time, "2026-06-21T12:34:56Z", Some("12:34:56"));
        check(time, "2026-06-21T12:34:56.123456Z", Some("12:34:56.123456"));
        for wrong in ["7:05", "24:00", "14:60", "14", "14:30Z", "14:30.5", "14:30:15.", "aa:bb", "23:59:59.9999999"] {
            check(time, wrong, None);
        }
        assert_eq!(date(&json!(5)), None);
        assert_eq!(datetime(&json!(1_700_000_000)), None);
    }
}
