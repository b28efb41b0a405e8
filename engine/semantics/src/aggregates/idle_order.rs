//! ORDER BY within an aggregate that gives the same for each order. The engine hands the keys over beside the arguments, and most of its
//! accumulators take one column only.

use crate::fault::external;
use datafusion::common::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;
use querygate_types::{Error, ErrorCode};

/// Aggregates whose result depends on the order of their rows.
const ORDERED: &[&str] = &["array_agg", "first_value", "last_value", "nth_value", "string_agg"];

/// Leaves such an order out; gives whether there was one.
///
/// # Errors
/// 42P10: the values of an aggregate with DISTINCT are ordered by something else.
pub(crate) fn left_out(call: &mut AggregateFunction) -> Result<bool> {
    let params = &mut call.params;
    // The values of WITHIN GROUP stand there.
    if params.order_by.is_empty() || call.func.supports_within_group_clause() {
        return Ok(false);
    }
    if ORDERED.contains(&call.func.name()) {
        return Ok(false);
    }
    let args: Vec<&Expr> = params.args.iter().map(written).collect();
    if params.distinct && params.order_by.iter().any(|key| !args.contains(&written(&key.expr))) {
        let text = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
        return Err(external(Error::new(ErrorCode::InvalidColumnReference, text)));
    }
    params.order_by.clear();
    Ok(true)
}

/// An expression without the casts that bring it to the type that is wanted.
fn written(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => written(&cast.expr),
        other => other,
    }
}
