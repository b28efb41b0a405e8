//! Before carving: puts conditions into the joins they belong to, and tables of one source beside each other. Changes no answer; knows no fragment.

use crate::leak_proof::becomes_leak_proof;
use crate::opener::LeafOpener;
use crate::required::collect;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, JoinType, NullEquality, Result};
use datafusion::logical_expr::logical_plan::{Filter, Join};
use datafusion::logical_expr::utils::{conjunction, expr_to_columns, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::collections::HashSet;
use std::sync::Arc;

/// Most inputs of one group of inner joins that is taken apart.
const INPUTS_MAX: usize = 64;

/// The plan with every group of inner joins (and the filter above it) regrouped.
pub(crate) fn regroup(plan: LogicalPlan, opener: &dyn LeafOpener) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) if is_inner(&filter.input) => {
            let (movable, staying): (Vec<_>, Vec<_>) =
                split_conjunction_owned(filter.predicate).into_iter().partition(is_movable);
            let (tests, staying): (Vec<_>, Vec<_>) = staying.into_iter().partition(is_test);
            let input = rebuilt(Arc::unwrap_or_clone(filter.input), movable, tests, opener)?;
            subqueries(filtered(input, staying)?, opener)
        }
        join if is_inner(&join) => rebuilt(join, Vec::new(), Vec::new(), opener),
        other => {
            let children = other.map_children(|input| Ok(Transformed::yes(regroup(input, opener)?)))?;
            subqueries(children.data, opener)
        }
    }
}

/// The subqueries of a node's own expressions, regrouped.
fn subqueries(plan: LogicalPlan, opener: &dyn LeafOpener) -> Result<LogicalPlan> {
    Ok(plan.map_subqueries(|subquery| Ok(Transformed::yes(regroup(subquery, opener)?)))?.data)
}

fn filtered(input: LogicalPlan, all: Vec<Expr>) -> Result<LogicalPlan> {
    match conjunction(all) {
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?)),
        None => Ok(input),
    }
}

/// An inner join whose NULLs are plain.
fn is_inner(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Join(join)
        if join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNothing)
}

/// A condition that may be evaluated at a join: no subquery, the same answer each time.
pub(crate) fn is_movable(expr: &Expr) -> bool {
    let holds_query = expr.exists(|node| {
        Ok(matches!(node, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)))
    });
    !holds_query.unwrap_or(true) && !expr.is_volatile()
}

/// A test for rows in a subquery: a semi or anti join, which a source may make before other joins.
fn is_test(expr: &Expr) -> bool {
    match expr {
        Expr::Exists(_) => true,
        Expr::InSubquery(member) => matches!(member.expr.as_ref(), Expr::Column(_)),
        Expr::Not(inner) => matches!(inner.as_ref(), Expr::Exists(_)),
        _ => false,
    }
}

/// Takes a group of inner joins apart and builds it again. `tests` stand above it, or on the part whose source they are of.
fn rebuilt(
    plan: LogicalPlan,
    mut conditions: Vec<Expr>,
    tests: Vec<Expr>,
    opener: &dyn LeafOpener,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let (untouched, mut own) = (plan.clone(), conditions.clone());
    let mut inputs = Vec::new();
    flatten(plan, &mut inputs, &mut conditions);
    if inputs.len() > INPUTS_MAX {
        own.extend(tests);
        return subqueries(filtered(untouched, own)?, opener);
    }
    let mut inputs = inputs.into_iter().map(|input| regroup(input, opener)).collect::<Result<Vec<_>>>()?;
    // Conditions of one input stand on it, if they cannot fail there; the others stand above all.
    let mut above = Vec::new();
    let mut joining = Vec::new();
    for condition in conditions {
        let mut columns = HashSet::new();
        expr_to_columns(&condition, &mut columns)?;
        let touched: Vec<usize> = (0..inputs.len()).filter(|i| touches(inputs[*i].schema(), &columns)).collect();
        match touched[..] {
            [] => above.push(condition),
            // What reads a row of the query around it would keep the input from becoming a leaf.
            _ if condition.contains_outer() => above.push(condition),
            [one] if becomes_leak_proof(&condition, inputs[one].schema()) => {
                let input = std::mem::take(&mut inputs[one]);
                inputs[one] = filtered(input, vec![condition])?;
            }
            [_] => above.push(condition),
            [..] => joining.push((condition, columns)),
        }
    }
    let mut groups: Vec<Part> = inputs.into_iter().map(|input| (source_of(&input, opener), input)).collect();
    // First what shares a source and a condition, then what shares a condition, then the rest.
    merge(&mut groups, &mut joining, Must::ShareSource)?;
    let tests = placed(&mut groups, tests, opener)?;
    merge(&mut groups, &mut joining, Must::ShareCondition)?;
    merge(&mut groups, &mut joining, Must::Nothing)?;
    let plan = groups.pop().map(|(_, plan)| plan).unwrap_or_default();
    above.extend(joining.into_iter().map(|(condition, _)| condition));
    let plan = filtered(plan, above)?;
    let plan = if tests.is_empty() { plan } else { subqueries(filtered(plan, tests)?, opener)? };
    ordered(plan, &schema)
}

type Part = (Option<Arc<str>>, LogicalPlan);

/// Joins parts that have something in common, while there are any.
fn merge(groups: &mut Vec<Part>, joining: &mut Vec<(Expr, HashSet<Column>)>, must: Must) -> Result<()> {
    while let Some((i, j)) = pair(groups, joining, must) {
        let (_, right) = groups.remove(j);
        let (source, left) = std::mem::take(&mut groups[i]);
        let source = source.filter(|_| must == Must::ShareSource);
        groups[i] = (source, joined(left, right, joining)?);
    }
    Ok(())
}

