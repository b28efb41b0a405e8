//! Which physical expressions their operator is to charge.

use crate::bounds::memory;
use crate::casts::conversions;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;
use std::sync::Arc;

/// Whether a physical expression calls what may make more bytes than it is given.
pub fn grows(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let called = expr.downcast_ref::<ScalarFunctionExpr>();
    let own = called.is_some_and(|call| {
        // Values of JSON become trees, which are larger than their texts.
        memory(call.fun().name()).grows() || conversions::is_to_json(call.fun())
    });
    own || expr.children().into_iter().any(grows)
}
