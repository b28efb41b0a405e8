//! Changes as SQL, for so many rows at a time. Values are parameters; every column stands behind its table's name, because a bare name that is not there would be read as a text.

use crate::dialect::{Enforced, SqliteDialect, quote};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::Collation;
use querygate_driver_api::write::{ChangeOp, ChangeShape, TargetColumn};
use querygate_sql::Dialect;

/// Names of the rows in an UPDATE: the second is for a table of the first's name.
const ROWS: [&str; 2] = ["changes", "changes_of"];
/// Rows of a DELETE by several columns, whose conditions nest.
const ALTERNATIVES_MAX: usize = 200;
/// Parameters of one statement: enough rows to spare round trips, few enough to stay in cache.
const PARAMETERS: usize = 1_000;

/// Rows that one statement takes.
pub(super) fn rows_at_once(shape: &ChangeShape) -> usize {
    let rows = (PARAMETERS / shape.columns().count().max(1)).max(1);
    if shape.op == ChangeOp::Delete && shape.key.len() > 1 { rows.min(ALTERNATIVES_MAX) } else { rows }
}

/// The statement for so many rows, whose values follow each other row by row. `OR ABORT` takes the place of what the table's own
/// definition says of conflicts, which may be to replace the other row.
///
/// # Errors
/// A name that cannot be quoted safely.
pub(super) fn text(shape: &ChangeShape, rows: usize) -> Result<String, Refusal> {
    if shape.table.schema().is_some_and(|schema| schema != "main") {
        return Err(Refusal::new(RefusalReason::Name, "the source has no such schema"));
    }
    let table = quote(shape.table.name())?;
    let statement = match shape.op {
        ChangeOp::Insert => insert(shape, &table, rows)?,
        ChangeOp::Update => update(shape, &table, rows)?,
        ChangeOp::Delete => delete(shape, &table, rows)?,
    };
    Ok(format!("{statement}{}", returning(shape, &table)?))
}

fn insert(shape: &ChangeShape, table: &str, rows: usize) -> Result<String, Refusal> {
    let names = shape.columns().map(|column| quote(column.name.as_str())).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("INSERT OR ABORT INTO main.{table} ({}) VALUES {}", names.join(", "), values(shape, rows)))
}

fn update(shape: &ChangeShape, table: &str, rows: usize) -> Result<String, Refusal> {
    let taken = shape.table.name().eq_ignore_ascii_case(ROWS[0]);
    let alias = if taken { ROWS[1] } else { ROWS[0] };
    let first = shape.key.len();
    let set = |(place, column): (usize, &TargetColumn)| {
        Ok(format!("{} = {alias}.column{}", quote(column.name.as_str())?, first + place + 1))
    };
    let set = shape.assigned.iter().enumerate().map(set).collect::<Result<Vec<_>, Refusal>>()?;
    let found = |(place, column): (usize, &TargetColumn)| {
        Ok(format!("{} = {alias}.column{}", compared(table, column)?, place + 1))
    };
    let found = shape.key.iter().enumerate().map(found).collect::<Result<Vec<_>, Refusal>>()?;
    let (set, found, values) = (set.join(", "), found.join(" AND "), values(shape, rows));
    Ok(format!("UPDATE OR ABORT main.{table} SET {set} FROM (VALUES {values}) AS {alias} WHERE {found}"))
}

fn delete(shape: &ChangeShape, table: &str, rows: usize) -> Result<String, Refusal> {
    let keys = shape.key.iter().map(|column| compared(table, column)).collect::<Result<Vec<_>, _>>()?;
    let found = match &keys[..] {
        [key] => format!("{key} IN ({})", vec!["?"; rows].join(", ")),
        keys => {
            let row = keys.iter().map(|key| format!("{key} = ?")).collect::<Vec<_>>().join(" AND ");
            vec![format!("({row})"); rows].join(" OR ")
        }
    };
    Ok(format!("DELETE FROM main.{table} WHERE {found}"))
}

fn values(shape: &ChangeShape, rows: usize) -> String {
    let row = format!("({})", vec!["?"; shape.columns().count()].join(", "));
    vec![row; rows].join(", ")
}

/// A column of the key, compared byte by byte.
fn compared(table: &str, column: &TargetColumn) -> Result<String, Refusal> {
    let qualified = format!("{table}.{}", quote(column.name.as_str())?);
    Ok(match column.collation {
        Collation::Binary => qualified,
        Collation::Named(_) => format!("({qualified} COLLATE BINARY)"),
    })
}

fn returning(shape: &ChangeShape, table: &str) -> Result<String, Refusal> {
    if shape.returning.is_empty() {
        return Ok(String::new());
    }
    let enforced = Enforced::default();
    let dialect = SqliteDialect { enforced: &enforced };
    let read = |column: &querygate_driver_api::relation::ScanColumn| {
        let qualified = format!("{table}.{}", quote(column.name.as_str())?);
        dialect.scan_column(qualified, column)
    };
    let columns = shape.returning.iter().map(read).collect::<Result<Vec<_>, Refusal>>()?;
    Ok(format!(" RETURNING {}", columns.join(", ")))
}
