//! Typed values: coercing a comparand to a column's kind, and comparing JSON cells with typed values. Knows no policy.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use querygate_types::json::jsonb;
use querygate_types::uuid;
use serde_json::Value;
use std::cmp::Ordering;

/// A value in a filter. Its type equals the type of the column it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterValue {
    Text(String),
    Integer(i64),
    /// A number that is no 64-bit integer, as plain decimal text (`-?digits[.digits]`), exact as authored.
    Decimal(String),
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Milliseconds since midnight.
    Time(i32),
}

/// Comparison of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What a filter may ask of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    Text,
    /// A uuid's canonical text, of which a value may be written in other ways.
    Uuid,
    Number,
    Boolean,
    Date,
    Timestamp,
    Time,
    /// Multi-value: only membership and null tests.
    List,
    /// Structured: only membership and null tests.
    Json,
    /// Read from a text behind the policy, which says otherwise what is equal: only null tests.
    ReadFromText,
    /// Computed on read; no column, so no test at all.
    Computed,
}

/// A scalar before it is given a column's type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// The scalar as a value of the column's type, or `None` when no value of that type equals it.
pub(crate) fn coerce(scalar: &Scalar, kind: ColumnKind) -> Option<FilterValue> {
    match kind {
        ColumnKind::Text => match scalar {
            Scalar::Text(text) => Some(FilterValue::Text(text.clone())),
            Scalar::Integer(n) => Some(FilterValue::Text(n.to_string())),
            Scalar::Float(n) => Some(FilterValue::Text(n.to_string())),
            Scalar::Boolean(_) => None,
        },
        ColumnKind::Uuid => text_of(scalar).and_then(uuid::canonical).map(FilterValue::Text),
        ColumnKind::Number => match scalar {
            Scalar::Text(text) => number(text.trim()),
            Scalar::Integer(n) => Some(FilterValue::Integer(*n)),
            Scalar::Float(n) => n.is_finite().then(|| number(&n.to_string())).flatten(),
            Scalar::Boolean(_) => None,
        },
        ColumnKind::Boolean => match scalar {
            Scalar::Boolean(b) => Some(FilterValue::Boolean(*b)),
            Scalar::Integer(0) => Some(FilterValue::Boolean(false)),
            Scalar::Integer(1) => Some(FilterValue::Boolean(true)),
            Scalar::Text(text) => truth(text).map(FilterValue::Boolean),
            Scalar::Integer(_) | Scalar::Float(_) => None,
        },
        ColumnKind::Date => text_of(scalar).and_then(|text| day(text.trim())).map(FilterValue::Date),
        ColumnKind::Timestamp => text_of(scalar).and_then(timestamp).map(FilterValue::Timestamp),
        ColumnKind::Time => text_of(scalar).and_then(time).map(FilterValue::Time),
        ColumnKind::List | ColumnKind::Json | ColumnKind::ReadFromText | ColumnKind::Computed => None,
    }
}

/// The comparison that a bare day stands for on a timestamp: an inclusive upper bound takes the whole day.
pub(crate) fn whole_day(op: CompareOp, scalar: &Scalar, kind: ColumnKind) -> Option<(CompareOp, FilterValue)> {
    if op != CompareOp::Le || kind != ColumnKind::Timestamp {
        return None;
    }
    let day = text_of(scalar).filter(|t| t.len() == 10).and_then(date)?;
    Some((CompareOp::Lt, FilterValue::Timestamp((i64::from(day) + 1) * DAY_MS)))
}

const DAY_MS: i64 = 86_400_000;

fn text_of(scalar: &Scalar) -> Option<&str> {
    match scalar {
        Scalar::Text(text) => Some(text),
        Scalar::Integer(_) | Scalar::Float(_) | Scalar::Boolean(_) => None,
    }
}

/// A plain decimal or integer; anything else (a junk string) is no number.
fn number(text: &str) -> Option<FilterValue> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.len() <= 400 && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        // An exponent moves the point, and no digit is lost.
        let moved = jsonb(text).filter(|moved| moved != text && !moved.contains(['e', 'E']));
        if let Some(moved) = moved {
            return number(&moved);
        }
        let float: f64 =
            text.parse().ok().filter(|f: &f64| f.is_finite() && digits.starts_with(|c: char| c.is_ascii_digit()))?;
        return number(&float.to_string());
    }
    if fraction.bytes().all(|b| b == b'0')
        && let Ok(n) = text.split('.').next().unwrap_or_default().parse::<i64>()
    {
        return Some(FilterValue::Integer(n));
    }
    Some(FilterValue::Decimal(text.to_owned()))
}

