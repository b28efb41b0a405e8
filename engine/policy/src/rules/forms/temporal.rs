//! Dates, instants and times of day as a written value spells them, in the form in which they are stored.

use crate::rules::stamp::instant_text;
use crate::value;
use serde_json::Value;

/// `YYYY-MM-DD`; what follows a day is cut off.
pub(in crate::rules) fn date(given: &Value) -> Option<Value> {
    let day = given.as_str()?.trim().get(..10)?;
    value::date(day).map(|_| Value::String(day.to_owned()))
}

/// An instant in UTC with milliseconds; a bare day is its midnight.
pub(in crate::rules) fn datetime(given: &Value) -> Option<Value> {
    let ms = value::timestamp(given.as_str()?.trim())?;
    instant_text(ms).map(Value::String)
}

/// `HH:MM:SS`, with milliseconds where there are any. `HH:MM` is a whole minute, an instant its time of day in UTC.
pub(in crate::rules) fn time(given: &Value) -> Option<Value> {
    let text = given.as_str()?.trim();
    if text.len() > 12
        && let Some(ms) = value::timestamp(text)
    {
        return clock(instant_text(ms)?.get(11..23)?);
    }
    clock(text)
}

fn clock(text: &str) -> Option<Value> {
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
    let millis = format!("{:0<3}", fraction.get(..fraction.len().min(3))?);
    let clock = format!("{hours:02}:{minutes:02}:{seconds:02}");
    Some(Value::String(if millis == "000" { clock } else { format!("{clock}.{millis}") }))
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
        check(date, "2026-06-21T10:00:00Z", Some("2026-06-21"));
        check(date, "2026-02-30", None);
        check(date, "not a date", None);
        check(datetime, "2026-06-21", Some("2026-06-21T00:00:00.000Z"));
        check(datetime, "2026-06-21T12:00:00+02:00", Some("2026-06-21T10:00:00.000Z"));
        check(datetime, "2026-13-45", None);
        check(time, "14:30", Some("14:30:00"));
        check(time, "14:30:15.5", Some("14:30:15.500"));
        check(time, "14:30:15.000", Some("14:30:15"));
        check(time, "2026-06-21T12:34:56Z", Some("12:34:56"));
        for wrong in ["7:05", "24:00", "14:60", "14", "14:30Z", "14:30.5", "14:30:15.", "aa:bb"] {
            check(time, wrong, None);
        }
        assert_eq!(date(&json!(5)), None);
        assert_eq!(datetime(&json!(1_700_000_000)), None);
    }
}
