//! Groups of rows that a statement names more than once, as a view or a WITH query that it reads twice: computed once, and read by each
//! place. What is looked for are aggregates, and fragments of sources that compute them, which are equal in all: their tables, their
//! conditions and values, their policies. Decides no right: the leaves inside are walked like any.

mod exec;
mod node;
mod rows;

pub(crate) use exec::{RenewedRows, SharedExec};
pub(crate) use node::SharedPlanner;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, TableScan};
use node::SharedNode;
use querygate_catalog::federation::FragmentTable;
use querygate_catalog::leaf::GovernedTable;
use rows::SharedRows;
use std::any::Any;
use std::sync::Arc;

/// Parts of one statement that are compared with each other, each with each; of a statement with more, none is shared.
const LOOKED_AT_MAX: usize = 32;

/// As an extension of the state that plans: each place computes its rows for itself.
#[derive(Debug)]
pub(crate) struct ComputeApart;

/// An optimized plan with what it computes more than once in nodes that share their rows.
pub(crate) fn share_equal_inputs(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut parts = equal_parts(&plan)?;
    if parts.is_empty() {
        return Ok(plan);
    }
    let shared = plan.transform_down_with_subqueries(|node| {
        let Some(part) = matching_part(&mut parts, &node)? else { return Ok(Transformed::no(node)) };
        let node = Arc::new(SharedNode::new(node, Arc::clone(&part.rows), part.places));
        part.places += 1;
        // Its input stays as it is: what is equal inside is computed once with it.
        Ok(Transformed::new(LogicalPlan::Extension(Extension { node }), true, TreeNodeRecursion::Jump))
    });
    Ok(shared?.data)
}

/// A part that is in several places of a plan.
struct Part {
    plan: LogicalPlan,
    rows: Arc<SharedRows>,
    /// How many of its places have a node so far, which is the number of the next one.
    places: usize,
}