/// A truth value by its text.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Milliseconds since 1970 at the ends of the years that a datetime has since 17.5, 1000 to 9999.
pub(crate) const MOMENTS: std::ops::Range<i64> = -30_610_224_000_000..253_402_300_800_000;

/// Whether the text is a datetime as releases since 17.5 read it: of these years, and with a `T` before its time where it has a zone.
pub(crate) fn is_moment(text: &str) -> bool {
    let has_zone = text.get(10..).is_some_and(|clock| clock.contains(['Z', 'z', '+', '-']));
    let is_plain = !(has_zone && text.contains(' '));
    is_plain && timestamp(text).is_some_and(|moment| MOMENTS.contains(&moment))
}

/// Whether the text is a number as JSON writes it, and nothing beside.
pub(crate) fn is_json_number(text: &str) -> bool {
    !text.contains(char::is_whitespace) && querygate_types::json::value::number(text).is_some()
}

pub(crate) fn date(text: &str) -> Option<i32> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(day.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// A day with nothing behind it, or with a time of that day, which counts for nothing.
pub(crate) fn day(text: &str) -> Option<i32> {
    let (day, rest) = text.split_at_checked(10)?;
    let has_form = |(at, sign): (usize, u8)| if matches!(at, 4 | 7) { sign == b'-' } else { sign.is_ascii_digit() };
    let is_whole = day.bytes().enumerate().all(has_form) && (rest.is_empty() || is_clock(rest));
    date(day).filter(|_| is_whole)
}

/// Whether a text is what stands behind a day in a moment: a `T` or a blank, hours and minutes, and maybe seconds, a fraction and a zone.
fn is_clock(text: &str) -> bool {
    let Some(text) = text.strip_prefix(['T', 't', ' ']) else { return false };
    let (clock, zone) = text.find(['Z', 'z', '+', '-', ' ']).map_or((text, ""), |at| text.split_at(at));
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = fraction.is_none_or(|fraction| digits(fraction) && clock.len() == 8);
    let is_end =
        matches!(clock, "24:00" | "24:00:00") && fraction.is_none_or(|fraction| fraction.trim_matches('0').is_empty());
    let is_time = matches!(clock.len(), 5 | 8) && (time(clock).is_some() || is_end);
    is_whole && is_time && is_zone(zone.trim_start_matches(' '))
}

/// Whether a text is a zone behind a time, or nothing.
fn is_zone(text: &str) -> bool {
    let Some(offset) = text.strip_prefix(['+', '-']) else { return matches!(text, "" | "Z" | "z") };
    let digits = match offset.split_once(':') {
        Some((hours, minutes)) if hours.len() == 2 && minutes.len() == 2 => format!("{hours}{minutes}"),
        Some(_) => return false,
        None => offset.to_owned(),
    };
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u8>().ok());
    let is_offset = number(digits.get(..2)).is_some_and(|hours| hours < 24);
    let is_within = digits.len() == 2 || number(digits.get(2..)).is_some_and(|minutes| minutes < 60);
    matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit()) && is_offset && is_within
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    instant(text).map(|instant| instant.timestamp_millis())
}

pub(crate) fn instant(text: &str) -> Option<DateTime<Utc>> {
    if text.len() == 10 {
        return DateTime::from_timestamp_millis(i64::from(date(text)?) * DAY_MS);
    }
    if let Some(began) = day_of_its_end(text) {
        return instant(&began)?.checked_add_days(Days::new(1));
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|instant| instant.and_utc())
}

/// The moment at which a day began at whose end, `24:00`, a text says that it is.
fn day_of_its_end(text: &str) -> Option<String> {
    let (day, clock) = text.split_at_checked(11)?;
    let rest = clock.strip_prefix("24:00")?;
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let is_whole = rest.bytes().take(end).all(|sign| matches!(sign, b'0' | b':' | b'.'));
    is_whole.then(|| format!("{day}00:00{rest}"))
}

