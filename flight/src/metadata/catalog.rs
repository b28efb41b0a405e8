//! GetCatalogs, GetDbSchemas, GetTables, GetTableTypes. Rows come from `information_schema` as the principal sees it.

use super::columns;
use crate::messages::encode::schema_bytes;
use crate::sessions::own_queries::ask;
use crate::sessions::statement::describe;
use arrow::array::{ArrayRef, AsArray, BinaryArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::GetCatalogsBuilder;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use querygate_query_api::service::Session;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// Types of tables, as JDBC and ADBC name them.
const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";
const SYSTEM_TABLE: &str = "SYSTEM TABLE";
const SYSTEM_VIEW: &str = "SYSTEM VIEW";
const TABLE_TYPES: [&str; 4] = [TABLE, VIEW, SYSTEM_TABLE, SYSTEM_VIEW];

/// Schemas that describe rather than hold data.
const SYSTEM_SCHEMAS: [&str; 3] = ["information_schema", "pg_catalog", "querygate"];

pub(super) fn built<T>(result: std::result::Result<T, FlightError>) -> Result<T> {
    result.map_err(Error::internal)
}

pub(super) fn catalogs_schema() -> SchemaRef {
    GetCatalogsBuilder::new().schema()
}

pub(super) fn catalogs(database: &str) -> Result<RecordBatch> {
    let mut builder = GetCatalogsBuilder::new();
    builder.append(database);
    built(builder.build())
}

pub(super) async fn db_schemas(
    command: CommandGetDbSchemas,
    engine: &Arc<dyn Session>,
    database: &str,
) -> Result<RecordBatch> {
    let mut builder = command.into_builder();
    for row in ask(engine, "SELECT schema_name FROM information_schema.schemata", &[]).await? {
        let [schema] = columns(row)?;
        builder.append(database, schema);
    }
    built(builder.build())
}

pub(super) fn table_types_schema() -> SchemaRef {
    CommandGetTableTypes {}.into_builder().schema()
}

pub(super) fn table_types() -> Result<RecordBatch> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    for table_type in TABLE_TYPES {
        builder.append(table_type);
    }
    built(builder.build())
}

fn table_type(schema: &str, word: &str) -> &'static str {
    match (SYSTEM_SCHEMAS.contains(&schema), word) {
        (false, "VIEW") => VIEW,
        (false, _) => TABLE,
        (true, "VIEW") => SYSTEM_VIEW,
        (true, _) => SYSTEM_TABLE,
    }
}

/// Filters first, so that only tables that are asked for are described.
pub(super) async fn tables(command: CommandGetTables, engine: &Arc<dyn Session>) -> Result<RecordBatch> {
    let wanted = command.clone().into_builder().schema();
    let include_schema = command.include_schema;
    let mut builder = CommandGetTables { include_schema: false, ..command }.into_builder();
    let sql = "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables";
    for row in ask(engine, sql, &[]).await? {
        let [catalog, schema, table, word] = columns(row)?;
        let table_type = table_type(&schema, &word);
        built(builder.append(catalog, schema, table, table_type, &Schema::empty()))?;
    }
    let found = built(builder.build())?;
    if !include_schema {
        return Ok(found);
    }
    let (schemas, names) = (found.column(1).as_string::<i32>(), found.column(2).as_string::<i32>());
    let mut described = Vec::with_capacity(found.num_rows());
    for row in 0..found.num_rows() {
        let schema = table_schema(engine, schemas.value(row), names.value(row)).await?;
        described.push(schema_bytes(&schema)?);
    }
    let mut columns = found.columns().to_vec();
    columns.push(Arc::new(BinaryArray::from_iter_values(described)) as ArrayRef);
    RecordBatch::try_new(wanted, columns).map_err(Error::internal)
}

/// What `SELECT *` promises: the same schema that its rows have.
async fn table_schema(engine: &Arc<dyn Session>, schema: &str, table: &str) -> Result<SchemaRef> {
    // Names from the principal's own catalog, in our own quotes; no value of the client.
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let sql = format!("SELECT * FROM {}.{}", quoted(schema), quoted(table));
    Ok(describe(engine, &sql, &[]).await?.schema)
}