/// Puts each test on the one part that it reads, where its subquery is of the same source; gives the others back.
fn placed(groups: &mut [Part], tests: Vec<Expr>, opener: &dyn LeafOpener) -> Result<Vec<Expr>> {
    let mut rest = Vec::new();
    for test in tests {
        let place = place_of(groups, &test, opener)?;
        match place.and_then(|place| groups.get_mut(place)) {
            Some((_, plan)) => *plan = subqueries(filtered(std::mem::take(plan), vec![test])?, opener)?,
            None => rest.push(test),
        }
    }
    Ok(rest)
}

fn place_of(groups: &[Part], test: &Expr, opener: &dyn LeafOpener) -> Result<Option<usize>> {
    let mut columns = HashSet::new();
    collect(test, &mut columns)?;
    let covering = |(_, plan): &Part| columns.iter().all(|column| plan.schema().is_column_from_schema(column));
    let Some(place) = groups.iter().position(covering).filter(|_| !columns.is_empty()) else { return Ok(None) };
    let mut source = groups[place].0.clone();
    test.apply(|node| {
        let query = match node {
            Expr::Exists(exists) => Some(&exists.subquery),
            Expr::InSubquery(member) => Some(&member.subquery),
            _ => None,
        };
        if let Some(query) = query {
            let same = |source: &Arc<str>| source_of(&query.subquery, opener).as_ref() == Some(source);
            let settled = query.outer_ref_columns.is_empty() || cannot_fail(&query.subquery);
            source = source.take().filter(|source| settled && same(source));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(source.map(|_| place))
}

/// Whether the conditions of a correlated subquery can be asked of rows that a join would have dropped.
fn cannot_fail(plan: &LogicalPlan) -> bool {
    let mut safe = true;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            let schema = filter.input.schema();
            safe &= split_conjunction(&filter.predicate).into_iter().all(|one| becomes_leak_proof(one, schema));
        }
        Ok(if safe { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && safe
}

fn flatten(plan: LogicalPlan, inputs: &mut Vec<LogicalPlan>, conditions: &mut Vec<Expr>) {
    if !is_inner(&plan) {
        return inputs.push(plan);
    }
    let LogicalPlan::Join(Join { left, right, on, filter, .. }) = plan else { return };
    conditions.extend(on.into_iter().map(|(l, r)| l.eq(r)));
    conditions.extend(filter.into_iter().flat_map(split_conjunction_owned));
    flatten(Arc::unwrap_or_clone(left), inputs, conditions);
    flatten(Arc::unwrap_or_clone(right), inputs, conditions);
}

/// What two inputs must have in common to be joined next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    ShareSource,
    ShareCondition,
    Nothing,
}

fn pair(groups: &[Part], joining: &[(Expr, HashSet<Column>)], must: Must) -> Option<(usize, usize)> {
    let pairs = (0..groups.len()).flat_map(|i| (i + 1..groups.len()).map(move |j| (i, j)));
    pairs.into_iter().find(|(i, j)| {
        let ((a, left), (b, right)) = (&groups[*i], &groups[*j]);
        let shares = || {
            joining.iter().any(|(_, columns)| {
                touches(left.schema(), columns)
                    && touches(right.schema(), columns)
                    && covers(left.schema(), right.schema(), columns)
            })
        };
        match must {
            Must::ShareSource => a.is_some() && a == b && shares(),
            Must::ShareCondition => shares(),
            Must::Nothing => true,
        }
    })
}

fn touches(schema: &DFSchemaRef, columns: &HashSet<Column>) -> bool {
    columns.iter().any(|column| schema.is_column_from_schema(column))
}

fn covers(left: &DFSchemaRef, right: &DFSchemaRef, columns: &HashSet<Column>) -> bool {
    columns.iter().all(|column| left.is_column_from_schema(column) || right.is_column_from_schema(column))
}

/// Two inputs joined on every condition that they cover.
fn joined(left: LogicalPlan, right: LogicalPlan, joining: &mut Vec<(Expr, HashSet<Column>)>) -> Result<LogicalPlan> {
    let (now, later): (Vec<_>, Vec<_>) =
        std::mem::take(joining).into_iter().partition(|(_, columns)| covers(left.schema(), right.schema(), columns));
    *joining = later;
    let builder = LogicalPlanBuilder::from(left);
    if now.is_empty() {
        return builder.cross_join(right)?.build();
    }
    builder.join_on(right, JoinType::Inner, now.into_iter().map(|(condition, _)| condition))?.build()
}

/// The columns in the order that the plan above was bound to.
fn ordered(plan: LogicalPlan, schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let wanted = schema.columns();
    if plan.schema().columns() == wanted {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(wanted.into_iter().map(Expr::Column))?.build()
}

/// The one source of all tables of an input, if there is one.
pub(crate) fn source_of(plan: &LogicalPlan, opener: &dyn LeafOpener) -> Option<Arc<str>> {
    let mut source: Option<Arc<str>> = None;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match (opener.open(scan), &source) {
                (Ok(leaf), None) => source = Some(leaf.source),
                (Ok(leaf), Some(known)) if leaf.source == *known => {}
                (Ok(_) | Err(_), _) => {
                    source = None;
                    return Ok(TreeNodeRecursion::Stop);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.ok().and(source)
}
