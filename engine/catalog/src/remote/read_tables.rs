//! Which tables a fragment reads: as its source has them, for the log, and as its reader calls those that the statement names.

use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::ScalarExpr;
use std::sync::Arc;

/// A table that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedTable {
    pub(crate) source: Arc<str>,
    pub(crate) table: TableRef,
    /// As its reader calls it.
    pub(crate) name: String,
}

/// What readers call the tables of a fragment of a source. Those that only a policy reads have no name here.
pub(crate) fn names(source: &str, fragment: &Fragment, named: &[NamedTable]) -> Arc<[String]> {
    let read = tables(fragment);
    let mut names: Vec<String> = Vec::new();
    for known in named {
        let is_read = *known.source == *source && read.contains(&&known.table);
        if is_read && !names.contains(&known.name) {
            names.push(known.name.clone());
        }
    }
    names.into()
}

/// All tables that a fragment reads.
pub(crate) fn tables(fragment: &Fragment) -> Vec<&TableRef> {
    let mut found = Vec::new();
    of_relation(&fragment.relation, &mut found);
    found
}

fn of_relation<'a>(relation: &'a Relation, found: &mut Vec<&'a TableRef>) {
    if let Relation::Scan { table, .. } = relation
        && !found.contains(&table)
    {
        found.push(table);
    }
    relation.inputs().into_iter().for_each(|input| of_relation(input, found));
    relation.scalars().into_iter().for_each(|expr| of_scalar(expr, found));
}

fn of_scalar<'a>(expr: &'a ScalarExpr, found: &mut Vec<&'a TableRef>) {
    if let Some(relation) = expr.subquery() {
        of_relation(relation, found);
    }
    expr.children().into_iter().for_each(|child| of_scalar(child, found));
}
