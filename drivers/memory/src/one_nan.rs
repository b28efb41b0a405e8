//! One NaN. A float that is no number may have any sign and any bits, as sources write it, and comparisons of Arrow tell these
//! apart: one with its sign set would be less than every number. Postgres knows one NaN, equal to itself and greater than all
//! numbers; so do rows once they are read. Zeros keep their signs.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions, make_array,
};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The number type of half precision, which this crate does not depend on by name.
type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// The batch with one NaN, in lists and structs too. Columns that have no other are the same arrays.
///
/// # Errors
/// Internal only.
pub fn with_one_nan(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut changed: Option<Vec<ArrayRef>> = None;
    for (at, column) in batch.columns().iter().enumerate() {
        if let Some(column) = one_nan(column)? {
            changed.get_or_insert_with(|| batch.columns().to_vec())[at] = column;
        }
    }
    match changed {
        None => Ok(batch),
        Some(columns) => {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(batch.schema(), columns, &options)
        }
    }
}

/// `None`: it has no other NaN.
fn one_nan(array: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    match array.data_type() {
        DataType::Float16 => {
            let is_other = |value: Half| value.is_nan() & (value.to_bits() != Half::NAN.to_bits());
            Ok(replaced::<Float16Type>(array, Half::NAN, is_other))
        }
        DataType::Float32 => {
            let is_other = |value: f32| value.is_nan() & (value.to_bits() != f32::NAN.to_bits());
            Ok(replaced::<Float32Type>(array, f32::NAN, is_other))
        }
        DataType::Float64 => {
            let is_other = |value: f64| value.is_nan() & (value.to_bits() != f64::NAN.to_bits());
            Ok(replaced::<Float64Type>(array, f64::NAN, is_other))
        }
        // Whatever holds floats holds them as the values of an array within it.
        _ => within(array),
    }
}

fn replaced<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    nan: T::Native,
    is_other: impl Fn(T::Native) -> bool,
) -> Option<ArrayRef> {
    let values = array.as_primitive::<T>();
    // Without a branch, so that many are looked at in a step.
    if !values.values().iter().fold(false, |found, value| found | is_other(*value)) {
        return None;
    }
    let replaced: PrimitiveArray<T> = values.unary(|value| if is_other(value) { nan } else { value });
    Some(Arc::new(replaced))
}

fn within(array: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    let data = array.to_data();
    let mut changed = false;
    let mut children = Vec::with_capacity(data.child_data().len());
    for child in data.child_data() {
        match one_nan(&make_array(child.clone()))? {
            Some(child) => {
                changed = true;
                children.push(child.to_data());
            }
            None => children.push(child.clone()),
        }
    }
    if !changed {
        return Ok(None);
    }
    Ok(Some(make_array(data.into_builder().child_data(children).build()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, ListArray, StructArray};
    use arrow::datatypes::Field;

    fn bits(array: &ArrayRef) -> Vec<Option<u64>> {
        array.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect()
    }

    #[test]
    fn every_nan_becomes_one_and_nothing_else_changes() {
        let other = f64::from_bits(0xfff8_0000_0000_0000);
        let odd = f64::from_bits(0x7ff0_0000_0000_0001);
        let values = [Some(other), Some(-0.0), None, Some(f64::NEG_INFINITY), Some(odd), Some(1.5)];
        let floats: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![1; 6]));
        let batch = RecordBatch::try_from_iter([("f", Arc::clone(&floats)), ("i", Arc::clone(&ints))]).unwrap();
        let read = with_one_nan(batch).unwrap();
        let wanted = [Some(f64::NAN), Some(-0.0), None, Some(f64::NEG_INFINITY), Some(f64::NAN), Some(1.5)];
        assert_eq!(bits(read.column(0)), wanted.map(|value| value.map(f64::to_bits)));
        assert!(Arc::ptr_eq(read.column(1), &ints));
        assert!(one_nan(read.column(0)).unwrap().is_none(), "it has one NaN now");
        assert_eq!(bits(&one_nan(&floats.slice(3, 3)).unwrap().unwrap())[1], Some(f64::NAN.to_bits()));
    }

    #[test]
    fn a_table_in_memory_has_one_nan() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![-f64::NAN, 1.0]));
        let batch = RecordBatch::try_from_iter([("f", floats)]).unwrap();
        let table = crate::MemoryTable::new("t", batch.schema(), vec![batch]).unwrap();
        assert_eq!(bits(table.batches()[0].column(0)), [f64::NAN, 1.0].map(|value| Some(value.to_bits())));
    }

    #[test]
    fn lists_and_structs_have_one_nan_too() {
        let other = -f64::NAN;
        let list = ListArray::from_iter_primitive::<Float64Type, _, _>([
            Some(vec![Some(1.0), Some(other)]),
            None,
            Some(vec![Some(other)]),
        ]);
        let list: ArrayRef = Arc::new(list.slice(1, 2));
        let list = one_nan(&list).unwrap().unwrap();
        assert_eq!(bits(&list.as_list::<i32>().value(1)), [Some(f64::NAN.to_bits())]);
        assert!(list.is_null(0));
        let half: ArrayRef = Arc::new(PrimitiveArray::<Float16Type>::from_iter_values([-Half::NAN, Half::ONE]));
        let single: ArrayRef = Arc::new(PrimitiveArray::<Float32Type>::from_iter_values([-f32::NAN, -0.0]));
        let named = |name: &str, array: ArrayRef| (Arc::new(Field::new(name, array.data_type().clone(), true)), array);
        let both: ArrayRef = Arc::new(StructArray::from(vec![named("h", half), named("s", single)]));
        let both = one_nan(&both).unwrap().unwrap();
        let (half, single) = (both.as_struct().column(0), both.as_struct().column(1));
        assert_eq!(half.as_primitive::<Float16Type>().value(0).to_bits(), Half::NAN.to_bits());
        assert_eq!(single.as_primitive::<Float32Type>().value(0).to_bits(), f32::NAN.to_bits());
        assert!(single.as_primitive::<Float32Type>().value(1).is_sign_negative());
    }
}
