//! `x IN (SELECT …)` within a larger condition, where it matters whether it is false or NULL. The engine joins such a condition with
//! a mark that is never NULL, so that `NOT`, `IS NULL`, `coalesce` and their kin over it would answer for false.

use super::apply::reads_nothing_around;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, Result, ScalarValue};
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::expr::{BinaryExpr, Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, when,
};
use std::sync::Arc;

/// The plan with memberships that are true, false or NULL where that makes a difference, in its subqueries too.
pub(crate) fn with_null_memberships(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Filter(filter) = node else { return Ok(Transformed::no(node)) };
        let schema = Arc::clone(filter.input.schema());
        let mut changed = false;
        let mut conditions = Vec::new();
        for condition in split_conjunction_owned(filter.predicate.clone()) {
            let condition =
                if is_membership(&condition) { Transformed::no(condition) } else { as_condition(condition, &schema)? };
            changed |= condition.transformed;
            conditions.push(condition.data);
        }
        match conjunction(conditions).filter(|_| changed) {
            Some(predicate) => Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?))),
            None => Ok(Transformed::no(LogicalPlan::Filter(filter))),
        }
    })?;
    Ok(plan.data)
}

/// Whether a whole condition is a membership, or that there is none: the engine knows a join for each.
fn is_membership(condition: &Expr) -> bool {
    match condition {
        Expr::InSubquery(_) => true,
        Expr::Not(inner) => matches!(inner.as_ref(), Expr::InSubquery(_)),
        _ => false,
    }
}

/// An expression whose NULL counts as false.
fn as_condition(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InSubquery(InSubquery { negated: false, .. }) => Ok(Transformed::no(expr)),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (as_condition(*left, schema)?, as_condition(*right, schema)?);
            let changed = left.transformed || right.transformed;
            let expr = BinaryExpr { left: Box::new(left.data), op, right: Box::new(right.data) };
            Ok(Transformed::new_transformed(Expr::BinaryExpr(expr), changed))
        }
        Expr::IsTrue(inner) => as_condition(*inner, schema)?.map_data(|inner| Ok(Expr::IsTrue(Box::new(inner)))),
        Expr::IsNotTrue(inner) => as_condition(*inner, schema)?.map_data(|inner| Ok(Expr::IsNotTrue(Box::new(inner)))),
        other => other.transform_down(|expr| match expr {
            Expr::InSubquery(member) => {
                let answered = three_valued(member, schema)?;
                Ok(Transformed::new(answered.data, answered.transformed, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        }),
    }
}

/// A membership as the engine marks it, but NULL where no row is equal and a comparison has no answer.
fn three_valued(member: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let rows = &Arc::clone(&member.subquery.subquery);
    let Some(column) = rows.schema().columns().into_iter().next() else {
        return Ok(Transformed::no(Expr::InSubquery(member)));
    };
    let own = member.expr.nullable(schema)?;
    let theirs = rows.schema().field_from_column(&column)?.is_nullable();
    if !own && !theirs {
        return Ok(Transformed::no(Expr::InSubquery(member)));
    }
    let InSubquery { expr, subquery, negated } = member;
    let absent = Expr::Column(column).is_null();
    let unknown = if reads_nothing_around(rows) {
        let some = |rows: LogicalPlanBuilder| -> Result<Expr> {
            let counted = rows.limit(0, Some(1))?.aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64))])?.build()?;
            Ok(Expr::ScalarSubquery(subquery.with_plan(Arc::new(counted))).gt(lit(0_i64)))
        };
        let any = expr.clone().is_null().and(some(LogicalPlanBuilder::from(Arc::clone(rows)))?);
        let null = some(LogicalPlanBuilder::from(Arc::clone(rows)).filter(absent)?)?;
        match (own, theirs) {
            (true, true) => any.or(null),
            (true, false) => any,
            (false, _) => null,
        }
    } else {
        correlated(&expr, absent, &subquery, schema)?
    };
    let found = Expr::InSubquery(InSubquery { expr, subquery, negated: false });
    let answer = when(found, lit(true)).when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(false))?;
    Ok(Transformed::yes(if negated { Expr::Not(Box::new(answer)) } else { answer }))
}

