//! Drops columns that nothing reads, so that a scan (and a fence around it) carries only what is needed. Moves no row decision.

use super::{Leaf, conjunct, fence};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::ScalarExpr;
use std::collections::{HashMap, HashSet};

/// Keeps what `needed` names (the columns read above), from the root down. Ids are unique in the whole fragment, so one
/// growing set serves all blocks; an operator's expressions are seen before its inputs.
pub(super) fn prune(
    relation: &mut Relation,
    needed: &mut HashSet<ColumnId>,
    leaves: &[Leaf],
    leaf_of: &HashMap<ColumnId, usize>,
) {
    Pruning { leaves, leaf_of }.relation(relation, needed);
}

struct Pruning<'a> {
    leaves: &'a [Leaf],
    leaf_of: &'a HashMap<ColumnId, usize>,
}

impl Pruning<'_> {
    fn relation(&self, relation: &mut Relation, needed: &mut HashSet<ColumnId>) {
        let is_leaf = fence::leaf(relation, self.leaves, self.leaf_of).is_some();
        match relation {
            Relation::Scan { columns, .. } => keep(columns, |column| needed.contains(&column.id)),
            // A policy is read, never changed: verification compares it with what its maker gave.
            Relation::Filter { input, predicate } if is_leaf => {
                conjunct::all_columns(predicate, needed);
                self.relation(input, needed);
            }
            Relation::Filter { input, predicate } => {
                self.read(predicate, needed);
                self.relation(input, needed);
            }
            Relation::Project { input, exprs } => {
                keep(exprs, |(id, _)| needed.contains(id));
                exprs.iter_mut().for_each(|(_, expr)| self.read(expr, needed));
                self.relation(input, needed);
                let handed_on = exprs.iter().all(|(id, expr)| *expr == ScalarExpr::Column(*id));
                if handed_on && exprs.iter().map(|(id, _)| *id).eq(input.output()) {
                    *relation = std::mem::replace(input, Relation::EmptyRow);
                }
            }
            Relation::Join { left, right, on, .. } => {
                self.read(on, needed);
                self.relation(left, needed);
                self.relation(right, needed);
            }
            Relation::Aggregate { input, group, aggregates } => {
                if group.is_empty() {
                    keep(aggregates, |(id, _)| needed.contains(id));
                } else {
                    aggregates.retain(|(id, _)| needed.contains(id));
                }
                group.iter_mut().for_each(|(_, expr)| self.read(expr, needed));
                for (_, aggregate) in aggregates {
                    aggregate.args.iter_mut().chain(&mut aggregate.filter).for_each(|expr| self.read(expr, needed));
                }
                self.relation(input, needed);
            }
            Relation::Distinct { input } => {
                needed.extend(input.output());
                self.relation(input, needed);
            }
            Relation::Sort { input, keys } => {
                keys.iter_mut().for_each(|key| self.read(&mut key.expr, needed));
                self.relation(input, needed);
            }
            Relation::SetOperation { left, right, .. } => {
                needed.extend(left.output());
                needed.extend(right.output());
                self.relation(left, needed);
                self.relation(right, needed);
            }
            Relation::Window { input, exprs } => {
                exprs.retain(|(id, _)| needed.contains(id));
                for (_, window) in exprs {
                    let order = window.order_by.iter_mut().map(|key| &mut key.expr);
                    window
                        .args
                        .iter_mut()
                        .chain(&mut window.partition_by)
                        .chain(order)
                        .for_each(|e| self.read(e, needed));
                }
                self.relation(input, needed);
            }
            Relation::Limit { input, .. } | Relation::Fence { input } => self.relation(input, needed),
            Relation::Values { .. } | Relation::EmptyRow => {}
        }
    }

    /// Notes the columns of an expression; prunes its subqueries.
    fn read(&self, expr: &mut ScalarExpr, needed: &mut HashSet<ColumnId>) {
        match expr {
            ScalarExpr::Column(id) => {
                needed.insert(*id);
            }
            ScalarExpr::Parameter(..) | ScalarExpr::Constant(_) => {}
            ScalarExpr::Comparison { left, right, .. } | ScalarExpr::Arithmetic { left, right, .. } => {
                self.read(left, needed);
                self.read(right, needed);
            }
            ScalarExpr::And(all) | ScalarExpr::Or(all) => all.iter_mut().for_each(|one| self.read(one, needed)),
            ScalarExpr::Not(inner) | ScalarExpr::Negate(inner) => self.read(inner, needed),
            ScalarExpr::IsNull { expr, .. }
            | ScalarExpr::IsTruth { expr, .. }
            | ScalarExpr::Like { expr, .. }
            | ScalarExpr::Cast { expr, .. } => self.read(expr, needed),
            ScalarExpr::Between { expr, low, high, .. } => {
                self.read(expr, needed);
                self.read(low, needed);
                self.read(high, needed);
            }
            ScalarExpr::InList { expr, list, .. } => {
                self.read(expr, needed);
                list.iter_mut().for_each(|item| self.read(item, needed));
            }
            ScalarExpr::Case { branches, otherwise } => {
                for (when, then) in branches {
                    self.read(when, needed);
                    self.read(then, needed);
                }
                otherwise.iter_mut().for_each(|expr| self.read(expr, needed));
            }
            ScalarExpr::Function { args, .. } => args.iter_mut().for_each(|arg| self.read(arg, needed)),
            ScalarExpr::Exists { relation, .. } => self.relation(relation, needed),
            ScalarExpr::InSubquery { expr, relation, .. } => {
                self.read(expr, needed);
                needed.extend(relation.output());
                self.relation(relation, needed);
            }
            ScalarExpr::ScalarSubquery { relation } => {
                needed.extend(relation.output());
                self.relation(relation, needed);
            }
        }
    }
}

/// Keeps what is needed, and at least one.
fn keep<T>(all: &mut Vec<T>, needed: impl Fn(&T) -> bool) {
    if all.iter().any(&needed) {
        all.retain(needed);
    } else {
        all.truncate(1);
    }
}
