//! The commands that describe catalog and server: exact schemas, rows from governed queries. Knows no table by itself, so
//! what a principal may not see cannot be told.

mod catalog;
mod keys;
mod server;
mod types;

use crate::command::MetadataCommand;
use crate::sessions::session::FlightSession;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use querygate_types::{Error, Result};

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
        MetadataCommand::SqlInfo(wanted) => server::rows(wanted, engine.takes_changes()),
        MetadataCommand::TypeInfo(wanted) => types::rows(wanted),
        MetadataCommand::PrimaryKeys(table) => keys::primary(&table, engine).await,
        MetadataCommand::ExportedKeys(table) => keys::exported(&table, engine).await,
        MetadataCommand::ImportedKeys(table) => keys::imported(&table, engine).await,
        MetadataCommand::CrossReference { key, reference } => keys::between(&key, &reference, engine).await,
    }
}

/// A row of exactly this many columns, NULL as the empty text.
fn columns<const N: usize>(row: Vec<Option<String>>) -> Result<[String; N]> {
    let texts: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
    texts.try_into().map_err(|_| Error::internal("a query of the door's own gave another number of columns"))
}
