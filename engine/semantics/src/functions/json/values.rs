//! Values as JSON: one, the parts of one, and objects and arrays of several.

use crate::fault::{external, refused};
use crate::functions::{Row, Value};
use crate::json::of_value::{write, write_parts};
use crate::json::print::quoted;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use querygate_types::{Error, ErrorCode};

pub(in crate::functions) fn json_of(row: &Row<'_>, arg: usize) -> Result<String> {
    let mut out = String::new();
    let (array, at) = row.array(arg);
    write(array.as_ref(), at, row.field(arg), row.zone, &mut out)?;
    Ok(out)
}

/// A row or an array, each of whose parts is on a line of its own if the second argument says so.
pub(in crate::functions) fn on_lines(row: &Row<'_>) -> Result<Value> {
    let mut out = String::new();
    let (array, at) = row.array(0);
    let separator = if row.bool(1) { ",\n " } else { "," };
    write_parts(array.as_ref(), at, row.field(0), row.zone, separator, &mut out)?;
    Ok(Value::Text(out))
}

/// `{"a" : 1, "b" : 2}` of keys and values in turn.
pub(in crate::functions) fn object(row: &Row<'_>) -> Result<String> {
    if row.len() % 2 == 1 {
        return Err(refused("argument list must have even number of elements"));
    }
    let mut out = String::from("{");
    for key in (0..row.len()).step_by(2) {
        if row.is_null(key) {
            return Err(external(Error::new(
                ErrorCode::InvalidParameterValue,
                "null value not allowed for object key",
            )));
        }
        let (array, at) = row.array(key);
        let composite = matches!(array.data_type(), DataType::Struct(_) | DataType::List(_));
        if composite || crate::json::of_value::is_json(row.field(key)) {
            return Err(refused("key value must be scalar, not array, composite, or json"));
        }
        let name = crate::casts::display::cast_text_of(array.as_ref(), at, row.field(key), row.zone)?;
        out.push_str(if key > 0 { ", " } else { "" });
        quoted(&name.unwrap_or_default(), &mut out);
        out.push_str(" : ");
        out.push_str(&json_of(row, key + 1)?);
    }
    out.push('}');
    Ok(out)
}

pub(in crate::functions) fn array(row: &Row<'_>) -> Result<String> {
    let items = (0..row.len()).map(|arg| json_of(row, arg)).collect::<Result<Vec<_>>>()?;
    Ok(format!("[{}]", items.join(", ")))
}
