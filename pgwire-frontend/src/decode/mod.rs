//! Bound parameters to one-element Arrow arrays, text and binary, every type. Knows no socket and no statement.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod array;
mod binary;
mod datetime;
mod given;
mod interval;
mod numeric;
mod text;
mod value;

pub(crate) use given::given;
pub(crate) use value::{Decimal, Value};

use crate::report::Report;
use crate::wire::{Format, invalid_bytes};
use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use querygate_query_api::column::arrow_type_of;
use querygate_query_api::service::Session;
use querygate_query_api::values::zone::Zone;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// The session's zone when a parameter depends on it.
pub(crate) fn session_zone(session: &dyn Session, types: &[PgType]) -> Result<Zone> {
    let depends = types.iter().any(|pg_type| {
        matches!(pg_type, PgType::Timestamptz | PgType::TimestamptzArray | PgType::Timetz | PgType::TimetzArray)
    });
    match depends.then(|| session.setting("TimeZone")).flatten() {
        Some(name) => Zone::required(&name),
        None => Ok(Zone::UTC),
    }
}

/// One parameter, `number` from 1. NULL becomes an array of one NULL.
pub(crate) fn decode_parameter(
    pg_type: PgType,
    format: Format,
    bytes: Option<&[u8]>,
    number: usize,
    zone: &Zone,
) -> std::result::Result<ArrayRef, Report> {
    let Some(data_type) = arrow_type_of(pg_type) else {
        return Err(Report::error(
            ErrorCode::FeatureNotSupported,
            format!("input of type {} is not supported", pg_type.sql_name()),
        ));
    };
    let Some(bytes) = bytes else { return Ok(new_null_array(&data_type, 1)) };
    // The engine reads it, by the rules of its literals and in the session's zone.
    if format == Format::Text && pg_type == PgType::Timetz {
        return Ok(Arc::new(StringArray::from(vec![utf8(bytes)?])));
    }
    let decoded = match format {
        Format::Text => utf8(bytes).and_then(|text| text::value(pg_type, text, *zone)),
        Format::Binary => binary::value(pg_type, bytes, number),
    };
    Ok(decoded.and_then(|value| value::array_of_one(pg_type, value, &data_type))?)
}

/// One value of a column, `number` from 1, for [`column`].
///
/// # Errors
/// 22P02 and others: it is no value of this type.
pub(crate) fn value_of(pg_type: PgType, format: Format, bytes: &[u8], number: usize, zone: &Zone) -> Result<Value> {
    match format {
        Format::Text => text::value(pg_type, utf8(bytes)?, *zone),
        Format::Binary => binary::value(pg_type, bytes, number),
    }
}

/// Values of one column.
///
/// # Errors
/// Internal: values of another type.
pub(crate) fn column(pg_type: PgType, values: Vec<Option<Value>>, data_type: &DataType) -> Result<ArrayRef> {
    let array = value::array(pg_type, values, data_type)?;
    // Decimals choose their scale by their values.
    if array.data_type() == data_type { Ok(array) } else { cast(&array, data_type).map_err(Error::internal) }
}

/// Text of a parameter. Zero bytes are no characters in PostgreSQL.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    let wrong = |shown: String| {
        Error::new(ErrorCode::CharacterNotInRepertoire, format!("invalid byte sequence for encoding \"UTF8\": {shown}"))
    };
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(invalid_bytes(bytes, &error)))?;
    if bytes.contains(&0) { Err(wrong("0x00".to_owned())) } else { Ok(text) }
}

/// `invalid input syntax for type …`, with the client's own text.
fn syntax(pg_type: PgType, text: &str) -> Error {
    let code = match pg_type {
        PgType::Date | PgType::Time | PgType::Timetz | PgType::Timestamp | PgType::Timestamptz | PgType::Interval => {
            ErrorCode::InvalidDatetimeFormat
        }
        _ => ErrorCode::InvalidTextRepresentation,
    };
    Error::new(code, format!("invalid input syntax for type {}: \"{text}\"", pg_type.sql_name()))
}

fn out_of_range(pg_type: PgType, text: &str) -> Error {
    Error::new(
        ErrorCode::NumericOutOfRange,
        format!("value \"{text}\" is out of range for type {}", pg_type.sql_name()),
    )
}
