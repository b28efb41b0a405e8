//! SQL values as JSON: `to_json` and what builds on it.

use super::print::quoted;
use crate::casts::display::{decimal, json_moment, text_of};
use crate::times::zone::Zone;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Field, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use std::sync::Arc;

/// Whether a field holds JSON already.
pub(crate) fn is_json(field: &Field) -> bool {
    field.metadata().get(PG_TYPE_KEY).is_some_and(|name| matches!(name.as_str(), "json" | "jsonb"))
}

/// The field of an array's items. Whether they are JSON is said by the array's.
pub(crate) fn item_of(list: &Field, item: &Arc<Field>) -> Arc<Field> {
    let json = match list.metadata().get(PG_TYPE_KEY).map(String::as_str) {
        Some("_json") => "json",
        Some("_jsonb") => "jsonb",
        // Dimensions nest.
        _ => return Arc::clone(item),
    };
    let name = if matches!(item.data_type(), DataType::List(_)) { format!("_{json}") } else { json.to_owned() };
    Arc::new(item.as_ref().clone().with_metadata([(PG_TYPE_KEY.to_owned(), name)].into()))
}

/// Appends a row's value as JSON. Composite values and arrays are written without blanks, as `to_json` does.
pub(crate) fn write(array: &dyn Array, row: usize, field: &Field, zone: Zone, out: &mut String) -> Result<()> {
    if array.data_type() == &DataType::Null || array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Decimal128(_, scale) => {
            out.push_str(&decimal(array.as_primitive::<Decimal128Type>().value(row), *scale));
        }
        data_type if data_type.is_numeric() || *data_type == WIDE_NUMERIC => {
            let text = text_of(array, row, field, zone)?.unwrap_or_default();
            // JSON has no NaN and no infinity.
            if text.ends_with(|c: char| c.is_ascii_digit()) { out.push_str(&text) } else { quoted(&text, out) }
        }
        DataType::Timestamp(TimeUnit::Microsecond, own) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            quoted(&json_moment(micros, own.as_ref().map(|_| zone)), out);
        }
        DataType::Timestamp(_, own) => {
            let wanted = DataType::Timestamp(TimeUnit::Microsecond, own.clone());
            let micros = arrow::compute::cast(&array.slice(row, 1), &wanted)?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>().value(0);
            quoted(&json_moment(micros, own.as_ref().map(|_| zone)), out);
        }
        DataType::List(_) | DataType::Struct(_) => write_parts(array, row, field, zone, ",", out)?,
        _ => {
            let text = text_of(array, row, field, zone)?.unwrap_or_default();
            if is_json(field) { out.push_str(&text) } else { quoted(&text, out) }
        }
    }
    Ok(())
}

/// Appends an array's items or a row's fields, as JSON, with so much between them.
pub(crate) fn write_parts(
    array: &dyn Array,
    row: usize,
    field: &Field,
    zone: Zone,
    separator: &str,
    out: &mut String,
) -> Result<()> {
    match array.data_type() {
        DataType::List(item) => {
            let item = &item_of(field, item);
            let items = array.as_list::<i32>().value(row);
            out.push('[');
            for at in 0..items.len() {
                out.push_str(if at > 0 { separator } else { "" });
                write(items.as_ref(), at, item, zone, out)?;
            }
            out.push(']');
            Ok(())
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            out.push('{');
            for (at, (field, column)) in fields.iter().zip(columns.columns()).enumerate() {
                out.push_str(if at > 0 { separator } else { "" });
                quoted(field.name(), out);
                out.push(':');
                write(column.as_ref(), row, field, zone, out)?;
            }
            out.push('}');
            Ok(())
        }
        _ => write(array, row, field, zone, out),
    }
}
