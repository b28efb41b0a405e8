//! Which correlated subqueries the engine joins right. It pulls the conditions that read the row around up to a join, past all that
//! is above them in the subquery, also past what then sees other rows; and it finds the columns that they read by their names alone,
//! of which two tables may have the same. What it pulls wrongly runs for each row.
//! Needed with DataFusion 55.2.0.

use super::empty_input::{groups_by_row, is_null_of_no_rows, may_hold_of_no_rows};
use super::joinable::{is_local, stay_together};
use super::once::is_once;
use super::references::{free_references, lateral_body, reads_beyond, subquery_of};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, FetchType, Join, JoinType, Limit, LogicalPlan, SkipType};
use querygate_semantics::lineage::InputColumns;

/// Whether the engine would join a subquery wrongly, or one in it that it would join along.
pub(super) fn is_joined_wrongly(expr: &Expr) -> Result<bool> {
    let Some(subquery) = subquery_of(expr) else { return Ok(false) };
    if is_pulled_wrongly(expr)? {
        return Ok(true);
    }
    // One that reads no row around is looked at by itself.
    if reads_nothing_around(&subquery.subquery)? {
        return Ok(false);
    }
    let mut found = false;
    subquery.subquery.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = found || expr.exists(is_pulled_wrongly)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether the engine would join a LATERAL side wrongly.
pub(super) fn is_side_joined_wrongly(side: &LogicalPlan) -> Result<bool> {
    Ok(is_ambiguous(side) || !pass_together(side, below_aggregates(side, false))?)
}

/// Whether the engine's join for NOT IN would be wrong of it.
pub(super) fn forgets_null(member: &InSubquery) -> Result<bool> {
    Ok(!member.expr.any_column_refs() || !free_references(&member.subquery.subquery)?.is_empty())
}

/// Whether the engine would join a subquery itself wrongly, whatever it makes of those in it.
fn is_pulled_wrongly(expr: &Expr) -> Result<bool> {
    match expr {
        Expr::InSubquery(member) if member.negated => forgets_null(member),
        Expr::InSubquery(InSubquery { subquery, .. }) => {
            let plan = subquery.subquery.as_ref();
            Ok(is_ambiguous(plan) || !(pass_together(plan, below_extremes(plan))? || groups_by_row(plan)?))
        }
        Expr::Exists(Exists { subquery, .. }) => {
            let plan = subquery.subquery.as_ref();
            let rows = below_first_rows(plan);
            Ok(is_ambiguous(plan) || !(passes(rows)? || groups_by_row(rows)?))
        }
        Expr::ScalarSubquery(subquery) => {
            let plan = subquery.subquery.as_ref();
            // What the engine does not join at all is better known before it was tried.
            let pulled = is_ambiguous(plan) || is_once(plan)?;
            let dropped = may_hold_of_no_rows(plan) && !reads_nothing_around(plan)?;
            Ok(pulled || dropped || !pass_together(plan, below_aggregates(plan, true))?)
        }
        // Other expressions hold no subquery, or one that was rewritten when it was bound.
        _ => Ok(false),
    }
}

/// Whether conditions of a plan choose the same rows above it, or above aggregates of rows in it.
fn pass_together(plan: &LogicalPlan, rows: &LogicalPlan) -> Result<bool> {
    Ok(passes(rows)? && (std::ptr::eq(plan, rows) || stay_together(rows)?))
}

/// Whether conditions of a plan that read a row around choose the same rows above it.
fn passes(plan: &LogicalPlan) -> Result<bool> {
    if reads_nothing_around(plan)? {
        return Ok(true);
    }
    if has_further_references(plan)? {
        return Ok(false);
    }
    match plan {
        LogicalPlan::Filter(node) => passes(&node.input),
        LogicalPlan::Projection(node) => passes(&node.input),
        LogicalPlan::SubqueryAlias(node) => passes(&node.input),
        LogicalPlan::Distinct(Distinct::All(input)) => passes(input),
        LogicalPlan::Sort(node) => Ok(node.fetch.is_none() && passes(&node.input)?),
        LogicalPlan::Aggregate(node) => {
            let together = node.aggr_expr.is_empty() || stay_together(&node.input)?;
            Ok(keeps_groups(node) && together && passes(&node.input)?)
        }
        LogicalPlan::Join(join) => joined_passes(join),
        LogicalPlan::Distinct(Distinct::On(_))
        | LogicalPlan::Window(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(false),
    }
}

/// A grouping over nothing has a row of no rows; one by several sets has one, too.
fn keeps_groups(node: &Aggregate) -> bool {
    !node.group_expr.is_empty() && !node.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
}

/// A side whose rows the join keeps, or drops, one by one. The engine drops limits beside a condition that it pulled.
fn joined_passes(join: &Join) -> Result<bool> {
    let kept = match join.join_type {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            reads_nothing_around(&join.right)?
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            reads_nothing_around(&join.left)?
        }
        JoinType::Full => false,
    };
    Ok(kept
        && lateral_body(&join.right).is_none()
        && !holds_limit(&join.left)?
        && !holds_limit(&join.right)?
        && passes(&join.left)?
        && passes(&join.right)?)
}

fn reads_nothing_around(plan: &LogicalPlan) -> Result<bool> {
    Ok(free_references(plan)?.is_empty())
}

fn holds_limit(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Limit(_))))
}

