//! A row that is locked and changed in one statement: the read that locks it stands in the FROM of the update, so that both have one
//! moment, and what the row was comes back beside what it is.

use super::form::Form;
use super::pipeline::{CommandResult, parameters};
use super::print;
use super::stop::Answer;
use crate::compile::dialect::{PostgresDialect, quote};
use crate::connect::connection::Connection;
use crate::wire::bind::Parameters;
use crate::wire::declared;
use arrow::datatypes::{Field, Schema};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::OutputColumn;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::lock::locked_table;
use querygate_driver_api::write::{RowUpdate, TargetColumn};
use querygate_sql::Dialect;
use querygate_types::Result;
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Nothing of the table's own has a say in the row: no rule, no bounds of a part of another table, whose name an error would give, no table
/// that inherits from it, whose row may have the key of another one, no exclusion, which compares the row with hidden ones before rules
/// have their word, and no trigger but those of foreign keys, which look and change nothing. The statement has locked the table by the
/// time it asks, so that none is added before its transaction ends.
const UNALTERED: &str = "EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.oid = t.tableoid AND c.relkind = 'r' AND NOT c.relhasrules \
     AND NOT c.relispartition AND NOT c.relhassubclass \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = c.oid) \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS x WHERE x.conrelid = c.oid AND x.contype = 'x') \
     AND (NOT c.relhastriggers OR NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)))";

/// The statement. `read`: the update's own, as it was printed with its lock.
///
/// # Errors
/// A column whose values would be cast on their way, or which finds no row; a name that cannot be quoted safely.
pub(super) fn statement(update: &RowUpdate, read: &NativeStatement) -> Result<NativeStatement, Refusal> {
    let table = print::table(table_of(update)?)?;
    let wanted = update.returning.len();
    let was = read.output.get(..wanted).unwrap_or_default();
    let relation = Relation::Scan { table: table_of(update)?.clone(), columns: update.returning.clone() };
    let dialect = PostgresDialect::new(&relation);
    let own = |name: &str| Ok::<_, Refusal>(format!("t.{}", quote(name)?));
    let read_as = |column: &dyn std::fmt::Display| Ok::<_, Refusal>(format!("o.{}", quote(&column.to_string())?));
    let found = update.key.iter().map(|(column, id)| {
        let scanned = update.returning.iter().find(|scanned| scanned.name == column.name);
        let cast = key_cast(column, scanned, &dialect)?;
        Ok(format!("{} = {}{cast}", own(column.name.as_str())?, read_as(id)?))
    });
    let found = found.collect::<Result<Vec<_>, Refusal>>()?.join(" AND ");
    let set = update.assigned.iter().map(|(column, id)| {
        is_assigned_as_it_is(column)?;
        Ok(format!("{} = {}", quote(column.name.as_str())?, read_as(id)?))
    });
    let set = set.collect::<Result<Vec<_>, Refusal>>()?.join(", ");
    let mut returned = was.iter().map(|(column, _)| read_as(&column.id)).collect::<Result<Vec<_>, _>>()?;
    for column in &update.returning {
        returned.push(dialect.scan_column(own(column.name.as_str())?, column)?);
    }
    let text = format!(
        "UPDATE {table} AS t SET {set} FROM ({}) AS o WHERE {found} AND {UNALTERED} RETURNING {}",
        read.text,
        returned.join(", ")
    );
    let mut output = was.to_vec();
    output.extend(update.returning.iter().map(|column| (stored(column), column.encoding)));
    let field = |(column, _): &(OutputColumn, Encoding)| Field::new(&column.name, column.value_type.to_arrow(), true);
    let schema = Arc::new(Schema::new(output.iter().map(field).collect::<Vec<_>>()));
    Ok(NativeStatement { text: text.into(), output, schema, ..read.clone() })
}

/// The table whose row is locked: nothing but conditions and one projection stand over it.
fn table_of(update: &RowUpdate) -> Result<&TableRef, Refusal> {
    match &update.locked.relation {
        Relation::Project { input, .. } => locked_table(input),
        _ => Err(Refusal::new(RefusalReason::Invalid, "an update without its read")),
    }
}

fn stored(column: &ScanColumn) -> OutputColumn {
    OutputColumn { id: column.id, name: column.name.as_str().to_owned(), value_type: column.value_type, nullable: true }
}

/// What makes the key's own type of how the read gives it.
fn key_cast(
    column: &TargetColumn,
    scanned: Option<&ScanColumn>,
    dialect: &PostgresDialect,
) -> Result<&'static str, Refusal> {
    let refused = || Refusal::new(RefusalReason::Type, "rows are not found by a column of this type in one statement");
    match Form::of(&column.native_type, column.value_type)? {
        Form::Uuid => Ok("::uuid"),
        Form::Boolean | Form::Int2 | Form::Int4 | Form::Int8 | Form::Date => Ok(""),
        Form::Text(_) => {
            let scanned = scanned.ok_or_else(refused)?;
            let plain = dialect.scan_column(String::new(), scanned)?.is_empty();
            match &column.collation {
                Collation::Named(name) if name.starts_with(declared::NONDETERMINISTIC) => Err(refused()),
                Collation::Named(_) | Collation::Binary if plain => Ok(""),
                Collation::Named(_) | Collation::Binary => Err(refused()),
            }
        }
        Form::Float4
        | Form::Float8
        | Form::Numeric(_)
        | Form::Json
        | Form::Jsonb
        | Form::Bytea
        | Form::Time(_)
        | Form::Timestamp { .. }
        | Form::TextArray(..) => Err(refused()),
    }
}

/// # Errors
/// A value that is computed, or bound, is not of the column's own type.
fn is_assigned_as_it_is(column: &TargetColumn) -> Result<(), Refusal> {
    let refused = || Refusal::new(RefusalReason::Type, "a value of this type is not assigned as it is");
    match Form::of(&column.native_type, column.value_type)? {
        Form::Boolean
        | Form::Int2
        | Form::Int4
        | Form::Int8
        | Form::Float4
        | Form::Float8
        | Form::Numeric(_)
        | Form::Text(_)
        | Form::Date
        | Form::Timestamp { .. } => Ok(()),
        // The server's day has a 24:00, which is no time of day here.
        Form::Time(_) => Err(refused()),
        Form::Uuid | Form::Json | Form::Jsonb | Form::Bytea | Form::TextArray(..) => Err(refused()),
    }
}

/// The statement with its values.
#[derive(Debug)]
pub(super) struct RowChange<'a> {
    statement: &'a NativeStatement,
    parameters: Parameters,
}

impl<'a> RowChange<'a> {
    /// # Errors
    /// Values that cannot be given to the server.
    pub(super) fn of(statement: &'a NativeStatement, values: &[Value]) -> Result<Self> {
        Ok(Self { statement, parameters: parameters(statement, values)? })
    }

    /// Runs it.
    pub(super) async fn run(&self, connection: &Connection) -> Answer<CommandResult> {
        let types: Vec<Type> = self.parameters.types().cloned().collect();
        let prepared = connection.prepared_change(&self.statement.text, &types).await?;
        let rows = connection.client.query_raw(&prepared, self.parameters.values().cloned());
        CommandResult::of(prepared.clone(), rows).await
    }
}
