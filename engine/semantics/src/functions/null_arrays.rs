//! Arrays that are NULL without what lies under them: a CASE or a NULLIF hides an array's items and leaves them where they are, and the
//! engine's functions that add an item would find them again. Knows no plan.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType as _, DataType, FieldRef};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::sync::{Arc, LazyLock};

const NAME: &str = "bare_array";

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(BareArray { signature: Signature::any(1, Volatility::Immutable) }))
});

/// A call that adds an item to an array, of which it takes nothing where it is NULL. Whether it is one.
pub(crate) fn bared(call: &mut ScalarFunction, schema: &DFSchema) -> Result<bool> {
    let place = match call.name() {
        "array_append" => 0,
        "array_prepend" => 1,
        _ => return Ok(false),
    };
    let Some(array) = call.args.get_mut(place) else { return Ok(false) };
    let is_bare = match &*array {
        Expr::Literal(..) => true,
        Expr::ScalarFunction(inner) => inner.name() == NAME,
        _ => false,
    };
    if is_bare || !matches!(array.get_type(schema)?, DataType::List(_)) {
        return Ok(false);
    }
    *array = FUNCTION.call(vec![std::mem::take(array)]);
    Ok(true)
}

/// The lists, of which those that are NULL have no items.
fn bare(lists: &ListArray) -> Result<ListArray> {
    let hides = |row: usize| lists.is_null(row) && lists.value_length(row) > 0;
    if lists.null_count() == 0 || !(0..lists.len()).any(hides) {
        return Ok(lists.clone());
    }
    let DataType::List(item) = lists.data_type() else { return internal_err!("a list is of lists' type") };
    let offsets = lists.offsets();
    let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    let shown: Vec<(bool, usize)> =
        offsets.lengths().enumerate().map(|(row, length)| (lists.is_valid(row), length)).collect();
    let kept: BooleanArray =
        shown.iter().flat_map(|(is_shown, length)| std::iter::repeat_n(Some(*is_shown), *length)).collect();
    let items = arrow::compute::filter(&lists.values().slice(first, last - first), &kept)?;
    let lengths = shown.into_iter().map(|(is_shown, length)| if is_shown { length } else { 0 });
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(Arc::clone(item), offsets, items, lists.nulls().cloned())?)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BareArray {
    signature: Signature,
}

impl ScalarUDFImpl for BareArray {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the argument decides")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [array] => Ok(Arc::new(array.as_ref().clone().with_name(NAME))),
            _ => internal_err!("one array is bare"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => {
                let values: ArrayRef = Arc::new(bare(values.as_list::<i32>())?);
                Ok(ColumnarValue::Array(values))
            }
            [value @ ColumnarValue::Scalar(_)] => Ok(value.clone()),
            _ => internal_err!("one array is bare"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int32Array;
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::{Field, Int32Type};

    #[test]
    fn nothing_lies_under_an_array_that_is_null() {
        let item = Arc::new(Field::new("item", DataType::Int32, true));
        let items: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None, Some(4), Some(5)]));
        let nulls = NullBuffer::from(vec![true, false, true, false]);
        let lists = ListArray::try_new(item, OffsetBuffer::from_lengths([1, 2, 1, 1]), items, Some(nulls)).unwrap();
        let found = bare(&lists).unwrap();
        let shown = |of: &ListArray| {
            let rows = of.iter().map(|row| row.map(|row| row.as_primitive::<Int32Type>().iter().collect::<Vec<_>>()));
            rows.collect::<Vec<_>>()
        };
        assert_eq!(shown(&found), shown(&lists));
        assert_eq!(found.values().as_ref(), &Int32Array::from(vec![1, 4]) as &dyn Array);
        let part = bare(&lists.slice(1, 2)).unwrap();
        assert_eq!(part.values().as_ref(), &Int32Array::from(vec![4]) as &dyn Array);
        assert_eq!(part.offsets().lengths().collect::<Vec<_>>(), [0, 1]);
    }
}
