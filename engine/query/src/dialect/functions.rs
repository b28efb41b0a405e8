//! Helper functions that the rewrite puts into statements. Users may call them too; they do no harm.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// All helpers.
pub(crate) fn helpers() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(WithOrdinality { signature: Signature::any(1, Volatility::Immutable) })),
        Arc::new(ScalarUDF::new_from_impl(ArrayOrEmpty { signature: Signature::any(1, Volatility::Immutable) })),
    ]
}

fn item_of(data_type: &DataType) -> Result<Arc<Field>> {
    match data_type {
        DataType::List(item) => Ok(Arc::clone(item)),
        DataType::Null => Ok(Arc::new(Field::new("item", DataType::Null, true))),
        other => plan_err!("an array is needed, not {other}"),
    }
}

/// A list as a list of (value, ordinality).
#[derive(Debug, PartialEq, Eq, Hash)]
struct WithOrdinality {
    signature: Signature,
}

fn numbered(item: &Arc<Field>) -> Fields {
    Fields::from(vec![
        Field::new("value", item.data_type().clone(), true).with_metadata(item.metadata().clone()),
        Field::new("ordinality", DataType::Int64, true),
    ])
}

impl ScalarUDFImpl for WithOrdinality {
    fn name(&self) -> &'static str {
        "with_ordinality"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let item = item_of(arguments.first().unwrap_or(&DataType::Null))?;
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Struct(numbered(&item)), true))))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::List(row) = args.return_field.data_type().clone() else { return exec_err!("a list is returned") };
        let DataType::Struct(fields) = row.data_type().clone() else { return exec_err!("a list of rows is returned") };
        let Some(list) = as_list(&args)? else {
            return Ok(ColumnarValue::Array(arrow::array::new_null_array(
                args.return_field.data_type(),
                args.number_rows,
            )));
        };
        let mut positions = Vec::with_capacity(list.values().len());
        let mut pieces: Vec<ArrayRef> = Vec::with_capacity(list.len());
        let mut lengths = Vec::with_capacity(list.len());
        for row in 0..list.len() {
            let length = if list.is_null(row) { 0 } else { list.value(row).len() };
            if length > 0 {
                pieces.push(list.value(row));
            }
            positions.extend(1..=i64::try_from(length).unwrap_or(i64::MAX));
            lengths.push(length);
        }
        let references: Vec<&dyn Array> = pieces.iter().map(|p| p.as_ref()).collect();
        let item_type = list.value_type();
        let values =
            if references.is_empty() { new_empty_array(&item_type) } else { arrow::compute::concat(&references)? };
        let rows = StructArray::try_new(fields, vec![values, Arc::new(Int64Array::from(positions))], None)?;
        let nulls: NullBuffer = (0..list.len()).map(|r| !list.is_null(r)).collect();
        let list = ListArray::try_new(row, OffsetBuffer::from_lengths(lengths), Arc::new(rows), Some(nulls))?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}

fn as_list(args: &ScalarFunctionArgs) -> Result<Option<ListArray>> {
    let Some(first) = args.args.first() else { return exec_err!("an array is needed") };
    let array = first.to_array(args.number_rows)?;
    Ok(if array.data_type() == &DataType::Null { None } else { Some(array.as_list::<i32>().clone()) })
}

/// A list, or an empty one for NULL: `ARRAY(SELECT …)` of no rows is `{}`, `array_agg` of none is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayOrEmpty {
    signature: Signature,
}

impl ScalarUDFImpl for ArrayOrEmpty {
    fn name(&self) -> &'static str {
        "array_or_empty"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item_of(arguments.first().unwrap_or(&DataType::Null))?))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::List(item) = args.return_field.data_type().clone() else {
            return exec_err!("a list is returned");
        };
        let Some(list) = as_list(&args)? else {
            let empty = ListArray::try_new(
                Arc::clone(&item),
                OffsetBuffer::from_lengths(vec![0; args.number_rows]),
                new_empty_array(item.data_type()),
                None,
            )?;
            return Ok(ColumnarValue::Array(Arc::new(empty)));
        };
        let lengths = (0..list.len()).map(|r| if list.is_null(r) { 0 } else { list.value(r).len() });
        let offsets = OffsetBuffer::from_lengths(lengths);
        let pieces: Vec<ArrayRef> = (0..list.len()).filter(|r| !list.is_null(*r)).map(|r| list.value(r)).collect();
        let references: Vec<&dyn Array> = pieces.iter().map(|p| p.as_ref()).collect();
        let values = if references.is_empty() {
            new_empty_array(item.data_type())
        } else {
            arrow::compute::concat(&references)?
        };
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(item, offsets, values, None)?)))
    }
}
