//! Conjunctions of the vocabulary: split, joined, counted. Knows nothing of where they stand.

use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{JoinKind, Relation};
use querygate_driver_api::scalar::{Constant, Held, ScalarExpr};
use std::collections::HashSet;

/// The conjuncts of a predicate, in order; TRUE has none.
pub(super) fn split(predicate: ScalarExpr, into: &mut Vec<ScalarExpr>) {
    match predicate {
        ScalarExpr::And(all) => all.into_iter().for_each(|one| split(one, into)),
        ScalarExpr::Constant(Constant::True) => {}
        other => into.push(other),
    }
}

/// One predicate of them all.
pub(super) fn join(mut all: Vec<ScalarExpr>) -> ScalarExpr {
    match all.len() {
        0 => ScalarExpr::always(),
        1 => all.pop().unwrap_or_else(ScalarExpr::always),
        _ => ScalarExpr::And(all),
    }
}

/// The same rows, filtered if there is something to filter by.
pub(super) fn filter(input: Relation, all: Vec<ScalarExpr>) -> Relation {
    if all.is_empty() { input } else { Relation::Filter { input: Box::new(input), predicate: join(all) } }
}

/// How many conjuncts stand in filters and join conditions of a relation, subqueries included.
pub(super) fn count(relation: &Relation) -> usize {
    let own = match relation {
        Relation::Filter { predicate, .. } => count_of(predicate),
        Relation::Join { on, .. } => count_of(on),
        _ => 0,
    };
    let inner: usize = relation.scalars().into_iter().map(count_subqueries).sum();
    own + inner + relation.inputs().into_iter().map(count).sum::<usize>()
}

fn count_of(predicate: &ScalarExpr) -> usize {
    match predicate {
        ScalarExpr::And(all) => all.iter().map(count_of).sum(),
        ScalarExpr::Constant(Constant::True) => 0,
        _ => 1,
    }
}

fn count_subqueries(expr: &ScalarExpr) -> usize {
    let own = expr.subquery().map_or(0, count);
    own + expr.children().into_iter().map(count_subqueries).sum::<usize>()
}

/// Columns that an expression names itself (those of its subqueries aside).
pub(super) fn columns(expr: &ScalarExpr, into: &mut HashSet<ColumnId>) {
    if let ScalarExpr::Column(id) = expr {
        into.insert(*id);
    }
    expr.children().into_iter().for_each(|child| columns(child, into));
}

/// Columns that an expression names, those inside of its subqueries included.
pub(super) fn all_columns(expr: &ScalarExpr, into: &mut HashSet<ColumnId>) {
    if let ScalarExpr::Column(id) = expr {
        into.insert(*id);
    }
    expr.children().into_iter().for_each(|child| all_columns(child, into));
    if let Some(relation) = expr.subquery() {
        columns_below(relation, into);
    }
}

fn columns_below(relation: &Relation, into: &mut HashSet<ColumnId>) {
    relation.scalars().into_iter().for_each(|expr| all_columns(expr, into));
    relation.inputs().into_iter().for_each(|input| columns_below(input, into));
}

/// Whether a subquery stands in it.
pub(super) fn has_subquery(expr: &ScalarExpr) -> bool {
    expr.subquery().is_some() || expr.children().into_iter().any(has_subquery)
}

/// Whether an operator's own expressions can fail. An aggregate's own overflow does not count: it is computed from rows
/// that every filter below has let through, in every source.
pub(super) fn operator_can_fail(relation: &Relation, held: Held) -> bool {
    relation.scalars().into_iter().any(|expr| expr.can_fail_over(held))
}

/// Which side of a join may lose rows to a filter above it.
pub(super) const fn keeps(kind: JoinKind) -> (bool, bool) {
    match kind {
        JoinKind::Inner => (true, true),
        JoinKind::Left | JoinKind::LeftSemi | JoinKind::LeftAnti => (true, false),
        JoinKind::Right => (false, true),
        JoinKind::Full => (false, false),
    }
}

/// Which side's own conjuncts of the ON condition may be evaluated below the join.
pub(super) const fn on_sinks(kind: JoinKind) -> (bool, bool) {
    match kind {
        JoinKind::Inner | JoinKind::LeftSemi => (true, true),
        JoinKind::Left | JoinKind::LeftAnti => (false, true),
        JoinKind::Right => (true, false),
        JoinKind::Full => (false, false),
    }
}