/// That one of the subquery's rows for this row has no answer.
fn correlated(value: &Expr, absent: Expr, subquery: &Subquery, schema: &DFSchema) -> Result<Expr> {
    let outer = value.clone().transform(|expr| match expr {
        Expr::Column(column) if schema.has_column(&column) => {
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let rows = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery));
    let rows = rows.filter(outer.data.is_null().or(absent))?.build()?;
    let outer_ref_columns = rows.all_out_ref_exprs();
    let subquery = Subquery { subquery: Arc::new(rows), outer_ref_columns, spans: subquery.spans.clone() };
    Ok(Expr::Exists(Exists { subquery, negated: false }))
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// Three-valued: of a value that is equal to none of the rows it is NULL whether it is a member, if it or one of them
    /// is NULL. Each line: what is asked of (1), (2) and (NULL), and the answers for them.
    #[test]
    fn a_membership_is_true_false_or_null() {
        let reader = Shop::open().owner();
        let (with_null, without) = ("(VALUES (1), (NULL)) m(y)", "(VALUES (1)) m(y)");
        let none = "(SELECT 1 AS y WHERE false) m";
        for (condition, rows, expected) in [
            ("(x IN (SELECT y FROM {}))", with_null, ["1"].as_slice()),
            ("(x IN (SELECT y FROM {})) IS NULL", with_null, &["2", "NULL"]),
            ("(x IN (SELECT y FROM {})) IS NULL", without, &["NULL"]),
            ("(x IN (SELECT y FROM {})) IS NULL", none, &[]),
            ("NOT (x IN (SELECT y FROM {}))", with_null, &[]),
            ("NOT (x IN (SELECT y FROM {}))", without, &["2"]),
            ("NOT (x IN (SELECT y FROM {}))", none, &["1", "2", "NULL"]),
            ("x NOT IN (SELECT y FROM {})", with_null, &[]),
            ("x NOT IN (SELECT y FROM {})", without, &["2"]),
            ("x NOT IN (SELECT y FROM {})", none, &["1", "2", "NULL"]),
            ("coalesce(x IN (SELECT y FROM {}), true)", with_null, &["1", "2", "NULL"]),
            ("coalesce(x IN (SELECT y FROM {}), true)", without, &["1", "NULL"]),
            ("(x IN (SELECT y FROM {})) IS NOT FALSE", with_null, &["1", "2", "NULL"]),
            ("(x IN (SELECT y FROM {})) IS NOT TRUE", without, &["2", "NULL"]),
            ("(x IN (SELECT y FROM {})) OR x = 2", with_null, &["1", "2"]),
            ("(x NOT IN (SELECT y FROM {})) OR x IS NULL", without, &["2", "NULL"]),
            ("CASE WHEN x IN (SELECT y FROM {}) THEN false ELSE true END", with_null, &["2", "NULL"]),
            ("(x IN (SELECT y FROM {})) = false", without, &["2"]),
        ] {
            let condition = condition.replace("{}", rows);
            let sql = format!("SELECT x FROM (VALUES (1), (2), (NULL)) v(x) WHERE {condition} ORDER BY x");
            assert_eq!(reader.rows(&sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
        }
    }

    /// Memberships among rows that depend on the row around.
    #[test]
    fn a_membership_among_rows_of_each_row() {
        let reader = Shop::open().owner();
        for (condition, expected) in [
            (
                "(v.account_id IN (SELECT o.account_id FROM orders o WHERE o.region_id = v.region_id)) IS NULL",
                &["v5", "v6"][..1],
            ),
            ("NOT (v.account_id IN (SELECT o.account_id FROM orders o WHERE o.region_id = v.region_id))", &["v2"]),
            (
                "v.account_id NOT IN (SELECT o.account_id FROM orders o WHERE o.stage = v.id)",
                &["v1", "v2", "v3", "v4", "v5", "v6"],
            ),
        ] {
            let sql = format!("SELECT v.id FROM visits v WHERE {condition} ORDER BY v.id");
            assert_eq!(reader.rows(&sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
        }
    }
}
