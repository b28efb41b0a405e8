//! What calls of functions cost: one table of all functions that a statement may call, and what holds calls to it. Knows no plan.

mod bounded;
mod kernels;
mod result_bytes;
mod table;

pub(crate) use bounded::{bounded, bounded_call, bytes_of, inner_of};
pub(crate) use result_bytes::ResultBytes;
pub use table::{FunctionKind, names};

use crate::casts::conversions;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;
use std::sync::Arc;

/// Whether a physical expression calls what may make more bytes than it is given.
pub fn grows(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let called = expr.downcast_ref::<ScalarFunctionExpr>();
    let own = called.is_some_and(|call| {
        // Values of JSON become trees, which are larger than their texts.
        table::memory(call.fun().name()).grows() || conversions::is_to_json(call.fun())
    });
    own || expr.children().into_iter().any(grows)
}