/// Whether a subquery in a node's expressions reads a row further out.
fn has_further_references(node: &LogicalPlan) -> Result<bool> {
    let columns = InputColumns::of(node)?;
    let mut found = false;
    node.apply_expressions(|expr| {
        found = found
            || expr.exists(|part| match subquery_of(part) {
                Some(subquery) => reads_beyond(subquery, columns.schema()),
                None => Ok(false),
            })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// A plan without what does not change whether it has a row.
pub(super) fn below_first_rows(plan: &LogicalPlan) -> &LogicalPlan {
    let mut node = plan;
    loop {
        node = match node {
            LogicalPlan::Projection(projection) if projection.expr.iter().all(is_local) => &projection.input,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() && sort.expr.iter().all(|key| is_local(&key.expr)) => {
                &sort.input
            }
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Limit(limit) if keeps_a_row(limit) => &limit.input,
            other => return other,
        };
    }
}

/// Whether a plan has no row, whatever it reads.
pub(super) fn has_no_row(plan: &LogicalPlan) -> bool {
    let mut node = plan;
    loop {
        node = match node {
            LogicalPlan::Limit(limit) if matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(0)))) => {
                return true;
            }
            LogicalPlan::Limit(limit) => &limit.input,
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::Sort(sort) => &sort.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            _ => return false,
        };
    }
}

fn keeps_a_row(limit: &Limit) -> bool {
    matches!(
        (limit.get_skip_type(), limit.get_fetch_type()),
        (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(1..) | None)))
    )
}

/// The rows of aggregates that are NULL of no rows, which nothing equals: whether there is a row of them does not matter to IN.
fn below_extremes(plan: &LogicalPlan) -> &LogicalPlan {
    let mut node = plan;
    loop {
        node = match node {
            LogicalPlan::Projection(projection) if projection.expr.iter().all(is_column) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Aggregate(aggregate)
                if aggregate.group_expr.is_empty() && aggregate.aggr_expr.iter().all(is_null_of_no_rows) =>
            {
                return &aggregate.input;
            }
            _ => return plan,
        };
    }
}

/// The rows of aggregates that are one row: of such the engine knows what they are of no rows; below HAVING it knows it of values alone.
fn below_aggregates(plan: &LogicalPlan, with_having: bool) -> &LogicalPlan {
    let mut node = plan;
    loop {
        node = match node {
            LogicalPlan::Projection(projection) if projection.expr.iter().all(is_local) => &projection.input,
            LogicalPlan::Filter(filter) if with_having && is_local(&filter.predicate) => &filter.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Aggregate(aggregate)
                if aggregate.group_expr.is_empty() && aggregate.aggr_expr.iter().all(is_local) =>
            {
                return &aggregate.input;
            }
            _ => return plan,
        };
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_column(&alias.expr),
        Expr::Cast(cast) => is_column(&cast.expr),
        _ => false,
    }
}

/// Whether the engine would take a column that such conditions read for another one of its name, where a subquery has both.
pub(super) fn is_ambiguous(plan: &LogicalPlan) -> bool {
    let mut clash = false;
    let pulled = columns_pulled(plan, &mut clash);
    clash || are_mixed_up(&pulled, plan)
}

