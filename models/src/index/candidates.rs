//! Which indexes are worth a question: what leads, what may follow, what may be carried along, which policy's rows.

use super::shape::{Access, Index, Workload};
use std::collections::BTreeSet;

/// Carried columns of a covering candidate, at most.
const INCLUDE_MOST: usize = 8;

/// What the search may make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) width: usize,
    pub(crate) include: bool,
}

fn accesses(workload: &Workload) -> impl Iterator<Item = &Access> {
    workload.statements.iter().filter(|statement| statement.weight > 0.0).flat_map(|statement| &statement.accesses)
}

/// Single columns that could lead somewhere, on all rows and on the rows of each predicate that the access implies.
pub(crate) fn singles(workload: &Workload) -> BTreeSet<Index> {
    let mut found = BTreeSet::new();
    for access in accesses(workload) {
        for column in access.leads() {
            for predicate in predicates(access) {
                found.insert(Index { predicate, ..Index::on(access.table, &[column]) });
            }
        }
    }
    found
}

fn predicates(access: &Access) -> impl Iterator<Item = Option<usize>> {
    std::iter::once(None).chain(access.implies.iter().copied().map(Some))
}

/// The index that a person would make for each access first: equalities, most distinct first, then a range or the order.
pub(crate) fn obvious(workload: &Workload, allowed: Allowed) -> BTreeSet<Index> {
    let mut found = BTreeSet::new();
    for access in accesses(workload) {
        let Some(table) = workload.tables.get(access.table) else { continue };
        let mut equal = access.equal.clone();
        let distinct = |column: &usize| table.columns.get(*column).map_or(0.0, |column| column.distinct);
        equal.sort_by(|a, b| distinct(b).total_cmp(&distinct(a)).then(a.cmp(b)));
        equal.dedup();
        for tail in [&access.range, &access.join, &access.order] {
            let mut keys = equal.clone();
            keys.extend(tail.iter().filter(|column| !equal.contains(column)));
            keys.truncate(allowed.width);
            for predicate in predicates(access).filter(|_| !keys.is_empty()) {
                found.insert(Index { predicate, ..Index::on(access.table, &keys) });
            }
        }
    }
    found
}

/// What an index may become: a column wider, or covering for an access that may use it.
pub(crate) fn extensions(workload: &Workload, index: &Index, allowed: Allowed) -> BTreeSet<Index> {
    let mut found = BTreeSet::new();
    for access in accesses(workload).filter(|access| access.may_use(index)) {
        if index.keys.len() < allowed.width && index.include.is_empty() {
            for column in access.output.iter().filter(|column| !index.keys.contains(column)) {
                let mut wider = index.clone();
                wider.keys.push(*column);
                found.insert(wider);
            }
        }
        if allowed.include && !index.covers(&access.output) {
            let mut covering = index.clone();
            covering.include.extend(access.output.iter().filter(|column| !index.keys.contains(column)));
            covering.include.sort_unstable();
            covering.include.dedup();
            if covering.include.len() <= INCLUDE_MOST {
                found.insert(covering);
            }
        }
    }
    found
}

/// What an index may become to take less room: without what it carries, without its last column.
pub(crate) fn reductions(index: &Index) -> Vec<Index> {
    let mut found = Vec::new();
    if !index.include.is_empty() {
        found.push(Index { include: Vec::new(), ..index.clone() });
    }
    if index.keys.len() > 1 {
        let mut narrower = index.clone();
        narrower.keys.pop();
        found.push(narrower);
    }
    found
}
