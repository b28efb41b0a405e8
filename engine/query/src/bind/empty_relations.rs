//! Relations of the catalog that have no row, and what of a plan follows from that. Clients that describe tables ask for a dozen things
//! that no table here has, each with joins that are planned at length to give nothing.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Aggregate, EmptyRelation, Expr, Join, JoinType, LogicalPlan, TableScan};
use querygate_pg_catalog::SystemTable;
use std::any::Any;
use std::sync::Arc;

/// The plan with nothing in the places of those of its parts that give no row. Subqueries in its expressions stay.
///
/// # Errors
/// Those of scans that are not known.
pub(super) fn without_empty(plan: LogicalPlan) -> Result<LogicalPlan> {
    let emptied = |node: LogicalPlan| {
        let gives_none = match &node {
            LogicalPlan::TableScan(scan) => is_empty_relation(scan)?,
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::Unnest(_) => node.inputs().into_iter().all(gives_none),
            LogicalPlan::Aggregate(grouping) => is_of_keys(grouping) && gives_none(&grouping.input),
            LogicalPlan::Join(join) => joins_none(join),
            // What stands for a lateral side keeps its place, and a recursive query reads what it gives.
            LogicalPlan::Subquery(_)
            | LogicalPlan::RecursiveQuery(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_) => false,
        };
        if !gives_none {
            return Ok(Transformed::no(node));
        }
        let nothing = EmptyRelation { produce_one_row: false, schema: Arc::clone(node.schema()) };
        Ok(Transformed::yes(LogicalPlan::EmptyRelation(nothing)))
    };
    Ok(plan.transform_up(emptied)?.data)
}

fn is_empty_relation(scan: &TableScan) -> Result<bool> {
    let provider = source_as_provider(&scan.source)?;
    let any: &dyn Any = provider.as_ref();
    Ok(any.downcast_ref::<SystemTable>().is_some_and(SystemTable::is_empty))
}

fn gives_none(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(relation) => !relation.produce_one_row,
        LogicalPlan::Subquery(side) => gives_none(&side.subquery),
        _ => false,
    }
}

/// Whether there is a group for rows alone: without keys there is one of no rows, and with sets of keys there may be.
fn is_of_keys(grouping: &Aggregate) -> bool {
    !grouping.group_expr.is_empty() && !grouping.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
}

fn joins_none(join: &Join) -> bool {
    let (left, right) = (gives_none(&join.left), gives_none(&join.right));
    match join.join_type {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => left || right,
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => left,
        JoinType::Right | JoinType::RightAnti | JoinType::RightMark => right,
        JoinType::Full => left && right,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    #[test]
    fn parts_of_a_plan_that_give_no_row_are_left_out() {
        let reader = Shop::open().owner();
        let plan = |sql: &str| {
            let bound = reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            bound.plan().display_indent().to_string()
        };
        for sql in [
            "SELECT polname FROM pg_policy WHERE polrelid = 7 ORDER BY 1 LIMIT 3",
            "SELECT c.relname FROM pg_class c JOIN pg_inherits i ON c.oid = i.inhrelid",
            "SELECT tgname FROM pg_trigger t LEFT JOIN pg_class c ON c.oid = t.tgrelid",
            "SELECT DISTINCT polname FROM pg_policy UNION SELECT tgname FROM pg_trigger",
            "SELECT polrelid, count(*) FROM pg_policy GROUP BY 1",
            "SELECT x.relname FROM pg_policy p, LATERAL (SELECT relname FROM pg_class c WHERE c.oid = p.polrelid) x",
            "SELECT relname FROM pg_class c, LATERAL (SELECT polname FROM pg_policy p WHERE c.oid = p.polrelid) x",
        ] {
            assert_eq!(plan(sql).trim(), "EmptyRelation: rows=0", "{sql}");
        }
        for sql in [
            "SELECT count(*) FROM pg_policy",
            "SELECT count(*) FROM pg_policy GROUP BY GROUPING SETS ((polrelid), ())",
            "SELECT relname FROM pg_class c LEFT JOIN pg_inherits i ON c.oid = i.inhrelid",
            "SELECT relname FROM pg_class UNION ALL SELECT tgname FROM pg_trigger",
            "SELECT relname FROM pg_class WHERE oid NOT IN (SELECT inhrelid FROM pg_inherits)",
            "SELECT pg_backend_pid() FROM pg_stat_activity",
        ] {
            assert_ne!(plan(sql).trim(), "EmptyRelation: rows=0", "{sql}");
        }
    }
}
