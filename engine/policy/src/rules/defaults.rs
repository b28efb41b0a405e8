//! Values of fields that are given none. A default that has no value is none.

use super::condition::Scene;
use super::contract;
use super::object::FieldDefault;
use super::stamp::instant_text;
use super::texts;
use crate::formula::Cell;
use querygate_metadata::model::Field;
use serde_json::Value;

/// A field's default, as it is stored where it fits the field; where not, the field's contract says so.
pub(super) fn value(default: &FieldDefault, field: &Field, scene: &Scene<'_>) -> Value {
    let value = match default {
        FieldDefault::Literal(value) => value.clone(),
        FieldDefault::Now => instant_text(scene.now_ms).map_or(Value::Null, Value::String),
        FieldDefault::CurrentUser => Value::String(scene.principal.user_id.clone()),
        FieldDefault::Computed(rule) => rule.value(scene).map_or(Value::Null, |cell| json_of(&cell)),
        FieldDefault::Broken => Value::Null,
    };
    let is_blank = contract::is_missing(field, Some(&value));
    let stored = if is_blank { Ok(value.clone()) } else { contract::check(field, &value) };
    stored.unwrap_or(value)
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
