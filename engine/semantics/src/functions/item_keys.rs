//! What items of arrays are kept apart by, where values are equal that are stored otherwise.

use super::Row;
use super::json::order_key;
use crate::numbers::wide;
use crate::times::interval_length::{self, INTERVAL};
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType as _, DataType, Field};
use datafusion::common::Result;
use datafusion::common::utils::normalize_float_zero;
use querygate_resources::proceed;
use std::sync::Arc;

/// Whether an argument is jsonb, or an array of it, as its field says: to the engine these are texts.
pub(super) fn is_jsonb(row: &Row<'_>, arg: usize) -> bool {
    matches!(row.pg_type(arg), Some("jsonb" | "_jsonb"))
}

/// The keys of items: of numerics of any width, of intervals, and of jsonb. A zero has no sign.
pub(super) fn of(items: &ArrayRef, is_jsonb: bool) -> Result<ArrayRef> {
    Ok(match items.data_type() {
        DataType::Utf8 if is_jsonb => {
            let mut keys = BinaryBuilder::new();
            for text in items.as_string::<i32>() {
                proceed()?;
                keys.append_option(text.map(order_key).transpose()?);
            }
            Arc::new(keys.finish())
        }
        interval if *interval == INTERVAL => interval_length::lengths(items),
        _ => normalize_float_zero(&wide::keys(items)),
    })
}

/// Items, or arrays of them, as what they are equal by: zeros without a sign, the lengths of intervals, and the keys of jsonb.
pub(super) fn of_any(items: &ArrayRef, is_jsonb: bool) -> Result<ArrayRef> {
    let Some(arrays) = items.as_list_opt::<i32>() else { return of(items, is_jsonb) };
    let offsets = arrays.offsets();
    let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    let inner = of_any(&arrays.values().slice(first, last - first), is_jsonb)?;
    let offsets = OffsetBuffer::from_lengths(offsets.lengths());
    let item = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(item, offsets, inner, arrays.nulls().cloned())?))
}

/// A column's values as what they are equal by: those of a key, of which no two are equal.
///
/// # Errors
/// 22003: a number in jsonb has more digits than a numeric.
pub fn equality_keys(values: &ArrayRef, is_jsonb: bool) -> Result<ArrayRef> {
    of_any(values, is_jsonb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, IntervalMonthDayNanoArray, StringArray};
    use arrow::datatypes::{Float64Type, IntervalMonthDayNano};

    fn are_equal(items: ArrayRef, is_jsonb: bool) -> bool {
        let keys = of(&items, is_jsonb).unwrap();
        keys.slice(0, 1) == keys.slice(1, 1)
    }

    #[test]
    fn what_is_equal_has_one_key() {
        let texts = || Arc::new(StringArray::from(vec!["[1, 2]", "[1.0,2.00]"]));
        assert!(are_equal(texts(), true) && !are_equal(texts(), false));
        assert!(are_equal(Arc::new(Float64Array::from(vec![0.0, -0.0])), false));
        let day = |days, hours: i64| IntervalMonthDayNano::new(0, days, hours * 3_600_000_000_000);
        assert!(are_equal(Arc::new(IntervalMonthDayNanoArray::from(vec![day(1, 0), day(0, 24)])), false));
    }

    #[test]
    fn intervals_of_any_dimension_are_their_lengths() {
        let day = |days, hours: i64| IntervalMonthDayNano::new(0, days, hours * 3_600_000_000_000);
        let items: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![day(1, 0), day(0, 24), day(0, 25)]));
        let item = Arc::new(Field::new_list_field(INTERVAL, true));
        let arrays = ListArray::try_new(item, OffsetBuffer::from_lengths([1, 1, 1]), items, None).unwrap();
        let keys = of_any(&(Arc::new(arrays) as ArrayRef), false).unwrap();
        assert!(keys.slice(0, 1) == keys.slice(1, 1) && keys.slice(0, 1) != keys.slice(2, 1));
    }

    #[test]
    fn zeros_of_any_dimension_lose_their_signs() {
        let rows = vec![Some(vec![Some(1.0), Some(-0.0)]), None, Some(vec![Some(-0.0), None])];
        let arrays: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
        let signs = |of: &ArrayRef| {
            let items = of_any(of, false).unwrap();
            let items = items.as_list::<i32>().values().as_primitive::<Float64Type>().clone();
            items.iter().flatten().map(f64::is_sign_negative).collect::<Vec<_>>()
        };
        assert_eq!(signs(&arrays), [false, false, false]);
        // A part of an array, whose items begin elsewhere.
        assert_eq!(signs(&arrays.slice(2, 1)), [false]);
    }
}
