//! Functions that look at their arguments' types or at whether they are NULL.

use super::call::form::{P, R, form, variadic};
use super::{Def, Row, Value, lenient, strict};
use crate::casts::display::text_of;
use arrow::array::Array;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue};
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use std::sync::Arc;

pub(super) const DEFS: &[Def] = &[
    strict(
        "num_null_elements",
        &[form(&[P::AnyArray], R::Int4, |r| Ok(Value::Int(i64::try_from(r.list(0).null_count()).unwrap_or(i64::MAX))))],
    ),
    lenient("num_nulls", &[variadic(&[P::Any], P::Any, R::Int4, |r| nulls(r, true))]),
    lenient("num_nonnulls", &[variadic(&[P::Any], P::Any, R::Int4, |r| nulls(r, false))]),
    lenient(
        "pg_typeof",
        &[form(&[P::Any], R::By(|_, _| Ok(regtype())), |r| {
            let oid = if r.field(0).data_type() == &DataType::Null { 705 } else { pg_type_of(r.field(0)).oid() };
            Ok(Value::Any(ScalarValue::UInt32(Some(oid))))
        })],
    ),
    lenient("row_named", &[variadic(&[], P::Any, R::By(|args, names| Ok(named(args, names))), row_of_pairs)]),
    lenient(
        "row_if_any",
        &[variadic(&[], P::Any, R::By(|args, names| Ok(named(args, names))), |r| {
            let nothing = (1..r.len()).step_by(2).all(|arg| r.is_null(arg));
            if nothing { Ok(Value::Null) } else { row_of_pairs(r) }
        })],
    ),
    lenient("record_of", &[variadic(&[], P::Any, R::By(|args, _| Ok(record(args))), row)]),
    strict(
        "display",
        &[form(&[P::Any], R::Text, |r| {
            let (array, at) = r.array(0);
            Ok(text_of(array.as_ref(), at, r.field(0), r.zone)?.map_or(Value::Null, Value::Text))
        })],
    ),
];

fn regtype() -> Field {
    Field::new("pg_typeof", DataType::UInt32, true)
        .with_metadata([(PG_TYPE_KEY.to_owned(), "regtype".to_owned())].into())
}

fn nulls(row: &Row<'_>, wanted: bool) -> Result<Value> {
    let count = (0..row.len()).filter(|arg| row.is_null(*arg) == wanted).count();
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn record(args: &[FieldRef]) -> Field {
    let fields: Fields = args
        .iter()
        .zip(1..)
        .map(|(field, number)| {
            let data_type =
                if field.data_type() == &DataType::Null { DataType::Utf8 } else { field.data_type().clone() };
            Field::new(format!("f{number}"), data_type, true).with_metadata(field.metadata().clone())
        })
        .collect();
    Field::new("row", DataType::Struct(fields), true)
        .with_metadata([(PG_TYPE_KEY.to_owned(), "record".to_owned())].into())
}

/// A record whose fields have names: arguments are names and values in turn.
fn named(args: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Field {
    let values: Vec<FieldRef> = args.iter().skip(1).step_by(2).cloned().collect();
    let names = constants.iter().step_by(2).map(|name| name.and_then(|n| n.try_as_str().flatten()).unwrap_or_default());
    let record = record(&values);
    let DataType::Struct(fields) = record.data_type() else { return record };
    let fields = fields.iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    record.clone().with_data_type(DataType::Struct(fields))
}

fn row(row: &Row<'_>) -> Result<Value> {
    record_of(row, |place| place)
}

fn row_of_pairs(row: &Row<'_>) -> Result<Value> {
    record_of(row, |place| 2 * place + 1)
}

/// The record of a row's arguments; `argument`: which one a field is.
fn record_of(row: &Row<'_>, argument: impl Fn(usize) -> usize) -> Result<Value> {
    let DataType::Struct(fields) = row.returns.data_type() else { return Ok(Value::Null) };
    let mut columns = Vec::with_capacity(fields.len());
    for (place, field) in fields.iter().enumerate() {
        let (array, at) = row.array(argument(place));
        columns.push(arrow::compute::cast(&array.slice(at, 1), field.data_type())?);
    }
    let one = arrow::array::StructArray::try_new_with_length(fields.clone(), columns, None, 1)?;
    Ok(Value::Any(ScalarValue::Struct(Arc::new(one))))
}
