//! What the platform fills by itself, and which values of a caller it drops. Knows no user.

use super::Row;
use crate::filter::FilterValue;
use chrono::{DateTime, SecondsFormat};
use querygate_metadata::model::Field;
use serde_json::Value;

/// Columns the platform stamps; a caller's value is dropped.
const AUDIT: [&str; 4] = ["created_at", "updated_at", "created_by", "updated_by"];

/// A column that the platform fills.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp {
    pub field: String,
    pub value: FilterValue,
    /// Only where the record has no value; else whatever it has.
    pub only_missing: bool,
}

impl Stamp {
    /// Sets the column of a record.
    pub fn apply(&self, record: &mut Row) {
        let value = record.entry(self.field.clone()).or_insert(Value::Null);
        if value.is_null() || !self.only_missing {
            *value = json_of(&self.value);
        }
    }
}

/// The value in a JSON record. What cannot be written as one is null.
pub(crate) fn json_of(value: &FilterValue) -> Value {
    match value {
        FilterValue::Text(text) | FilterValue::Decimal(text) => Value::String(text.clone()),
        FilterValue::Integer(n) => Value::from(*n),
        FilterValue::Boolean(b) => Value::Bool(*b),
        FilterValue::Timestamp(ms) => instant_text(*ms).map_or(Value::Null, Value::String),
        FilterValue::Date(day) => instant_text(i64::from(*day) * 86_400_000)
            .and_then(|text| text.split('T').next().map(str::to_owned))
            .map_or(Value::Null, Value::String),
        FilterValue::Time(ms) => time_text(i64::from(*ms)).map_or(Value::Null, Value::String),
    }
}

/// `2026-03-15T10:00:00.000Z`
pub(super) fn instant_text(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|instant| instant.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// The time of day of an instant, in UTC.
fn time_text(ms: i64) -> Option<String> {
    let text = instant_text(ms)?;
    text.split('T').nth(1).map(|time| time.trim_end_matches('Z').to_owned())
}

/// Whether a caller's value for the field is dropped silently.
pub(crate) fn is_dropped(field: &Field) -> bool {
    AUDIT.contains(&field.name.as_str()) || (field.readonly && !field.system)
}
