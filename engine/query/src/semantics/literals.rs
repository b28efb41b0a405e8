//! The types of whole-number literals as Postgres reads them: integer where they fit, else bigint. Knows no value of a
//! parameter: it works on bound plans, before parameters are filled in.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The plan with its literals typed; output names stay.
pub(super) fn typed(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // Limits are bigint. The types of VALUES are fixed when they are bound.
    if matches!(plan, LogicalPlan::Limit(_) | LogicalPlan::Values(_) | LogicalPlan::TableScan(_)) {
        return Ok(Transformed::no(plan));
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let typed = expr.transform_down(literal)?;
        Ok(if typed.transformed { typed.update_data(|e| name.restore(e)) } else { typed })
    })?
    .map_data(LogicalPlan::recompute_schema)
}

fn literal(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), None) => match i32::try_from(value) {
            Ok(narrow) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(narrow)), None)),
            Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(value)), None)),
        },
        // `count(*)` is known by its literal.
        Expr::AggregateFunction(call) if call.func.name() == "count" => {
            Transformed::new(Expr::AggregateFunction(call), false, TreeNodeRecursion::Jump)
        }
        Expr::WindowFunction(call) if call.fun.name() == "count" => {
            Transformed::new(Expr::WindowFunction(call), false, TreeNodeRecursion::Jump)
        }
        other => Transformed::no(other),
    })
}
