//! The commands that describe catalog and server: exact schemas, rows from governed queries. Knows no table by itself, so
//! what a principal may not see cannot be told.

mod catalog;
mod keys;
mod server;
mod types;

use crate::command::MetadataCommand;
use crate::session::FlightSession;
use crate::statement::{Ran, describe, run};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::StreamExt as _;
use querygate_query_api::Session;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// Rows of one catalog query that the door takes; a larger catalog is refused rather than cut.
const ROWS_MAX: usize = 1_000_000;

/// Schema of a command's result, before anything is asked.
pub(crate) fn schema(command: &MetadataCommand) -> Result<SchemaRef> {
    match command {
        MetadataCommand::Catalogs => Ok(catalog::catalogs_schema()),
        MetadataCommand::DbSchemas(command) => Ok(command.clone().into_builder().schema()),
        MetadataCommand::Tables(command) => Ok(command.clone().into_builder().schema()),
        MetadataCommand::TableTypes => Ok(catalog::table_types_schema()),
        MetadataCommand::SqlInfo(_) => Ok(server::schema()),
        MetadataCommand::TypeInfo(_) => types::schema(),
        MetadataCommand::PrimaryKeys(_) => Ok(keys::primary_schema()),
        MetadataCommand::ExportedKeys(_)
        | MetadataCommand::ImportedKeys(_)
        | MetadataCommand::CrossReference { .. } => Ok(keys::foreign_schema()),
    }
}

/// A command's result for the session's principal.
pub(crate) async fn rows(command: MetadataCommand, session: &FlightSession, database: &str) -> Result<RecordBatch> {
    let engine = session.main();
    match command {
        MetadataCommand::Catalogs => catalog::catalogs(database),
        MetadataCommand::DbSchemas(command) => catalog::db_schemas(command, engine, database).await,
        MetadataCommand::Tables(command) => catalog::tables(command, engine).await,
        MetadataCommand::TableTypes => catalog::table_types(),
        MetadataCommand::SqlInfo(wanted) => server::rows(wanted),
        MetadataCommand::TypeInfo(wanted) => types::rows(wanted),
        MetadataCommand::PrimaryKeys(table) => keys::primary(&table, engine).await,
        MetadataCommand::ExportedKeys(table) => keys::exported(&table, engine).await,
        MetadataCommand::ImportedKeys(table) => keys::imported(&table, engine).await,
        MetadataCommand::CrossReference { key, reference } => keys::between(&key, &reference, engine).await,
    }
}

/// Runs a query of the door's own on the principal's session; every value as text.
pub(crate) async fn ask(
    engine: &Arc<dyn Session>,
    sql: &'static str,
    values: &[&str],
) -> Result<Vec<Vec<Option<String>>>> {
    let described = describe(engine, sql, &vec![Some(PgType::Text); values.len()]).await?;
    let values: Vec<ArrayRef> =
        values.iter().map(|value| Arc::new(StringArray::from(vec![*value])) as ArrayRef).collect();
    let Ran::Rows(mut batches) = run(engine, &described.prepared, &values).await? else {
        return Err(Error::internal("a query of the door's own gave no rows"));
    };
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.inspect_err(|_| engine.fail_transaction())?;
        if rows.len() + batch.num_rows() > ROWS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "the catalog has too many rows for this command"));
        }
        append(&batch, &mut rows)?;
    }
    Ok(rows)
}

fn append(batch: &RecordBatch, rows: &mut Vec<Vec<Option<String>>>) -> Result<()> {
    let texts: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|column| cast(column, &DataType::Utf8))
        .collect::<std::result::Result<_, _>>()
        .map_err(Error::internal)?;
    for row in 0..batch.num_rows() {
        let value = |column: &ArrayRef| {
            let texts = column.as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row).to_owned())
        };
        rows.push(texts.iter().map(value).collect());
    }
    Ok(())
}

/// A row of exactly this many columns, NULL as the empty text.
fn columns<const N: usize>(row: Vec<Option<String>>) -> Result<[String; N]> {
    let texts: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
    texts.try_into().map_err(|_| Error::internal("a query of the door's own gave another number of columns"))
}
