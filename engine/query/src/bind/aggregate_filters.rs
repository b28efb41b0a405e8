//! Conditions of FILTER that are no conditions: the engine takes any value for one.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use querygate_types::{Error, ErrorCode, Result};

/// Refuses aggregates over rows that something else than a condition chooses.
///
/// # Errors
/// 42804.
pub(crate) fn refuse_filters(plan: &LogicalPlan) -> Result<()> {
    let mut refused = false;
    // The closures never fail, so neither do the walks.
    let _ = plan.apply_with_subqueries(|node| {
        let [input] = node.inputs()[..] else { return Ok(TreeNodeRecursion::Continue) };
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                refused |= filter_of(part).is_some_and(|filter| !may_be_condition(filter, input));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    if refused {
        return Err(Error::new(ErrorCode::DatatypeMismatch, "argument of FILTER must be type boolean"));
    }
    Ok(())
}

fn filter_of(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::AggregateFunction(call) => call.params.filter.as_deref(),
        Expr::WindowFunction(call) => call.params.filter.as_deref(),
        _ => None,
    }
}

/// A literal without a type is read as a condition, and a parameter gets its type later.
fn may_be_condition(filter: &Expr, input: &LogicalPlan) -> bool {
    match filter {
        Expr::Literal(value, _) if matches!(value.data_type(), DataType::Utf8 | DataType::Utf8View) => true,
        Expr::Placeholder(_) => true,
        other => match other.get_type(input.schema()) {
            Ok(data_type) => matches!(data_type, DataType::Boolean | DataType::Null),
            Err(_) => true,
        },
    }
}
