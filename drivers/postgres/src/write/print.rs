//! Changes as SQL. One text serves sets of any size: each column is one array. Names are qualified; values are parameters.

use super::form::Form;
use crate::compile::dialect::{PostgresDialect, quote};
use crate::wire::declared;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::{Collation, Relation};
use querygate_driver_api::write::{ChangeOp, ChangeShape, TargetColumn};
use querygate_sql::Dialect;

/// # Errors
/// A name that cannot be quoted safely, a column that does not keep its values, or one by which no row is found.
pub(super) fn text(shape: &ChangeShape) -> Result<String, Refusal> {
    let columns = shape.columns().map(|column| Form::of(&column.native_type, column.value_type));
    let forms = columns.collect::<Result<Vec<_>, _>>()?;
    if shape.op != ChangeOp::Insert && !forms.iter().take(shape.key.len()).all(|form| form.is_key()) {
        return Err(Refusal::new(RefusalReason::Type, "rows are not found by a column of this type"));
    }
    let table = table(&shape.table)?;
    let arrays: Vec<String> = (1..=forms.len()).map(|number| format!("${number}")).collect();
    let names: Vec<String> = (0..forms.len()).map(|place| format!("c{place}")).collect();
    let rows = format!("unnest({}) AS u({})", arrays.join(", "), names.join(", "));
    let value = |place: usize, form: &Form| format!("u.c{place}{}", form.cast());
    let found = shape.key.iter().enumerate().map(|(place, column)| Ok(format!("{} = u.c{place}", compared(column)?)));
    let found = found.collect::<Result<Vec<_>, Refusal>>()?.join(" AND ");
    let statement = match shape.op {
        ChangeOp::Insert => {
            let values: Vec<String> = forms.iter().enumerate().map(|(place, form)| value(place, form)).collect();
            let columns = columns_of(shape)?;
            format!("INSERT INTO {table} AS t ({columns}) SELECT {} FROM {rows}", values.join(", "))
        }
        ChangeOp::Update => {
            let first = shape.key.len();
            let set = shape.assigned.iter().zip(forms.iter().enumerate().skip(first));
            let set = set.map(|(column, (place, form))| {
                Ok(format!("{} = {}", quote(column.name.as_str())?, value(place, form)))
            });
            let set = set.collect::<Result<Vec<_>, Refusal>>()?.join(", ");
            format!("UPDATE {table} AS t SET {set} FROM {rows} WHERE {found}")
        }
        ChangeOp::Delete => format!("DELETE FROM {table} AS t USING {rows} WHERE {found}"),
    };
    Ok(format!("{statement}{}", returning(shape)?))
}

/// The statement that loads rows of such an insert.
///
/// # Errors
/// As for `text`.
pub(super) fn copy(shape: &ChangeShape) -> Result<String, Refusal> {
    Ok(format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table(&shape.table)?, columns_of(shape)?))
}

fn columns_of(shape: &ChangeShape) -> Result<String, Refusal> {
    let names = shape.columns().map(|column| quote(column.name.as_str())).collect::<Result<Vec<_>, _>>()?;
    Ok(names.join(", "))
}

/// Behind its schema, so that no other table of the name is meant.
pub(super) fn table(table: &TableRef) -> Result<String, Refusal> {
    if table.schema().is_none() {
        return Err(Refusal::new(RefusalReason::Name, "table has no schema"));
    }
    let parts = table.parts().iter().map(|part| quote(part.as_str())).collect::<Result<Vec<_>, _>>()?;
    Ok(parts.join("."))
}

/// A column of the key, whose equality is that of its values.
fn compared(column: &TargetColumn) -> Result<String, Refusal> {
    let qualified = format!("t.{}", quote(column.name.as_str())?);
    Ok(match &column.collation {
        Collation::Named(name) if name.starts_with(declared::NONDETERMINISTIC) => format!("{qualified} COLLATE \"C\""),
        Collation::Named(_) | Collation::Binary => qualified,
    })
}

fn returning(shape: &ChangeShape) -> Result<String, Refusal> {
    if shape.returning.is_empty() {
        return Ok(String::new());
    }
    let read = Relation::Scan { table: shape.table.clone(), columns: shape.returning.clone() };
    let dialect = PostgresDialect::new(&read);
    let columns =
        shape.returning.iter().map(|column| dialect.scan_column(format!("t.{}", quote(column.name.as_str())?), column));
    Ok(format!(" RETURNING {}", columns.collect::<Result<Vec<_>, _>>()?.join(", ")))
}
