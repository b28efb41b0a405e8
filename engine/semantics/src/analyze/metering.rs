//! Which physical expressions their operator is to charge.

use super::joined_texts::joining;
use crate::bounds::memory;
use crate::casts::conversions::may_lengthen;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;
use std::sync::Arc;

/// Whether a physical expression calls what may make more bytes than it is given. What a call charges is charged to its operator's
/// meter, and to nothing where there is none.
pub fn grows(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let called = expr.downcast_ref::<ScalarFunctionExpr>();
    // The last two have no name in SQL, and no line in the table. Values of JSON become trees, which are larger than their texts.
    let own = called
        .is_some_and(|call| memory(call.fun().name()).grows() || *call.fun() == *joining() || may_lengthen(call.fun()));
    own || expr.children().into_iter().any(grows)
}
