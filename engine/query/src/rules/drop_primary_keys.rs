//! Primary keys of tables, for groupings. The engine takes a column by which an aggregate groups and which was a key before
//! for a key of the groups, whatever else they are made of: it then drops keys of ORDER BY and of GROUP BY that count. So a
//! statement that groups is optimized without keys. What keys are good for is done first: a column by which is grouped only
//! because a key decides it, and which nothing reads, is left out.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use querygate_catalog::GovernedTable;
use std::any::Any;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The plan, without keys where it groups.
pub(crate) fn without_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut groups = false;
    plan.apply_with_subqueries(|node| {
        groups |= is_grouping(node);
        Ok(if groups { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !groups {
        return Ok(plan);
    }
    let slim = plan.transform_down_with_subqueries(slimmed)?.data;
    Ok(slim.transform_up_with_subqueries(keyless)?.data)
}

fn is_grouping(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_))
}

fn keyless(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let node = match node {
        LogicalPlan::Aggregate(aggregate) => LogicalPlan::Aggregate(by_each_once(aggregate)?),
        other => other,
    };
    let LogicalPlan::TableScan(scan) = node else {
        // Every node repeats what it was told of keys below.
        let has = node.schema().functional_dependencies().iter().next().is_some();
        return Ok(if has { Transformed::yes(node.recompute_schema()?) } else { Transformed::no(node) });
    };
    let provider = source_as_provider(&scan.source)?;
    let any: &dyn Any = provider.as_ref();
    let Some(governed) = any.downcast_ref::<GovernedTable>() else {
        return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
    };
    let source = provider_as_source(Arc::new(governed.without_keys()));
    let scan = TableScanBuilder::new(scan.table_name, source)
        .with_projection(scan.projection)
        .with_filters(scan.filters)
        .with_fetch(scan.fetch)
        .build()?;
    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
}

/// What is grouped by twice is one column already. A subquery named twice would become two joins, and two keys of one column.
fn by_each_once(mut aggregate: Aggregate) -> Result<Aggregate> {
    let once = grouping_set_to_exprlist(&aggregate.group_expr)?;
    if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) || once.len() == aggregate.group_expr.len() {
        return Ok(aggregate);
    }
    aggregate.group_expr = once.into_iter().cloned().collect();
    Ok(aggregate)
}

/// A projection over an aggregate, with what stands between them, that reads no more groups than it needs.
fn slimmed(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = &node else { return Ok(Transformed::no(node)) };
    let mut read: HashSet<Column> = HashSet::new();
    let mut between: Vec<&LogicalPlan> = vec![&node];
    let mut at = projection.input.as_ref();
    if !reads(&node, &mut read) {
        return Ok(Transformed::no(node));
    }
    let aggregate = loop {
        match at {
            LogicalPlan::Aggregate(aggregate) => break aggregate,
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Window(_) | LogicalPlan::Limit(_) => {
                if !reads(at, &mut read) {
                    return Ok(Transformed::no(node));
                }
                between.push(at);
                let Some(input) = at.inputs().into_iter().next() else { return Ok(Transformed::no(node)) };
                at = input;
            }
            _ => return Ok(Transformed::no(node)),
        }
    };
    let Some(slim) = without_decided(aggregate, &read)? else { return Ok(Transformed::no(node)) };
    let mut plan = LogicalPlan::Aggregate(slim);
    for above in between.into_iter().rev() {
        plan = above.with_new_exprs(above.expressions(), vec![plan])?;
    }
    Ok(Transformed::yes(plan))
}

/// Collects the columns that a node reads. `false`: it holds a subquery, which may read more.
fn reads(node: &LogicalPlan, read: &mut HashSet<Column>) -> bool {
    node.expressions().iter().all(|expr| {
        read.extend(expr.column_refs().into_iter().cloned());
        let subquery = expr.exists(|e| {
            Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)))
        });
        !subquery.unwrap_or(true)
    })
}

/// The aggregate without the columns that a key among the others decides and that nobody reads. `None`: it has none.
fn without_decided(aggregate: &Aggregate, read: &HashSet<Column>) -> Result<Option<Aggregate>> {
    let sets = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
    // Below another grouping keys are not what they seem.
    if sets || aggregate.input.exists(|node| Ok(is_grouping(node)))? {
        return Ok(None);
    }
    let schema = aggregate.input.schema();
    let place = |expr: &Expr| match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    };
    let grouped: BTreeSet<usize> = aggregate.group_expr.iter().filter_map(place).collect();
    let keys = schema.functional_dependencies().iter();
    let keys: Vec<_> = keys.filter(|key| key.source_indices.iter().all(|at| grouped.contains(at))).collect();
    let deciding = |at: usize| keys.iter().any(|key| key.source_indices.contains(&at));
    let decided = |at: usize| !deciding(at) && keys.iter().any(|key| key.target_indices.contains(&at));
    let needed = |expr: &&Expr| match (expr, place(expr)) {
        (Expr::Column(column), Some(at)) => !decided(at) || read.contains(column),
        _ => true,
    };
    let kept: Vec<Expr> = aggregate.group_expr.iter().filter(needed).cloned().collect();
    if kept.len() == aggregate.group_expr.len() {
        return Ok(None);
    }
    Aggregate::try_new(Arc::clone(&aggregate.input), kept, aggregate.aggr_expr.clone()).map(Some)
}
