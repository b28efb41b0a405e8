//! Changes as SQL. Inserts and deletes take several rows; an update takes one, since the server gives a table of parameters types of its own. Names are qualified; values are parameters.

use crate::compile::names::quote;
use crate::connect::session::Flavor;
use crate::wire::declared::{Declared, Native};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::write::{ChangeOp, ChangeShape, NativeChange, TargetColumn};

/// Parameters of one INSERT, about.
const PARAMETERS: usize = 1_000;

/// Rows of one DELETE.
const ALTERNATIVES: usize = 100;

/// Rows that one statement takes.
pub(super) fn rows_at_once(shape: &ChangeShape) -> usize {
    match shape.op {
        ChangeOp::Insert => (PARAMETERS / shape.columns().count().max(1)).max(1),
        ChangeOp::Update => 1,
        ChangeOp::Delete => ALTERNATIVES,
    }
}

/// The statement for so many rows. Its values are those of the rows one after the other; of an update, assigned columns first.
///
/// # Errors
/// A name that cannot be quoted, or a column by which no row is found.
pub(super) fn text(shape: &ChangeShape, rows: usize, flavor: Option<Flavor>) -> Result<String, Refusal> {
    debug_assert!((1..=rows_at_once(shape)).contains(&rows), "a statement takes as many rows as its kind allows");
    let table = table(&shape.table)?;
    let found = || {
        let found = shape.key.iter().map(|column| compared(column, flavor)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Refusal>(found.join(" AND "))
    };
    Ok(match shape.op {
        ChangeOp::Insert => {
            let names = shape.columns().map(|column| quote(column.name.as_str())).collect::<Result<Vec<_>, _>>()?;
            let row = format!("({})", vec!["?"; names.len()].join(", "));
            format!("INSERT INTO {table} ({}) VALUES {}", names.join(", "), vec![row; rows].join(", "))
        }
        ChangeOp::Update => {
            let set = shape.assigned.iter().map(|column| Ok(format!("{} = ?", quote(column.name.as_str())?)));
            let set = set.collect::<Result<Vec<_>, Refusal>>()?;
            format!("UPDATE {table} SET {} WHERE {}", set.join(", "), found()?)
        }
        ChangeOp::Delete => {
            let row = format!("({})", found()?);
            format!("DELETE FROM {table} WHERE {}", vec![row; rows].join(" OR "))
        }
    })
}

/// Statements that change nothing, each of which only who has the right can prepare.
///
/// # Errors
/// A name that cannot be quoted.
pub(super) fn probes(of: &TableRef, key: &[Identifier]) -> Result<Vec<(&'static str, String)>, Refusal> {
    let table = table(of)?;
    let mut probes = vec![
        ("SELECT", format!("SELECT 1 FROM {table} WHERE 1 = 0")),
        ("INSERT", format!("INSERT INTO {table} () VALUES ()")),
        ("DELETE", format!("DELETE FROM {table} WHERE 1 = 0")),
    ];
    if let Some(column) = key.first() {
        let column = quote(column.as_str())?;
        probes.push(("UPDATE", format!("UPDATE {table} SET {column} = {column} WHERE 1 = 0")));
    }
    Ok(probes)
}

fn table(table: &TableRef) -> Result<String, Refusal> {
    let parts = table.parts().iter().map(|part| quote(part.as_str())).collect::<Result<Vec<_>, _>>()?;
    Ok(parts.join("."))
}

/// A column of the key, whose equality is that of its values: no text is folded, padded or read as a number.
fn compared(column: &TargetColumn, flavor: Option<Flavor>) -> Result<String, Refusal> {
    let name = quote(column.name.as_str())?;
    match Declared::parse(&column.native_type, None).native {
        Native::Integer { .. } => Ok(format!("{name} = CAST(? AS SIGNED)")),
        Native::Decimal { precision, scale } => Ok(format!("{name} = CAST(? AS DECIMAL({precision},{scale}))")),
        Native::Binary => Ok(format!("{name} = CAST(? AS BINARY)")),
        Native::Text(_) => {
            let binary = flavor.unwrap_or(Flavor::MariaDb).binary();
            Ok(format!("{name} = ? AND CONVERT({name} USING utf8mb4) COLLATE {binary} = ?"))
        }
        _ => Err(Refusal::new(RefusalReason::Type, "rows are not found by a column of this type")),
    }
}

/// How often the value of a key's column is bound.
pub(super) fn times_bound(column: &TargetColumn) -> usize {
    match Declared::parse(&column.native_type, None).native {
        Native::Text(_) => 2,
        _ => 1,
    }
}

/// The read of so many changed rows by their key, whose values follow each other row by row.
///
/// # Errors
/// The change has no key.
pub(super) fn found(change: &NativeChange, rows: usize) -> Result<Fragment, Refusal> {
    let shape = &change.shape;
    if shape.key.is_empty() {
        return Err(Refusal::new(RefusalReason::Operator, "the source gives rows back by their key only"));
    }
    let first = shape.returning.iter().map(|column| column.id.0).max().unwrap_or(0).saturating_add(1);
    let keys: Vec<ScanColumn> = shape.key.iter().zip(first..).map(|(column, id)| read(column, id)).collect();
    let mut parameters = Vec::new();
    let mut same = |key: &ScanColumn| {
        parameters.push(key.value_type);
        let value = ScalarExpr::Parameter(parameters.len() - 1, key.value_type);
        ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(key.id), value)
    };
    let alternatives = (0..rows).map(|_| ScalarExpr::And(keys.iter().map(&mut same).collect())).collect();
    let columns = shape.returning.iter().cloned().chain(keys.iter().cloned()).collect();
    let scan = Relation::Scan { table: shape.table.clone(), columns };
    Ok(Fragment {
        relation: Relation::Filter { input: Box::new(scan), predicate: ScalarExpr::Or(alternatives) },
        output: change.statement.output.iter().map(|(column, _)| column.clone()).collect(),
        parameters,
    })
}

fn read(column: &TargetColumn, id: u32) -> ScanColumn {
    ScanColumn {
        id: ColumnId(id),
        name: column.name.clone(),
        value_type: column.value_type,
        nullable: true,
        collation: column.collation.clone(),
        encoding: column.encoding,
    }
}
