//! Columns that a subquery beside groups reads of the rows behind them, where they are no key of the groups. The engine binds such a
//! subquery, and fails on it later in words of its own.

use crate::dialect::subqueries::apply::{free_references, subquery_of};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, LogicalPlan};
use querygate_types::{Error, ErrorCode};

/// Refuses them.
///
/// # Errors
/// 42803.
pub(crate) fn refuse_ungrouped(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let Some(aggregate) = groups_below(node) else { return Ok(TreeNodeRecursion::Continue) };
        let lost = |column: &Column| {
            aggregate.input.schema().has_column(column)
                && !node.inputs().iter().any(|input| input.schema().has_column(column))
        };
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                let Some(subquery) = subquery_of(part) else { return Ok(TreeNodeRecursion::Continue) };
                match free_references(&subquery.subquery)?.iter().find(|(column, _)| lost(column)) {
                    Some((column, _)) => Err(crate::dialect::external(ungrouped(column))),
                    None => Ok(TreeNodeRecursion::Continue),
                }
            })
        })
    })?;
    Ok(())
}

fn ungrouped(column: &Column) -> Error {
    let name = match &column.relation {
        Some(table) => format!("{}.{}", table.table(), column.name),
        None => column.name.clone(),
    };
    Error::new(ErrorCode::GroupingError, format!("subquery uses ungrouped column \"{name}\" from outer query"))
}

/// The groups that a node of the same query stands over.
fn groups_below(node: &LogicalPlan) -> Option<&Aggregate> {
    let mut at = node;
    loop {
        at = match at {
            LogicalPlan::Projection(projection) => projection.input.as_ref(),
            LogicalPlan::Filter(filter) => filter.input.as_ref(),
            LogicalPlan::Window(window) => window.input.as_ref(),
            LogicalPlan::Sort(sort) => sort.input.as_ref(),
            _ => return None,
        };
        if let LogicalPlan::Aggregate(aggregate) = at {
            return Some(aggregate);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;
    use querygate_types::ErrorCode;

    #[test]
    fn a_subquery_beside_groups_reads_their_keys_alone() {
        let reader = Shop::open().owner();
        for (sql, admitted) in [
            (
                "SELECT rank, (SELECT max(v.score) FROM visits v WHERE v.score = r.rank) FROM regions r GROUP BY rank",
                true,
            ),
            (
                "SELECT r.id, (SELECT max(v.score) FROM visits v WHERE v.region_id = r.id) FROM regions r GROUP BY r.id",
                true,
            ),
            (
                "SELECT rank FROM regions r GROUP BY rank HAVING EXISTS (SELECT 1 FROM visits v WHERE v.score = r.rank)",
                true,
            ),
            ("SELECT (SELECT count(*) FROM visits v WHERE v.region_id = r.id) FROM regions r", true),
            (
                "SELECT rank, (SELECT max(v.score) FROM visits v WHERE v.region_id = r.id) FROM regions r GROUP BY rank",
                false,
            ),
            ("SELECT count(*), (SELECT max(v.score) FROM visits v WHERE v.region_id = r.id) FROM regions r", false),
            (
                "SELECT rank FROM regions r GROUP BY rank HAVING EXISTS (SELECT 1 FROM visits v WHERE v.region_id = r.id)",
                false,
            ),
        ] {
            match reader.bind(sql) {
                Ok(_) => assert!(admitted, "{sql}"),
                Err(error) => assert_eq!((admitted, error.code()), (false, ErrorCode::GroupingError), "{sql}: {error}"),
            }
        }
    }
}
