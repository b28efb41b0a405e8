//! Aggregates of an enclosing query's columns alone. In SQL they belong to that query and add its rows up; the engine would add up the
//! subquery's rows, and give another number without a word. So it would with aggregates and windows of a row that is compared with a
//! subquery's, which is written into that subquery.

use crate::dialect::rewrite::expressions::row_comparisons::refused_aggregate;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_query_api::own_names::ONE_ROW;
use querygate_types::{Error, ErrorCode};

/// Refuses them.
///
/// # Errors
/// 0A000.
pub(crate) fn refuse_outer_aggregates(plan: &LogicalPlan) -> Result<()> {
    let mut arrays = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                arrays.extend(array_of_query(part));
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if let LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) = node
            && node.inputs().into_iter().any(is_row_compared)
        {
            return Err(crate::dialect::external(refused_aggregate()));
        }
        let LogicalPlan::Aggregate(aggregate) = node else { return Ok(TreeNodeRecursion::Continue) };
        if arrays.contains(&std::ptr::from_ref(node)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        for call in &aggregate.aggr_expr {
            let (mut own, mut outer) = (false, false);
            call.apply(|part| {
                own |= matches!(part, Expr::Column(_));
                outer |= matches!(part, Expr::OuterReferenceColumn(..));
                Ok(TreeNodeRecursion::Continue)
            })?;
            if outer && !own {
                let error = Error::new(
                    ErrorCode::FeatureNotSupported,
                    "an aggregate of columns of an enclosing query only is not supported",
                );
                return Err(crate::dialect::external(
                    error.with_hint("Such an aggregate belongs to the enclosing query: write it there."),
                ));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Whether a plan is a subquery's row as it stands beside the row that is compared with it.
fn is_row_compared(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => alias.alias.table() == ONE_ROW,
        LogicalPlan::Window(_) => plan.inputs().into_iter().any(is_row_compared),
        _ => false,
    }
}

/// The aggregate that `ARRAY(SELECT …)` is: it takes one value of each row, whatever that is made of.
fn array_of_query(expr: &Expr) -> Option<*const LogicalPlan> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [Expr::ScalarSubquery(subquery)] = call.args.as_slice() else { return None };
    if call.name() != "array_or_empty" {
        return None;
    }
    let mut plan = subquery.subquery.as_ref();
    while !matches!(plan, LogicalPlan::Aggregate(_)) {
        let [input] = plan.inputs()[..] else { return None };
        plan = input;
    }
    Some(std::ptr::from_ref(plan))
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;
    use querygate_types::ErrorCode;

    #[test]
    fn an_aggregate_of_outer_columns_alone_is_refused() {
        let reader = Shop::open().owner();
        for (sql, admitted) in [
            ("SELECT (SELECT max(v.score) FROM visits v WHERE v.region_id = r.id) FROM regions r", true),
            ("SELECT (SELECT max(v.score + r.rank) FROM visits v) FROM regions r", true),
            ("SELECT (SELECT count(*) FROM visits v WHERE v.score > r.rank) FROM regions r", true),
            ("SELECT ARRAY(SELECT r.rank FROM visits v) FROM regions r", true),
            ("SELECT max(r.rank) FROM regions r", true),
            ("SELECT (SELECT max(r.rank) FROM visits v) FROM regions r", false),
            ("SELECT (SELECT sum(r.rank) FROM visits v WHERE v.score > 1) FROM regions r", false),
            ("SELECT id FROM regions r WHERE EXISTS (SELECT 1 FROM visits v HAVING count(r.id) > 1)", false),
            ("SELECT id FROM regions r WHERE (r.id, r.rank) = (SELECT max(v.id), count(*) FROM visits v)", true),
            ("SELECT (count(*), 1) = (SELECT 4, 1) FROM regions r", false),
            ("SELECT (max(r.id), 1) = (SELECT 'latam', 1) FROM regions r", false),
            ("SELECT (row_number() OVER (), 1) = (SELECT 4, 1) FROM regions r", false),
            ("SELECT (row_number() OVER (ORDER BY r.id) + sum(2) OVER (), 1) < (SELECT 4, 1) FROM regions r", false),
        ] {
            match reader.bind(sql) {
                Ok(_) => assert!(admitted, "{sql}"),
                Err(error) => {
                    assert_eq!((admitted, error.code()), (false, ErrorCode::FeatureNotSupported), "{sql}: {error}")
                }
            }
        }
    }
}
