//! AND and OR whose right side can fail look at it only where the left side does not decide. The engine evaluates both
//! sides for a whole batch, and it writes a CASE of truth values as AND and OR, so that `CASE WHEN n <> 0 THEN 1 / n > 2
//! END` would divide by zero. Applied to a finished plan: the optimizer would turn it back.
//! Needed with DataFusion 55.2.0.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, lit};
use querygate_rules::is_leak_proof;
use querygate_semantics::keep_names::under_names;

/// Sides that can fail of one chain; further ones are evaluated as the engine does, so that nesting has a bound.
const GUARDED_MAX: usize = 32;
/// Levels of AND in OR in AND whose value may be null; each doubles what stands below it.
const VALUE_LEVELS_MAX: usize = 4;

/// The plan with guarded conditions. Fragments and tables stay as they are: what runs there cannot fail.
pub(crate) fn guard_failures(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_down_with_subqueries(guard_node)?.data)
}

fn guard_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let use_of = match &node {
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) => Use::Condition,
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Sort(_) => {
            Use::Value(VALUE_LEVELS_MAX)
        }
        _ => return Ok(Transformed::no(node)),
    };
    let mut needed = false;
    node.apply_expressions(|expr| {
        needed = needed || has_failing_side(expr)?;
        Ok(if needed { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !needed {
        return Ok(Transformed::no(node));
    }
    under_names(node, |expr| Ok(Transformed::yes(guarded(expr, use_of)?)))
}

/// What becomes of null.
#[derive(Debug, Clone, Copy)]
enum Use {
    /// It counts as false.
    Condition,
    /// Whether it is a value, with a bound on the levels that are looked at.
    Value(usize),
}

impl Use {
    fn below(self) -> Self {
        match self {
            Self::Condition => Self::Condition,
            Self::Value(levels) => Self::Value(levels.saturating_sub(1)),
        }
    }
}

/// Only of whole conditions: a leaf-proof operand inside a value, such as a column, cannot fail either.
fn can_fail(condition: &Expr) -> bool {
    !is_leak_proof(condition, |_| true)
}

fn has_failing_side(expr: &Expr) -> Result<bool> {
    expr.exists(|e| Ok(matches!(e, Expr::BinaryExpr(b) if is_logical(b.op) && can_fail(&b.right))))
}

fn is_logical(op: Operator) -> bool {
    matches!(op, Operator::And | Operator::Or)
}

fn guarded(expr: Expr, use_of: Use) -> Result<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) if is_logical(op) => {
            let mut sides = Vec::new();
            flatten(expr, op, &mut sides);
            chain(op, sides, use_of)
        }
        Expr::Case(Case { expr: None, when_then_expr, else_expr }) => {
            let cases = when_then_expr
                .into_iter()
                .map(|(when, then)| Ok((Box::new(guarded(*when, Use::Condition)?), Box::new(guarded(*then, use_of)?))));
            let when_then_expr = cases.collect::<Result<_>>()?;
            let else_expr = else_expr.map(|expr| guarded(*expr, use_of).map(Box::new)).transpose()?;
            Ok(Expr::Case(Case { expr: None, when_then_expr, else_expr }))
        }
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(guarded(*alias.expr, use_of)?);
            Ok(Expr::Alias(alias))
        }
        other => {
            let inner = Use::Value(VALUE_LEVELS_MAX);
            Ok(other.map_children(|child| Ok(Transformed::yes(guarded(child, inner)?)))?.data)
        }
    }
}

fn flatten(expr: Expr, op: Operator, sides: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(b) if b.op == op => {
            flatten(*b.left, op, sides);
            flatten(*b.right, op, sides);
        }
        other => sides.push(other),
    }
}

fn chain(op: Operator, sides: Vec<Expr>, use_of: Use) -> Result<Expr> {
    let plain = |left: Expr, right: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    let mut guards = 0;
    let mut whole: Option<Expr> = None;
    for side in sides {
        let fails = can_fail(&side);
        let side = guarded(side, use_of.below())?;
        whole = Some(match whole {
            None => side,
            Some(left) if !fails || guards == GUARDED_MAX => plain(left, side),
            Some(left) => {
                guards += 1;
                guard(op, left, side, use_of)
            }
        });
    }
    Ok(whole.unwrap_or_else(|| lit(op == Operator::And)))
}

