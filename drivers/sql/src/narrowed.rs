//! Which columns of a fragment are compared with something from outside of their query: a source looks for such values where the rows
//! are read, if nothing in between says that all rows are wanted. Prints nothing.

use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use std::collections::{HashMap, HashSet};

/// The columns that some condition names, and those below that they are made of. An equality of two columns that are joined narrows neither,
/// as long as no other condition names one of them.
pub(crate) fn narrowed_columns(relation: &Relation) -> HashSet<ColumnId> {
    let mut walk = Walk::default();
    walk.relation(relation);
    let mut found = HashSet::new();
    let mut next: Vec<ColumnId> = std::mem::take(&mut walk.named);
    while let Some(id) = next.pop() {
        if found.insert(id) {
            next.extend(walk.made_of.get(&id).into_iter().flatten());
            next.extend(walk.joined.get(&id).into_iter().flatten());
        }
    }
    found
}

#[derive(Default)]
struct Walk {
    named: Vec<ColumnId>,
    joined: HashMap<ColumnId, Vec<ColumnId>>,
    made_of: HashMap<ColumnId, Vec<ColumnId>>,
}

impl Walk {
    fn relation(&mut self, relation: &Relation) {
        match relation {
            Relation::Filter { predicate, .. } => self.condition(predicate, &relation.output()),
            Relation::Join { left, right, on, .. } => {
                self.condition(on, &[left.output(), right.output()].concat());
            }
            Relation::Project { exprs, .. } => self.renames(exprs),
            Relation::Aggregate { group, .. } => self.renames(group),
            Relation::SetOperation { columns, left, right, .. } => {
                for side in [left, right] {
                    for (id, from) in columns.iter().zip(side.output()) {
                        self.made_of.entry(*id).or_default().push(from);
                    }
                }
            }
            Relation::Scan { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => {}
        }
        relation.inputs().into_iter().for_each(|input| self.relation(input));
        relation.scalars().into_iter().for_each(|expr| self.subqueries(expr));
    }

    fn renames(&mut self, exprs: &[(ColumnId, ScalarExpr)]) {
        for (id, expr) in exprs {
            if let ScalarExpr::Column(from) = expr
                && from != id
            {
                self.made_of.entry(*id).or_default().push(*from);
            }
        }
    }

    fn subqueries(&mut self, expr: &ScalarExpr) {
        expr.children().into_iter().for_each(|child| self.subqueries(child));
        if let Some(relation) = expr.subquery() {
            self.relation(relation);
        }
    }

    /// A condition on rows with these columns.
    fn condition(&mut self, expr: &ScalarExpr, own: &[ColumnId]) {
        match expr {
            ScalarExpr::And(all) => all.iter().for_each(|part| self.condition(part, own)),
            ScalarExpr::Comparison { op: ComparisonOp::Eq, left, right } => match (left.as_ref(), right.as_ref()) {
                (ScalarExpr::Column(a), ScalarExpr::Column(b)) if own.contains(a) && own.contains(b) => {
                    self.joined.entry(*a).or_default().push(*b);
                    self.joined.entry(*b).or_default().push(*a);
                }
                _ => self.names(expr),
            },
            other => self.names(other),
        }
    }

    fn names(&mut self, expr: &ScalarExpr) {
        if let ScalarExpr::Column(id) = expr {
            self.named.push(*id);
        }
        expr.children().into_iter().for_each(|child| self.names(child));
    }
}
