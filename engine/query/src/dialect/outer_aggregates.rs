//! Aggregates of an enclosing query's columns alone. In SQL they belong to that query and add its rows up; the engine would add up the
//! subquery's rows, and give another number without a word.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_types::{Error, ErrorCode};

/// Refuses them.
///
/// # Errors
/// 0A000.
pub(crate) fn refuse_outer_aggregates(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = node else { return Ok(TreeNodeRecursion::Continue) };
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
                return Err(super::external(
                    error.with_hint("Such an aggregate belongs to the enclosing query: write it there."),
                ));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