fn time(text: &str) -> Option<i32> {
    let clock = ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok())?;
    let ms = u64::from(clock.num_seconds_from_midnight()) * 1_000 + u64::from(clock.nanosecond() / 1_000_000).min(999);
    i32::try_from(ms).ok()
}

/// Orders a non-null cell against a typed value; `None` when they are of different types.
pub(crate) fn compare(cell: &Value, value: &FilterValue) -> Option<Ordering> {
    match value {
        FilterValue::Text(text) => cell.as_str().map(|cell| cell.cmp(text.as_str())),
        FilterValue::Integer(n) => compare_number(cell, *n),
        FilterValue::Decimal(text) => cell_number(cell)?.partial_cmp(&text.parse().ok()?),
        FilterValue::Boolean(b) => cell_boolean(cell).map(|cell| cell.cmp(b)),
        FilterValue::Date(own) => day(cell.as_str()?).map(|cell| cell.cmp(own)),
        FilterValue::Timestamp(ms) => timestamp(cell.as_str()?).map(|cell| cell.cmp(ms)),
        FilterValue::Time(ms) => time(cell.as_str()?).map(|cell| cell.cmp(ms)),
    }
}

fn compare_number(cell: &Value, n: i64) -> Option<Ordering> {
    if let Some(cell) = cell.as_i64() {
        return Some(cell.cmp(&n));
    }
    #[expect(clippy::cast_precision_loss, reason = "a cell that is no integer is a double already")]
    cell_number(cell)?.partial_cmp(&(n as f64))
}

fn cell_number(cell: &Value) -> Option<f64> {
    match cell {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn cell_boolean(cell: &Value) -> Option<bool> {
    match cell {
        Value::Bool(b) => Some(*b),
        Value::Number(n) => match n.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Orders two non-null cells of one type, the right one moved by whole days.
pub(crate) fn compare_cells(left: &Value, right: &Value, add_days: i32) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            // Canonical texts of dates, times and plain text order as text; only instants have several spellings.
            let instants = left.len() > 19 && right.len() > 19;
            if (add_days != 0 || instants)
                && let (Some(left), Some(right)) = (timestamp(left), timestamp(right))
            {
                return Some(left.cmp(&(right + i64::from(add_days) * DAY_MS)));
            }
            (add_days == 0).then(|| left.cmp(right))
        }
        (Value::Number(l), Value::Number(r)) if add_days == 0 => match (l.as_i64(), r.as_i64()) {
            (Some(l), Some(r)) => Some(l.cmp(&r)),
            _ => l.as_f64()?.partial_cmp(&r.as_f64()?),
        },
        (Value::Bool(l), Value::Bool(r)) if add_days == 0 => Some(l.cmp(r)),
        _ => None,
    }
}

/// The day `days` before or after.
pub(crate) fn add_days(day: NaiveDate, days: i64) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs());
    if days < 0 { day.checked_sub_days(distance) } else { day.checked_add_days(distance) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As JavaScript and PostgreSQL read it; a day is what stands before its time.
    #[test]
    fn the_end_of_a_day_is_the_midnight_behind_it() {
        let midnight = instant("2024-01-02T00:00:00Z");
        for text in [
            "2024-01-01T24:00",
            "2024-01-01 24:00:00",
            "2024-01-01T24:00:00Z",
            "2024-01-01T24:00:00.000Z",
            "2024-01-01T24:00:00+00:00",
        ] {
            assert_eq!(instant(text), midnight, "{text}");
            assert_eq!(day(text), date("2024-01-01"), "{text}");
            assert!(is_moment(text), "{text}");
        }
        assert_eq!(instant("2024-01-01T24:00:00+02:00"), instant("2024-01-01T22:00:00Z"));
        assert_eq!(instant("2024-12-31T24:00Z"), None, "a zone stands behind seconds");
        for text in ["2024-01-01T24:01", "2024-01-01T24:00:01", "2024-01-01T24:00:00.001Z", "2024-01-01T25:00", "24:00"]
        {
            assert_eq!((instant(text), day(text)), (None, None), "{text}");
        }
        assert_eq!(time("24:00"), None, "no time of a day");
    }
}
