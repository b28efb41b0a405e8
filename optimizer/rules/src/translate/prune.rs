//! Drops columns that nothing reads, so that a scan (and a fence around it) carries only what is needed. Moves no row decision.

use querygate_driver_api::{ColumnId, Relation, ScalarExpr};
use std::collections::HashSet;

/// Keeps what `needed` names (the columns read above), from the root down. Ids are unique in the whole fragment, so one
/// growing set serves all blocks; an operator's expressions are seen before its inputs.
pub(super) fn prune(relation: &mut Relation, needed: &mut HashSet<ColumnId>) {
    match relation {
        Relation::Scan { columns, .. } => keep(columns, |column| needed.contains(&column.id)),
        Relation::Filter { input, predicate } => {
            read(predicate, needed);
            prune(input, needed);
        }
        Relation::Project { input, exprs } => {
            keep(exprs, |(id, _)| needed.contains(id));
            exprs.iter_mut().for_each(|(_, expr)| read(expr, needed));
            prune(input, needed);
        }
        Relation::Join { left, right, on, .. } => {
            read(on, needed);
            prune(left, needed);
            prune(right, needed);
        }
        Relation::Aggregate { input, group, aggregates } => {
            if group.is_empty() {
                keep(aggregates, |(id, _)| needed.contains(id));
            } else {
                aggregates.retain(|(id, _)| needed.contains(id));
            }
            group.iter_mut().for_each(|(_, expr)| read(expr, needed));
            for (_, aggregate) in aggregates {
                aggregate.args.iter_mut().chain(&mut aggregate.filter).for_each(|expr| read(expr, needed));
            }
            prune(input, needed);
        }
        Relation::Distinct { input } => {
            needed.extend(input.output());
            prune(input, needed);
        }
        Relation::Sort { input, keys } => {
            keys.iter_mut().for_each(|key| read(&mut key.expr, needed));
            prune(input, needed);
        }
        Relation::SetOperation { left, right, .. } => {
            needed.extend(left.output());
            needed.extend(right.output());
            prune(left, needed);
            prune(right, needed);
        }
        Relation::Window { input, exprs } => {
            exprs.retain(|(id, _)| needed.contains(id));
            for (_, window) in exprs {
                let order = window.order_by.iter_mut().map(|key| &mut key.expr);
                window.args.iter_mut().chain(&mut window.partition_by).chain(order).for_each(|e| read(e, needed));
            }
            prune(input, needed);
        }
        Relation::Limit { input, .. } | Relation::Fence { input } => prune(input, needed),
        Relation::Values { .. } | Relation::EmptyRow => {}
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

/// Notes the columns of an expression; prunes its subqueries.
fn read(expr: &mut ScalarExpr, needed: &mut HashSet<ColumnId>) {
    match expr {
        ScalarExpr::Column(id) => {
            needed.insert(*id);
        }
        ScalarExpr::Parameter(..) | ScalarExpr::Constant(_) => {}
        ScalarExpr::Comparison { left, right, .. } | ScalarExpr::Arithmetic { left, right, .. } => {
            read(left, needed);
            read(right, needed);
        }
        ScalarExpr::And(all) | ScalarExpr::Or(all) => all.iter_mut().for_each(|one| read(one, needed)),
        ScalarExpr::Not(inner) | ScalarExpr::Negate(inner) => read(inner, needed),
        ScalarExpr::IsNull { expr, .. } | ScalarExpr::IsTruth { expr, .. } | ScalarExpr::Like { expr, .. }
        | ScalarExpr::Cast { expr, .. } => read(expr, needed),
        ScalarExpr::Between { expr, low, high, .. } => {
            read(expr, needed);
            read(low, needed);
            read(high, needed);
        }
        ScalarExpr::InList { expr, list, .. } => {
            read(expr, needed);
            list.iter_mut().for_each(|item| read(item, needed));
        }
        ScalarExpr::Case { branches, otherwise } => {
            for (when, then) in branches {
                read(when, needed);
                read(then, needed);
            }
            otherwise.iter_mut().for_each(|expr| read(expr, needed));
        }
        ScalarExpr::Function { args, .. } => args.iter_mut().for_each(|arg| read(arg, needed)),
        ScalarExpr::Exists { relation, .. } => prune(relation, needed),
        ScalarExpr::InSubquery { expr, relation, .. } => {
            read(expr, needed);
            needed.extend(relation.output());
            prune(relation, needed);
        }
        ScalarExpr::ScalarSubquery { relation } => {
            needed.extend(relation.output());
            prune(relation, needed);
        }
    }
}
