//! Texts of types that have forms of their own, as a cast of SQL reads them: for values that no query casts.

use arrow::array::{ArrayRef, AsArray, StringArray};
use querygate_metadata::model::Field;
use querygate_metadata::model::ValueType;
use querygate_types::{Error, ErrorCode, Result, json, uuid};
use std::sync::Arc;

/// Values of a field, each in the form in which it is stored.
///
/// # Errors
/// 22P02: a text that is no value of the field's type.
pub(in crate::write) fn in_form(values: ArrayRef, field: &Field) -> Result<ArrayRef> {
    let Some(texts) = values.as_string_opt::<i32>() else { return Ok(values) };
    match field.value_type() {
        ValueType::Uuid => {
            let read = |text: &str| uuid::canonical(text).ok_or_else(|| invalid("uuid"));
            let read = texts.iter().map(|text| text.map(read).transpose()).collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StringArray::from(read)))
        }
        ValueType::Json => {
            let is_json = |text: &str| json::tree::parse(text).is_some();
            if texts.iter().flatten().all(is_json) { Ok(values) } else { Err(invalid("json")) }
        }
        _ => Ok(values),
    }
}

fn invalid(name: &str) -> Error {
    Error::new(ErrorCode::InvalidTextRepresentation, format!("invalid input syntax for type {name}"))
}
