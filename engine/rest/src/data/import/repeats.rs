//! Rows of an upsert that mean no record which is there, but the one that an earlier row of the request makes. Asks for nothing.

use chrono::DateTime;
use querygate_query_api::requests::question::{JsonForm, ObjectDescription};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Rows that make records, by the values that their records will be found by.
#[derive(Default)]
pub(super) struct NewRecords {
    rows: HashMap<Vec<String>, usize>,
}

impl NewRecords {
    /// The earlier row with the values of this one, which is at `at`; `None`: there is none yet.
    pub(super) fn first(
        &mut self,
        object: &ObjectDescription,
        fields: &[String],
        values: &Map<String, Value>,
        at: usize,
    ) -> Option<usize> {
        let text = |name: &String| {
            let form = object.field(name).map_or(JsonForm::Text, |field| field.form);
            values.get(name).map_or_else(String::new, |value| stored_text(form, value))
        };
        let first = *self.rows.entry(fields.iter().map(text).collect()).or_insert(at);
        (first != at).then_some(first)
    }
}

/// A text that values of a field share where they are stored as one value, however each is written.
fn stored_text(form: JsonForm, value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let trimmed = text.trim();
    match form {
        JsonForm::Number => number(trimmed).unwrap_or_else(|| trimmed.to_owned()),
        JsonForm::Boolean => match trimmed {
            "1" => "true".to_owned(),
            "0" => "false".to_owned(),
            other => other.to_owned(),
        },
        JsonForm::Date => trimmed.get(..10).unwrap_or(trimmed).to_owned(),
        JsonForm::Instant => instant(trimmed).unwrap_or_else(|| trimmed.to_owned()),
        JsonForm::Time => time(trimmed),
        JsonForm::Text | JsonForm::Bytes | JsonForm::List | JsonForm::Json => text,
    }
}

/// The digits of a number without zeros that say nothing. Of one with an exponent: of its double, where that has all of its digits.
fn number(text: &str) -> Option<String> {
    /// Decimal digits that every double keeps.
    const DIGITS: usize = 15;
    if let Some(plain) = plain(text) {
        return Some(plain);
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite() && digits <= DIGITS)?;
    plain(&number.to_string())
}

/// `None`: it is no plain decimal.
fn plain(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let all = || whole.bytes().chain(places.bytes());
    if all().next().is_none() || !all().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (whole, places) = (whole.trim_start_matches('0'), places.trim_end_matches('0'));
    let sign = if whole.is_empty() && places.is_empty() { "" } else { sign };
    Some(format!("{sign}{whole}.{places}"))
}

/// A time of day without a fraction of zeros.
fn time(text: &str) -> String {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    format!("{clock}{seconds}.{}", fraction.trim_end_matches('0'))
}

/// A bare day is its midnight, and a moment without a zone is one of UTC.
fn instant(text: &str) -> Option<String> {
    let text = text.replacen(' ', "T", 1);
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        _ => text,
    };
    let moment = DateTime::parse_from_rfc3339(&whole).or_else(|_| DateTime::parse_from_rfc3339(&format!("{whole}Z")));
    moment.ok().map(|moment| moment.timestamp_micros().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_share_a_text_where_they_are_stored_as_one() {
        for (form, one, other) in [
            (JsonForm::Text, json!("7"), json!(7)),
            (JsonForm::Number, json!("7.0"), json!(7)),
            (JsonForm::Number, json!(-0.0), json!(0)),
            (JsonForm::Number, json!("1000000000000.0000"), json!("1000000000000")),
            (JsonForm::Number, json!("12345678901234.5600"), json!("12345678901234.56")),
            (JsonForm::Number, json!("1e3"), json!(1000)),
            (JsonForm::Number, json!(".50"), json!(0.5)),
            (JsonForm::Boolean, json!(true), json!(1)),
            (JsonForm::Date, json!("2026-07-05"), json!("2026-07-05T10:00:00Z")),
            (JsonForm::Instant, json!("2026-07-05"), json!("2026-07-05T02:00:00+02:00")),
            (JsonForm::Instant, json!("2026-07-05 10:00"), json!("2026-07-05T10:00:00.000Z")),
            (JsonForm::Time, json!("14:30"), json!("14:30:00")),
            (JsonForm::Time, json!("14:30:00.000"), json!("14:30")),
        ] {
            assert_eq!(stored_text(form, &one), stored_text(form, &other), "{one} {other}");
        }
        for (form, one, other) in [
            (JsonForm::Text, json!("a"), json!("A")),
            (JsonForm::Text, json!("a"), json!("a ")),
            (JsonForm::Number, json!("0.10000000000000000001"), json!("0.1")),
            (JsonForm::Number, json!("-5"), json!(5)),
            (JsonForm::Time, json!("14:30:00.100"), json!("14:30")),
            (JsonForm::Date, json!("2026-07-05"), json!("2026-07-06")),
            (JsonForm::Instant, json!("2026-07-05"), json!("2026-07-06")),
        ] {
            assert_ne!(stored_text(form, &one), stored_text(form, &other), "{one} {other}");
        }
    }
}