fn equal_parts(plan: &LogicalPlan) -> Result<Vec<Part>> {
    let (mut wanted, mut recurses) = (0, false);
    plan.apply_with_subqueries(|node| {
        // The rows of a recursive query differ from round to round.
        recurses |= matches!(node, LogicalPlan::RecursiveQuery(_));
        wanted += usize::from(is_wanted(node)?);
        Ok(if recurses { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if recurses || !(2..=LOOKED_AT_MAX).contains(&wanted) {
        return Ok(Vec::new());
    }
    let mut found: Vec<LogicalPlan> = Vec::with_capacity(wanted);
    plan.apply_with_subqueries(|node| {
        if is_wanted(node)? {
            found.push(node.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut twice: Vec<LogicalPlan> = Vec::new();
    for (at, node) in found.iter().enumerate() {
        if !is_known(&twice, node)? && is_known(found.get(..at).unwrap_or_default(), node)? && is_sharable(node)? {
            twice.push(node.clone());
        }
    }
    let narrowed = parts_narrowed_by_joins(plan)?;
    let mut parts = Vec::new();
    for node in &twice {
        let places = count_places(plan, node, &twice)?;
        if places > 1 && !is_known(&narrowed, node)? {
            parts.push(Part { plan: node.clone(), rows: SharedRows::for_readers(places), places: 0 });
        }
    }
    Ok(parts)
}

fn matching_part<'a>(parts: &'a mut [Part], node: &LogicalPlan) -> Result<Option<&'a mut Part>> {
    if !is_wanted(node)? {
        return Ok(None);
    }
    for part in parts {
        if is_equal(&part.plan, node)? {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// Parts that a join asks for the keys of its other side, which is narrowed: it may need few of the groups, and a source that has
/// the keys computes no others.
fn parts_narrowed_by_joins(plan: &LogicalPlan) -> Result<Vec<LogicalPlan>> {
    let mut narrowed = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node
            && !join.on.is_empty()
        {
            for (side, other) in [(&join.left, &join.right), (&join.right, &join.left)] {
                if let Some(part) = part_of(side)?
                    && is_narrow(other)?
                {
                    narrowed.push(part.clone());
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(narrowed)
}

/// The part whose groups are the rows of a join's side.
fn part_of(side: &LogicalPlan) -> Result<Option<&LogicalPlan>> {
    match side {
        wanted if is_wanted(wanted)? => Ok(Some(wanted)),
        LogicalPlan::Projection(node) => part_of(&node.input),
        LogicalPlan::SubqueryAlias(node) => part_of(&node.input),
        LogicalPlan::Filter(node) => part_of(&node.input),
        _ => Ok(None),
    }
}

/// Whether a side of a join may have few of its tables' rows. Groups are as many as they are.
fn is_narrow(side: &LogicalPlan) -> Result<bool> {
    let mut narrow = false;
    side.apply(|node| {
        narrow |= match node {
            wanted if is_wanted(wanted)? => return Ok(TreeNodeRecursion::Jump),
            LogicalPlan::Filter(_) | LogicalPlan::Limit(_) | LogicalPlan::Values(_) => true,
            LogicalPlan::TableScan(scan) => {
                let is_narrowed = fragment_of(scan, FragmentTable::is_narrowed)?.unwrap_or(false);
                is_narrowed || has_row_policy(scan)? || !scan.filters.is_empty() || scan.fetch.is_some()
            }
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(narrow)
}

/// How often a part is there that is not inside of a larger one of them. Of equal subqueries one counts: the engine runs them once.
fn count_places(plan: &LogicalPlan, part: &LogicalPlan, all: &[LogicalPlan]) -> Result<usize> {
    let (mut places, mut subqueries) = (0, Vec::new());
    count_places_in(
        plan,
        &mut |node| {
            if !is_wanted(node)? || !is_known(all, node)? {
                return Ok(TreeNodeRecursion::Continue);
            }
            places += usize::from(is_equal(part, node)?);
            Ok(TreeNodeRecursion::Jump)
        },
        &mut subqueries,
    )?;
    Ok(places)
}

type Visit<'a> = dyn FnMut(&LogicalPlan) -> Result<TreeNodeRecursion> + 'a;

fn count_places_in(plan: &LogicalPlan, visit: &mut Visit<'_>, seen: &mut Vec<Arc<LogicalPlan>>) -> Result<()> {
    let mut inner = Vec::new();
    plan.apply(|node| {
        let turn = visit(node)?;
        if turn == TreeNodeRecursion::Continue {
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    inner.extend(subquery_of(part).cloned());
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
        }
        Ok(turn)
    })?;
    for subquery in inner {
        let mut is_new = true;
        for known in seen.iter() {
            is_new &= !is_equal(known, &subquery)?;
        }
        if is_new {
            seen.push(Arc::clone(&subquery));
            count_places_in(&subquery, visit, seen)?;
        }
    }
    Ok(())
}

fn subquery_of(expr: &Expr) -> Option<&Arc<LogicalPlan>> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(&subquery.subquery),
        Expr::Exists(exists) => Some(&exists.subquery.subquery),
        Expr::InSubquery(membership) => Some(&membership.subquery.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery.subquery),
        _ => None,
    }
}

fn is_known(known: &[LogicalPlan], node: &LogicalPlan) -> Result<bool> {
    for part in known {
        if is_equal(part, node)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two plans give the same rows. The engine compares tables by their names alone.
fn is_equal(one: &LogicalPlan, other: &LogicalPlan) -> Result<bool> {
    Ok(one == other && reads_the_same(one, other)?)
}

/// Whether the node is one that gives few rows for many: only of these it is known that it is better to keep the rows than to make
/// them twice.
fn is_wanted(node: &LogicalPlan) -> Result<bool> {
    Ok(match node {
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::TableScan(scan) => fragment_of(scan, FragmentTable::has_groups)?.unwrap_or(false),
        _ => false,
    })
}

/// What is asked of a scan's fragment. `None`: it reads a table.
fn fragment_of<T>(scan: &TableScan, ask: impl FnOnce(&FragmentTable) -> T) -> Result<Option<T>> {
    let provider = source_as_provider(&scan.source)?;
    let any: &dyn Any = provider.as_ref();
    Ok(any.downcast_ref::<FragmentTable>().map(ask))
}

/// Whether a scan leaves out what a row policy hides.
fn has_row_policy(scan: &TableScan) -> Result<bool> {
    let provider = source_as_provider(&scan.source)?;
    let any: &dyn Any = provider.as_ref();
    Ok(any.downcast_ref::<GovernedTable>().is_some_and(|table| table.policy().restricts()))
}

/// Whether the scans of two plans read the same, one by one.
fn reads_the_same(one: &LogicalPlan, other: &LogicalPlan) -> Result<bool> {
    let (one, other) = (scans(one)?, scans(other)?);
    if one.len() != other.len() {
        return Ok(false);
    }
    for (one, other) in one.into_iter().zip(other) {
        let (one, other) = (source_as_provider(&one.source)?, source_as_provider(&other.source)?);
        let (a, b): (&dyn Any, &dyn Any) = (one.as_ref(), other.as_ref());
        let is_same = if let (Some(a), Some(b)) = (a.downcast_ref::<FragmentTable>(), b.downcast_ref()) {
            a.gives_the_same(b)
        } else if let (Some(a), Some(b)) = (a.downcast_ref::<GovernedTable>(), b.downcast_ref()) {
            a.is_same(b)
        } else {
            Arc::ptr_eq(&one, &other)
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn scans(plan: &LogicalPlan) -> Result<Vec<&TableScan>> {
    let mut scans = Vec::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            scans.push(scan);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

/// Whether every evaluation gives the same rows, and all that it reads is seen here.
fn is_sharable(plan: &LogicalPlan) -> Result<bool> {
    let mut sharable = true;
    plan.apply(|node| {
        sharable &= !matches!(node, LogicalPlan::Extension(_) | LogicalPlan::Subquery(_));
        for expr in node.expressions() {
            expr.apply(|part| {
                sharable &= !(part.is_volatile_node() || reaches_out(part));
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(if sharable { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(sharable)
}

/// Whether an expression reads what is not seen in the plan's own nodes.
fn reaches_out(expr: &Expr) -> bool {
    subquery_of(expr).is_some() || matches!(expr, Expr::OuterReferenceColumn(..))
}

#[cfg(test)]
mod tests;
