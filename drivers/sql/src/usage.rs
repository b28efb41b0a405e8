//! Questions about fragments that printers and capabilities ask: which columns are computed with, and what has one row.

use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Relation, SetOp};
use querygate_driver_api::scalar::ScalarExpr;
use std::collections::{HashMap, HashSet};

/// Scan columns that decide something (compared, sorted, grouped, aggregated), as opposed to those only handed on.
#[must_use]
pub fn computed_columns(relation: &Relation) -> HashSet<ColumnId> {
    let mut walk = Walk::default();
    walk.relation(relation);
    let Walk { used, origin } = walk;
    let root = |mut id: ColumnId| {
        // Ids are defined once and below their uses, so this ends.
        while let Some(from) = origin.get(&id) {
            id = *from;
        }
        id
    };
    used.into_iter().map(root).collect()
}

#[derive(Default)]
struct Walk {
    used: HashSet<ColumnId>,
    origin: HashMap<ColumnId, ColumnId>,
}

impl Walk {
    fn relation(&mut self, relation: &Relation) {
        for input in relation.inputs() {
            self.relation(input);
        }
        match relation {
            Relation::Project { exprs, .. } => {
                for (id, expr) in exprs {
                    match expr {
                        ScalarExpr::Column(from) if from == id => {}
                        ScalarExpr::Column(from) => {
                            self.origin.insert(*id, *from);
                        }
                        other => self.scalar(other),
                    }
                }
            }
            Relation::Aggregate { .. } => {
                if let Relation::Aggregate { group, .. } = relation {
                    for (id, expr) in group {
                        if let ScalarExpr::Column(from) = expr
                            && from != id
                        {
                            self.origin.insert(*id, *from);
                        }
                    }
                }
                relation.scalars().into_iter().for_each(|expr| self.scalar(expr));
            }
            Relation::Distinct { input } => self.used.extend(input.output()),
            Relation::SetOperation { op, all, columns, left, right } => {
                if !(*op == SetOp::Union && *all) {
                    self.used.extend(left.output());
                    self.used.extend(right.output());
                }
                for (id, from) in columns.iter().zip(left.output()) {
                    self.origin.insert(*id, from);
                }
                // The right side has no single origin: it counts as used.
                self.used.extend(right.output());
            }
            Relation::Scan { .. }
            | Relation::Filter { .. }
            | Relation::Join { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => relation.scalars().into_iter().for_each(|expr| self.scalar(expr)),
        }
    }

    fn scalar(&mut self, expr: &ScalarExpr) {
        if let ScalarExpr::Column(id) = expr {
            self.used.insert(*id);
        }
        expr.children().into_iter().for_each(|child| self.scalar(child));
        if let Some(relation) = expr.subquery() {
            self.relation(relation);
            if !matches!(expr, ScalarExpr::Exists { .. }) {
                self.used.extend(relation.output());
            }
        }
    }
}

/// Whether a subquery of an expression names a column of the block that the expression stands in.
pub(crate) fn names_inside(expr: &ScalarExpr, is_own: &impl Fn(ColumnId) -> bool) -> bool {
    expr.subquery().is_some_and(|relation| names(relation, is_own))
        || expr.children().into_iter().any(|child| names_inside(child, is_own))
}

fn names(relation: &Relation, is_own: &impl Fn(ColumnId) -> bool) -> bool {
    relation.scalars().into_iter().any(|expr| is_named(expr, is_own))
        || relation.inputs().into_iter().any(|input| names(input, is_own))
}

fn is_named(expr: &ScalarExpr, is_own: &impl Fn(ColumnId) -> bool) -> bool {
    matches!(expr, ScalarExpr::Column(id) if is_own(*id))
        || expr.children().into_iter().any(|child| is_named(child, is_own))
        || expr.subquery().is_some_and(|relation| names(relation, is_own))
}

/// Whether a relation can have only one row or none, so that a scalar subquery over it never meets several.
#[must_use]
pub fn at_most_one_row(relation: &Relation) -> bool {
    match relation {
        Relation::Aggregate { group, .. } => group.is_empty(),
        Relation::Limit { fetch, input, .. } => fetch.is_some_and(|fetch| fetch <= 1) || at_most_one_row(input),
        Relation::Project { input, .. }
        | Relation::Filter { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Distinct { input }
        | Relation::Fence { input }
        | Relation::Window { input, .. } => at_most_one_row(input),
        Relation::EmptyRow => true,
        Relation::Values { rows, .. } => rows.len() <= 1,
        Relation::Scan { .. } | Relation::Join { .. } | Relation::SetOperation { .. } => false,
    }
}
