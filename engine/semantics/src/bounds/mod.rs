//! What calls of functions cost: one table of all functions that a statement may call, and what holds calls to it. Knows no plan.

mod bounded;
mod kernels;
mod result_bytes;
mod table;

pub(crate) use bounded::{bounded, bounded_call, bytes_of, inner_of};
pub(crate) use result_bytes::ResultBytes;
pub(crate) use table::memory;
pub use table::{FunctionKind, names};

use arrow::array::new_empty_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// What a function gives for no rows. The engine gives for a CASE over none the constant of its first branch, which is not to be computed
/// with: it may be what the others are kept apart from.
pub(crate) fn of_no_rows(args: &ScalarFunctionArgs) -> Option<ColumnarValue> {
    (args.number_rows == 0).then(|| ColumnarValue::Array(new_empty_array(args.return_field.data_type())))
}

/// What a function that computes columns gives. Of constants it is computed once: a constant as a column is as often there as there are rows.
///
/// # Errors
/// Those of `call`.
pub fn once_of_constants(
    args: ScalarFunctionArgs,
    call: impl FnOnce(ScalarFunctionArgs) -> Result<ColumnarValue>,
) -> Result<ColumnarValue> {
    let constant = !args.args.is_empty() && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    if !constant || args.number_rows == 0 {
        return call(args);
    }
    let array = call(ScalarFunctionArgs { number_rows: 1, ..args })?.into_array(1)?;
    ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar)
}
