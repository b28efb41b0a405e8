//! Values of fields that are given none.

use super::condition::{Scene, Unknown};
use super::contract;
use super::forms::texts;
use super::object::FieldDefault;
use super::stamp::instant_text;
use crate::formula::Cell;
use querygate_metadata::model::{Field, Protocol};
use serde_json::Value;

/// Why a field's default has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// It cannot be compiled.
    Broken,
    /// It has none for this record.
    Unknown(Unknown),
}

impl Unset {
    /// In words that name no value.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Broken => "it cannot be compiled",
            Self::Unknown(unknown) => unknown.reason(),
        }
    }
}

/// A field's default, as it is stored where it fits the field; where not, the field's contract says so.
pub(super) fn value(
    default: &FieldDefault,
    field: &Field,
    scene: &Scene<'_>,
    protocol: Protocol,
) -> Result<Value, Unset> {
    let value = match default {
        FieldDefault::Literal(value) => value.clone(),
        FieldDefault::Now => instant_text(scene.now_ms).map_or(Value::Null, Value::String),
        FieldDefault::CurrentUser => Value::String(scene.principal.user_id.clone()),
        FieldDefault::Computed(rule) => json_of(&rule.value(scene).map_err(Unset::Unknown)?),
        FieldDefault::Broken => return Err(Unset::Broken),
    };
    let is_blank = contract::is_missing(field, Some(&value));
    let stored = if is_blank { Ok(value.clone()) } else { contract::check(field, &value, protocol) };
    Ok(stored.unwrap_or(value))
}

fn json_of(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Boolean(flag) => Value::Bool(*flag),
        Cell::Integer(number) => Value::from(*number),
        Cell::Float(number) => texts::json_number(*number),
        Cell::Text(text) => Value::String(text.clone()),
        Cell::Date(_) | Cell::Timestamp(_) => cell.render().map_or(Value::Null, Value::String),
        Cell::List(items) => Value::Array(items.iter().map(json_of).collect()),
    }
}
