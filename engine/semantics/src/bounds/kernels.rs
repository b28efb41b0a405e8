//! Functions of the engine whose work is the product of two lengths, in time that grows with their sum.

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use querygate_resources::proceed;
use std::collections::HashSet;

/// Texts of one row, or of all.
fn texts(value: &ColumnarValue) -> Result<ArrayRef> {
    let array = match value {
        ColumnarValue::Array(array) => ArrayRef::clone(array),
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
    };
    Ok(cast(&array, &DataType::Utf8)?)
}

/// `strpos`: the place of a text in another one, in characters from 1; 0 where it is not there.
pub(super) fn position(args: &[ColumnarValue], rows: usize, returns: &DataType) -> Result<ArrayRef> {
    let arrays = args.iter().map(texts).collect::<Result<Vec<_>>>()?;
    let at = |arg: usize, row: usize| {
        let texts = arrays.get(arg)?.as_string::<i32>();
        let row = if texts.len() == 1 { 0 } else { row };
        (!texts.is_null(row)).then(|| texts.value(row))
    };
    let mut found = Vec::with_capacity(rows);
    for row in 0..rows {
        proceed()?;
        found.push(at(0, row).zip(at(1, row)).map(|(of, wanted)| {
            let before = of.find(wanted).and_then(|byte| of.get(..byte));
            before.map_or(0, |before| i32::try_from(before.chars().count()).unwrap_or(i32::MAX - 1) + 1)
        }));
    }
    Ok(cast(&Int32Array::from(found), returns)?)
}

/// Sets of characters, each character once in the text of its set.
pub(super) fn once_each(sets: &ColumnarValue) -> Result<ColumnarValue> {
    let array = texts(sets)?;
    let mut seen = HashSet::new();
    let once = array.as_string::<i32>().iter().map(|set| {
        seen.clear();
        set.map(|set| set.chars().filter(|one| seen.insert(*one)).collect::<String>())
    });
    let once = cast(&once.collect::<StringArray>(), &sets.data_type())?;
    Ok(match sets {
        ColumnarValue::Array(_) => ColumnarValue::Array(once),
        ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&once, 0)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    #[test]
    fn places_are_counted_in_characters() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("añb"), Some("xyz"), None, Some("")]));
        for (wanted, expected) in [("b", [Some(3), Some(0), None, Some(0)]), ("", [Some(1), Some(1), None, Some(1)])] {
            let args = [ColumnarValue::Array(Arc::clone(&texts)), ColumnarValue::Scalar(ScalarValue::from(wanted))];
            let found = position(&args, 4, &DataType::Int32).unwrap();
            assert_eq!(found.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), expected, "{wanted}");
        }
        let args = [ColumnarValue::Scalar(ScalarValue::from("abc")), ColumnarValue::Scalar(ScalarValue::from("c"))];
        assert_eq!(position(&args, 1, &DataType::Int64).unwrap().len(), 1);
    }

    #[test]
    fn a_set_has_each_character_once() {
        let set = |set: ScalarValue| match once_each(&ColumnarValue::Scalar(set)).unwrap() {
            ColumnarValue::Scalar(set) => set,
            ColumnarValue::Array(sets) => panic!("{sets:?}"),
        };
        assert_eq!(set(ScalarValue::from("xyzzyx")), ScalarValue::from("xyz"));
        assert_eq!(set(ScalarValue::Utf8View(Some("aa".into()))), ScalarValue::Utf8View(Some("a".into())));
        assert_eq!(set(ScalarValue::Utf8(None)), ScalarValue::Utf8(None));
        let sets = ColumnarValue::Array(Arc::new(StringArray::from(vec![Some("aab"), None])));
        let sets = once_each(&sets).unwrap().into_array(2).unwrap();
        assert_eq!(sets.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("ab"), None]);
    }
}