/// Columns that conditions on the row around read. They are handed up beside the plan's own, whose qualifiers a name hides.
fn columns_pulled(plan: &LogicalPlan, clash: &mut bool) -> Vec<Column> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let below = columns_pulled(&alias.input, clash);
            *clash |= are_mixed_up(&below, &alias.input);
            below.into_iter().map(|column| Column::new(Some(alias.alias.clone()), column.name)).collect()
        }
        LogicalPlan::Filter(filter) => {
            let mut pulled = columns_pulled(&filter.input, clash);
            let around =
                split_conjunction(&filter.predicate).into_iter().filter(|condition| condition.contains_outer());
            pulled.extend(around.flat_map(Expr::column_refs).cloned());
            pulled
        }
        other => other.inputs().into_iter().flat_map(|input| columns_pulled(input, clash)).collect(),
    }
}

fn are_mixed_up(pulled: &[Column], beside: &LogicalPlan) -> bool {
    let own = beside.schema().columns();
    pulled.iter().any(|column| {
        own.iter().chain(pulled).any(|other| other.name == column.name && other.relation != column.relation)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Shop, printed};

    #[test]
    fn correlated_subqueries_give_the_rows_of_postgresql() {
        let reader = Shop::open().owner();
        for line in include_str!("pulled.tsv").lines().filter(|line| !line.starts_with('#')) {
            let (sql, expected) = line.split_once('\t').unwrap();
            let rows = reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(rows.join(" ; "), expected, "{sql}");
        }
    }

    #[test]
    fn datafusion_alone_pulls_them_wrongly() {
        let reader = Shop::open().owner();
        for sql in [
            "SELECT id FROM visits v WHERE EXISTS (SELECT count(*) FROM orders o WHERE o.account_id = v.account_id) ORDER BY 1",
            "SELECT id FROM accounts a WHERE a.region_id IN (SELECT o.region_id FROM orders o JOIN visits v \
             ON v.account_id = o.account_id WHERE v.region_id <> a.region_id) ORDER BY 1",
        ] {
            let alone = reader.planned_once(sql).unwrap();
            assert_ne!(reader.run(alone).unwrap(), reader.rows(sql).unwrap(), "DataFusion does it by itself: {sql}");
        }
    }

    /// What the engine joins right, or does once columns have names of their own, stays a join.
    #[test]
    fn only_what_no_join_does_right_runs_for_each_row() {
        let reader = Shop::open().owner();
        for (sql, applied) in [
            (
                "SELECT id FROM visits v WHERE EXISTS (SELECT * FROM orders o WHERE o.account_id = v.account_id LIMIT 1)",
                false,
            ),
            (
                "SELECT id FROM visits v WHERE v.score IN (SELECT max(o.pieces) FROM orders o WHERE o.account_id = v.account_id)",
                false,
            ),
            (
                "SELECT id FROM visits v WHERE NOT EXISTS (SELECT * FROM orders o WHERE o.account_id = v.account_id LIMIT 0)",
                false,
            ),
            (
                "SELECT id FROM accounts a WHERE EXISTS (SELECT o.region_id FROM orders o JOIN visits v \
                 ON v.account_id = o.account_id WHERE v.region_id = a.region_id)",
                false,
            ),
            (
                "SELECT id FROM accounts a WHERE a.region_id IN (SELECT o.region_id FROM orders o JOIN visits v \
                 ON v.account_id = o.account_id WHERE v.region_id <> a.region_id)",
                false,
            ),
            (
                "SELECT id FROM visits v WHERE EXISTS (SELECT count(*) FROM orders o WHERE o.account_id = v.account_id)",
                true,
            ),
            (
                "SELECT id FROM visits v WHERE EXISTS (SELECT 1 FROM orders o WHERE o.region_id = v.region_id HAVING count(*) > 2)",
                false,
            ),
            (
                "SELECT id FROM visits v WHERE v.score IN \
                 (SELECT count(*) FROM orders o WHERE o.region_id = v.region_id HAVING sum(o.pieces) > 2)",
                false,
            ),
            (
                "SELECT id FROM visits v WHERE EXISTS (SELECT 1 FROM orders o WHERE o.region_id = v.region_id HAVING count(*) < 2)",
                true,
            ),
            ("SELECT (SELECT count(*) FROM orders o WHERE o.pieces::bigint = v.score) FROM visits v", false),
            ("SELECT (SELECT count(*) FROM orders o WHERE o.pieces = v.score + 1) FROM visits v", false),
            ("SELECT (SELECT count(*) FROM orders o WHERE o.pieces::bool = (v.score > 0)) FROM visits v", true),
        ] {
            let plan = printed(reader.plan(sql).unwrap().physical());
            assert_eq!(plan.contains("ApplyExec"), applied, "{sql}\n{plan}");
        }
    }
}
