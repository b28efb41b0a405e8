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
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// What a function gives for no rows. The engine gives for a CASE over none the constant of its first branch, which is not to be computed
/// with: it may be what the others are kept apart from.
pub(crate) fn of_no_rows(args: &ScalarFunctionArgs) -> Option<ColumnarValue> {
    (args.number_rows == 0).then(|| ColumnarValue::Array(new_empty_array(args.return_field.data_type())))
}
