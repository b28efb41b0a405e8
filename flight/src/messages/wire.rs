//! The types that results have on the wire: what every Flight client reads, promised before a row is there and kept.
//! Knows no message.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use querygate_query_api::column::{Column, PG_TYPE_KEY, arrow_type_of, pg_type_of};
use querygate_query_api::own_texts::texts_of_own_types;
use querygate_query_api::service::Prepared;
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::{NEAREST_DOUBLE_KEY, WIDE_NUMERIC, nearest_doubles};
use querygate_types::{Error, PgType, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// Flight SQL's key of field metadata for the type's name in the database.
const TYPE_NAME_KEY: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";

/// Schema of a statement's rows on the wire; no columns for a statement that returns none.
pub(crate) fn result_schema(prepared: &dyn Prepared) -> SchemaRef {
    match (prepared.schema(), prepared.columns()) {
        (Some(schema), _) => wire_schema(&schema),
        (None, Some(columns)) => wire_schema(&Schema::new(columns.iter().map(described).collect::<Vec<_>>())),
        (None, None) => Arc::new(Schema::empty()),
    }
}

/// A column of which only the Postgres type is known.
fn described(column: &Column) -> Field {
    let data_type = arrow_type_of(column.pg_type).unwrap_or(DataType::Utf8);
    let metadata = HashMap::from([(PG_TYPE_KEY.to_owned(), column.pg_type.name().to_owned())]);
    Field::new(&column.name, data_type, true).with_metadata(metadata)
}

/// Schema of a statement's parameters.
pub(crate) fn parameter_schema(types: &[PgType]) -> SchemaRef {
    let field = |(index, pg_type): (usize, &PgType)| {
        let data_type = arrow_type_of(*pg_type).unwrap_or(DataType::Utf8);
        let metadata = HashMap::from([(PG_TYPE_KEY.to_owned(), pg_type.name().to_owned())]);
        Field::new(format!("${}", index + 1), data_type, true).with_metadata(metadata)
    };
    wire_schema(&Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>()))
}

pub(crate) fn wire_schema(schema: &Schema) -> SchemaRef {
    let named = |field: &FieldRef| {
        let mut metadata = field.metadata().clone();
        metadata.insert(TYPE_NAME_KEY.to_owned(), pg_type_of(field).name().to_owned());
        wire_field(field).as_ref().clone().with_metadata(metadata)
    };
    Arc::new(Schema::new(schema.fields().iter().map(named).collect::<Vec<_>>()))
}

fn wire_field(field: &FieldRef) -> FieldRef {
    let double = *field.data_type() == WIDE_NUMERIC && field.metadata().contains_key(NEAREST_DOUBLE_KEY);
    let wired = if double { DataType::Float64 } else { wire_type(field.data_type()) };
    if wired == *field.data_type() { Arc::clone(field) } else { Arc::new(field.as_ref().clone().with_data_type(wired)) }
}

/// The engine's own layouts (views, run ends, short decimals) become those that every client has; the rest stays, so that
/// no value is touched. A view would also carry buffers that its slice does not use.
fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null | DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        // Arrow has no numeric without a scale, no time of day with a zone, and no address.
        own if *own == WIDE_NUMERIC || *own == TimeTz::ARROW || *own == NETWORK => DataType::Utf8,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::ListView(item) | DataType::List(item) => DataType::List(wire_field(item)),
        DataType::LargeListView(item) | DataType::LargeList(item) => DataType::LargeList(wire_field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(wire_field(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(wire_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(wire_type(values))),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Timestamp(..)
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::LargeBinary
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Union(..) => data_type.clone(),
    }
}

/// A batch in the promised types. Columns that have them already are shared, not copied.
pub(crate) fn to_wire(batch: &RecordBatch, promised: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != promised.fields().len() {
        return Err(Error::internal("a batch has another number of columns than was promised"));
    }
    // A value that is none of the promised type ends the stream; it does not become NULL.
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let columns: Vec<ArrayRef> = promised
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            if column.data_type() == field.data_type() {
                return Ok(Arc::clone(column));
            }
            if *column.data_type() == WIDE_NUMERIC && *field.data_type() == DataType::Float64 {
                return Ok(Arc::new(nearest_doubles(column.as_binary())?));
            }
            // Arrow would take the bytes of own types for those of texts.
            let column = texts_of_own_types(column, pg_type_of(field))?.unwrap_or_else(|| Arc::clone(column));
            if column.data_type() == field.data_type() {
                return Ok(column);
            }
            cast_with_options(&column, field.data_type(), &exact).map_err(Error::internal)
        })
        .collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(promised), columns, &options).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, Int32Array, ListArray, NullArray, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    #[test]
    fn views_and_nulls_become_what_clients_read_and_the_rest_is_shared() {
        let views: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("a text that is longer than a view holds"), None]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let nulls: ArrayRef = Arc::new(NullArray::new(2));
        let lists: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None]));
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("v", views, true),
            ("n", Arc::clone(&numbers), false),
            ("z", nulls, true),
            ("l", Arc::clone(&lists), true),
        ])
        .unwrap();
        let promised = wire_schema(&batch.schema());
        let types: Vec<String> = promised.fields().iter().map(|f| f.data_type().to_string()).collect();
        assert_eq!(types[..3], ["Utf8", "Int32", "Utf8"]);
        assert_eq!(promised.field(1).metadata()[TYPE_NAME_KEY], "int4");
        assert_eq!(promised.field(3).metadata()[TYPE_NAME_KEY], "_int4");
        let wired = to_wire(&batch, &promised).unwrap();
        let texts = wired.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!((texts.value(0), texts.is_null(1)), ("a text that is longer than a view holds", true));
        assert_eq!(wired.column(2).null_count(), 2);
        assert!(Arc::ptr_eq(wired.column(1), &numbers) && Arc::ptr_eq(wired.column(3), &lists));
    }
}