fn guard(op: Operator, left: Expr, right: Expr, use_of: Use) -> Expr {
    let case = |expr: Option<Expr>, cases: Vec<(Expr, Expr)>, otherwise: Expr| {
        let when_then_expr = cases.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect();
        Expr::Case(Case { expr: expr.map(Box::new), when_then_expr, else_expr: Some(Box::new(otherwise)) })
    };
    let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
    let plain = |left: Expr, right: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    let and = op == Operator::And;
    match use_of {
        Use::Condition if and => case(None, vec![(left, right)], lit(false)),
        Use::Condition => case(None, vec![(left, lit(true))], right),
        Use::Value(0) => plain(left, right),
        Use::Value(_) => {
            let decided = lit(!and);
            let cases = vec![(lit(and), right.clone()), (lit(!and), decided)];
            case(Some(left), cases, plain(right, unknown))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, on_runtime};
    use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
    use datafusion::prelude::{cast, col};
    use std::sync::Arc;

    fn failing(name: &str) -> Expr {
        cast(col(name), arrow::datatypes::DataType::Int32).eq(lit(1))
    }

    fn check(expr: Expr, use_of: Use, expected: &str) {
        assert_eq!(guarded(expr, use_of).unwrap().to_string(), expected);
    }

    #[test]
    fn a_side_that_can_fail_waits_for_the_other() {
        let plain = || col("a").eq(lit(5));
        let failing = || failing("s");
        check(
            plain().and(failing()),
            Use::Condition,
            "CASE WHEN a = Int32(5) THEN CAST(s AS Int32) = Int32(1) ELSE Boolean(false) END",
        );
        check(
            plain().or(failing()),
            Use::Condition,
            "CASE WHEN a = Int32(5) THEN Boolean(true) ELSE CAST(s AS Int32) = Int32(1) END",
        );
        check(
            plain().and(failing()),
            Use::Value(1),
            "CASE a = Int32(5) WHEN Boolean(true) THEN CAST(s AS Int32) = Int32(1) WHEN Boolean(false) THEN Boolean(false) \
             ELSE CAST(s AS Int32) = Int32(1) AND Boolean(NULL) END",
        );
        check(failing().and(plain()), Use::Condition, "CAST(s AS Int32) = Int32(1) AND a = Int32(5)");
        check(plain().and(plain()).or(plain()), Use::Condition, "a = Int32(5) AND a = Int32(5) OR a = Int32(5)");
    }

    #[test]
    fn chains_and_nesting_stay_small() {
        let long = (0..1_000).fold(col("a").eq(lit(1)), |all, _| all.and(failing("s")));
        assert!(guarded(long, Use::Condition).unwrap().to_string().matches("CASE").count() <= GUARDED_MAX);
        let deep = (0..60).fold(failing("s"), |inner, level| {
            let left = col("a").eq(lit(level));
            if level % 2 == 0 { left.and(inner) } else { left.or(inner) }
        });
        let size = guarded(deep, Use::Value(VALUE_LEVELS_MAX)).unwrap().to_string().len();
        assert!(size < 60_000, "{size}");
    }

    /// Divides by zero without the guards, in a condition, in a value and in a subquery.
    #[test]
    fn statements_fail_without_the_guards() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            ("SELECT count(*) FROM (VALUES (0), (2)) v(n) WHERE n <> 0 AND 6 / n > 2", "1"),
            ("SELECT count(*) FROM (VALUES (0), (2)) v(n) WHERE n = 0 OR 6 / n > 2", "2"),
            ("SELECT max(CASE WHEN n <> 0 THEN 6 / n > 2 END::text) FROM (VALUES (0), (2)) v(n)", "true"),
            ("SELECT (SELECT count(*) FROM (VALUES (0), (2)) v(n) WHERE n <> 0 AND 6 / n > 2)", "1"),
        ] {
            assert_eq!(reader.rows(sql).unwrap(), [expected], "{sql}");
        }
        let plan = reader.optimized("SELECT n FROM (VALUES (0), (2)) v(n) WHERE n <> 0 AND 6 / n > 2");
        let (state, context) = (Arc::clone(&reader.state), reader.state.task_ctx());
        let unguarded = on_runtime(async move {
            let planned = DefaultPhysicalPlanner::default().create_physical_plan(&plan, state.as_ref()).await?;
            datafusion::physical_plan::collect(planned, context).await
        });
        assert!(unguarded.is_err(), "DataFusion looks at the right side only where it must now");
    }
}
