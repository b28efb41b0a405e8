//! The one reading of a record's key, which stands in paths and lists as text: the text by which answers show it, and no other spelling
//! of its value. Two texts are never the same record, and no verb finds one that another does not.

use chrono::{DateTime, NaiveDate, NaiveTime, Timelike};
use querygate_metadata::model::ValueType;
use querygate_policy::rules::{instant_of_micros, time_of_micros};
use querygate_types::json::read::double;
use querygate_types::uuid;
use std::borrow::Cow;

/// The text as the source compares it. `None`: no record of a key of this type is shown so.
pub(crate) fn key_text(of: ValueType, text: &str) -> Option<Cow<'_, str>> {
    let is_shown = match of {
        ValueType::Int16 | ValueType::Int32 | ValueType::Int64 => {
            text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
        }
        ValueType::Decimal { scale, .. } => {
            let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            is_plain_decimal(text) && usize::try_from(scale).is_ok_and(|scale| places <= scale)
        }
        ValueType::Numeric { .. } => is_plain_decimal(text),
        ValueType::Float32 | ValueType::Float64 => {
            double(text).is_some_and(|double| double.to_string() == text || format!("{double:e}") == text)
        }
        ValueType::Boolean => matches!(text, "true" | "false"),
        ValueType::Date => {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok_and(|date| date.format("%Y-%m-%d").to_string() == text)
        }
        ValueType::TimestampMillisUtc | ValueType::Timestamp { .. } => DateTime::parse_from_rfc3339(text)
            .is_ok_and(|at| instant_of_micros(at.timestamp_micros()).is_some_and(|shown| shown == text)),
        ValueType::Time => is_time(text),
        // Hexadecimal digits have two cases, and a UUID is known by either.
        ValueType::Uuid => return uuid::canonical(text).map(Cow::Owned),
        ValueType::Text
        | ValueType::Coded(_)
        | ValueType::Network { .. }
        | ValueType::TextList
        | ValueType::List(_)
        | ValueType::Binary
        | ValueType::JsonText
        | ValueType::Json
        | ValueType::Interval
        | ValueType::TimeTz
        | ValueType::Float32Vector(_) => true,
    };
    is_shown.then_some(Cow::Borrowed(text))
}

/// Digits without an exponent, without a zero too many, and no negative zero.
fn is_plain_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(|fraction| all_digits(fraction) && !fraction.ends_with('0'))
        && text != "-0"
}

fn is_time(text: &str) -> bool {
    let micros = |time: NaiveTime| {
        i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1_000)
    };
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok();
    time.and_then(|time| time_of_micros(micros(time))).is_some_and(|shown| shown == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_text_that_is_shown() {
        let shown = [
            (ValueType::Int64, "9007199254740993"),
            (ValueType::Int32, "-5"),
            (ValueType::Int16, "0"),
            (ValueType::Decimal { precision: 10, scale: 2 }, "12.5"),
            (ValueType::Decimal { precision: 10, scale: 2 }, "0.05"),
            (ValueType::Float64, "1e300"),
            (ValueType::Float64, "0.1"),
            (ValueType::Float64, "1"),
            (ValueType::Date, "2026-01-31"),
            (ValueType::TimestampMillisUtc, "2026-01-31T10:00:00.250Z"),
            (ValueType::TimestampMillisUtc, "2026-01-31T10:00:00.250001Z"),
            (ValueType::Time, "14:30:00"),
            (ValueType::Time, "14:30:00.000001"),
            (ValueType::Time, "14:30:00.250"),
            (ValueType::Boolean, "true"),
            (ValueType::Text, " 1.0 "),
        ];
        for (of, text) in shown {
            assert_eq!(key_text(of, text).as_deref(), Some(text), "{of:?}");
        }
        let upper = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
        assert_eq!(key_text(ValueType::Uuid, upper).as_deref(), Some(upper.to_lowercase().as_str()));
    }

    #[test]
    fn another_spelling_of_a_value_is_no_key() {
        let others: [(ValueType, &[&str]); 7] = [
            (
                ValueType::Int64,
                &["1.0", "1e0", "9.007199254740993e15", " 1", "1 ", "+1", "01", "-0", "", "0x1", "1_0", "１", "1\0"],
            ),
            (
                ValueType::Decimal { precision: 10, scale: 2 },
                &["1.0", "1.", ".5", "01", "-0", "1e0", " 1", "", "-", "1.005"],
            ),
            (ValueType::Float64, &["1.0", "1e0x", "NaN", "inf", " 1", "01"]),
            (ValueType::Date, &["2026-1-31", "2026-01-31T00:00:00.000Z", "2026-01-31x", "2026-02-30"]),
            (ValueType::TimestampMillisUtc, &["2026-01-31", "2026-01-31T10:00:00Z", "2026-01-31T11:00:00.250+01:00"]),
            (ValueType::Time, &["14:30", "14:30:00.2", "4:30:00", "14:30:00.000", "14:30:00.250000"]),
            (ValueType::Uuid, &["a0eebc99", ""]),
        ];
        for (of, texts) in others {
            for text in texts {
                assert_eq!(key_text(of, text), None, "{of:?} {text:?}");
            }
        }
    }
}
