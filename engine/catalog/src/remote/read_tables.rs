//! Which tables a fragment reads: as its source has them, for the log, and as its reader calls those that the statement names; and which
//! of its columns are their keys.

use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::ScalarExpr;
use std::sync::Arc;

/// A table that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedTable {
    pub(crate) source: Arc<str>,
    pub(crate) table: TableRef,
    /// As its reader calls it.
    pub(crate) name: String,
    /// The columns of its key there, with what the reader calls them. Empty: it has none, or the reader does not see it as it is stored.
    pub(crate) key: Vec<(Identifier, String)>,
}

/// The tables of a fragment of a source that its reader has names for. Those that only a policy reads are not among them.
pub(crate) fn named_in(source: &str, fragment: &Fragment, named: &[NamedTable]) -> Arc<[NamedTable]> {
    let read = tables(fragment);
    let mut found: Vec<NamedTable> = Vec::new();
    for known in named {
        let is_read = *known.source == *source && read.contains(&&known.table);
        if is_read && !found.iter().any(|other| other.name == known.name) {
            found.push(known.clone());
        }
    }
    found.into()
}

/// The key of the row that a value is read from: `(id)=(7)`. `place`: of the value among the delivered columns. `cells`: what is known of
/// these columns of that row. `None`: not all of the key is delivered, or it is not known whose the value is.
pub(super) fn row_key(
    fragment: &Fragment,
    reads: &[NamedTable],
    place: usize,
    cells: &[(usize, String)],
) -> Option<String> {
    let origin_of = |place: usize| origin(&fragment.relation, fragment.output.get(place)?.id);
    let (scan, _) = origin_of(place)?;
    let Relation::Scan { table, .. } = scan else { return None };
    let read = reads.iter().find(|read| read.table == *table)?;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (column, name) in &read.key {
        let is_it =
            |place: usize| origin_of(place).is_some_and(|(of, own)| std::ptr::eq(of, scan) && own.name == *column);
        let (_, value) = cells.iter().find(|(place, _)| is_it(*place))?;
        names.push(name.as_str());
        values.push(value.as_str());
    }
    (!names.is_empty()).then(|| format!("({})=({})", names.join(", "), values.join(", ")))
}

/// The scan that reads a column as it is delivered, and the column there. `None`: it is computed.
fn origin(relation: &Relation, id: ColumnId) -> Option<(&Relation, &ScanColumn)> {
    match relation {
        Relation::Scan { columns, .. } => {
            columns.iter().find(|column| column.id == id).map(|column| (relation, column))
        }
        Relation::Filter { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. }
        | Relation::Fence { input }
        | Relation::Distinct { input }
        | Relation::Window { input, .. } => origin(input, id),
        Relation::Project { input, exprs } => {
            exprs.iter().find(|(own, _)| *own == id).and_then(|(_, expr)| match expr {
                ScalarExpr::Column(inner) => origin(input, *inner),
                _ => None,
            })
        }
        Relation::Join { left, right, .. } => origin(left, id).or_else(|| origin(right, id)),
        Relation::Aggregate { .. } | Relation::SetOperation { .. } | Relation::Values { .. } | Relation::EmptyRow => {
            None
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::fragment::OutputColumn;
    use querygate_driver_api::relation::{Collation, Encoding, JoinKind};
    use querygate_driver_api::scalar::Constant;
    use querygate_driver_api::value::ValueType;

    fn scan(table: &str, columns: &[(u32, &str)]) -> Relation {
        let column = |(id, name): &(u32, &str)| ScanColumn {
            id: ColumnId(*id),
            name: Identifier::new(*name).unwrap(),
            value_type: ValueType::Int64,
            nullable: true,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        Relation::Scan { table: TableRef::new([table]).unwrap(), columns: columns.iter().map(column).collect() }
    }

    fn named(table: &str, key: &[&str]) -> NamedTable {
        let key = key.iter().map(|name| (Identifier::new(*name).unwrap(), format!("its {name}")));
        let table_ref = TableRef::new([table]).unwrap();
        NamedTable { source: "shop".into(), table: table_ref, name: table.to_owned(), key: key.collect() }
    }

    fn fragment(relation: Relation, output: &[u32]) -> Fragment {
        let column = |id: &u32| OutputColumn {
            id: ColumnId(*id),
            name: format!("c{id}"),
            value_type: ValueType::Int64,
            nullable: true,
        };
        Fragment { relation, output: output.iter().map(column).collect(), parameters: Vec::new() }
    }

    fn cells(known: &[(usize, &str)]) -> Vec<(usize, String)> {
        known.iter().map(|(place, value)| (*place, (*value).to_owned())).collect()
    }

    /// Of two tables it is the one that the value is of; a self join has two rows of one.
    #[test]
    fn a_row_is_named_by_the_key_of_the_table_that_its_value_is_of() {
        let on = ScalarExpr::Constant(Constant::True);
        let joined = Relation::Join {
            kind: JoinKind::Inner,
            left: Box::new(scan("orders", &[(1, "id"), (2, "total")])),
            right: Box::new(scan("orders", &[(3, "id"), (4, "total")])),
            on,
        };
        let fragment = fragment(joined, &[1, 2, 3, 4]);
        let reads = [named("lines", &["id"]), named("orders", &["id"])];
        let known = cells(&[(0, "7"), (2, "8")]);
        assert_eq!(row_key(&fragment, &reads, 1, &known).as_deref(), Some("(its id)=(7)"));
        assert_eq!(row_key(&fragment, &reads, 3, &known).as_deref(), Some("(its id)=(8)"));
        assert_eq!(row_key(&fragment, &reads, 3, &known[..1]), None);
        assert_eq!(row_key(&fragment, &reads[..1], 1, &known), None);
    }

    /// What is not delivered, not seen, or computed of several rows names none.
    #[test]
    fn a_key_is_named_as_a_whole_or_not() {
        let table = || scan("lines", &[(1, "order"), (2, "place"), (3, "pieces")]);
        let of = |output: &[u32], known: &[(usize, &str)], reads: &[NamedTable]| {
            let exprs = [1, 2].map(|id| (ColumnId(id), ScalarExpr::Column(ColumnId(id)))).into_iter();
            let renamed = (ColumnId(9), ScalarExpr::Column(ColumnId(3)));
            let input = Box::new(Relation::Fence { input: Box::new(table()) });
            let relation = Relation::Project { input, exprs: exprs.chain([renamed]).collect() };
            row_key(&fragment(relation, output), reads, 0, &cells(known))
        };
        let both = [named("lines", &["order", "place"])];
        let whole = of(&[9, 1, 2], &[(1, "7"), (2, "1")], &both);
        assert_eq!(whole.as_deref(), Some("(its order, its place)=(7, 1)"));
        assert_eq!(of(&[9, 1, 2], &[(1, "7")], &both), None);
        assert_eq!(of(&[9, 1], &[(1, "7")], &both), None);
        assert_eq!(of(&[9, 1, 2], &[(1, "7"), (2, "1")], &[named("lines", &[])]), None);
        let distinct = Relation::Aggregate { input: Box::new(table()), group: Vec::new(), aggregates: Vec::new() };
        assert_eq!(row_key(&fragment(distinct, &[1]), &both, 0, &cells(&[(0, "7")])), None);
    }
}
