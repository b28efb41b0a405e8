//! TPC-H with some tables in PostgreSQL (by default orders and lineitem) and the rest in Parquet files: fills the server, and
//! wires a deployment whose driver counts the rows that leave it. Knows no query.

use crate::{gate, tpch};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::SinkExt;
use querygate_catalog::{Deployment, DriverTable, RemoteField, SourceTable};
use querygate_driver_api::testkit::watch::Watch;
use querygate_driver_api::{Driver, Identifier, TableRef};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_rules::RemoteColumn;
use querygate_types::{Error, Result};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use tokio_postgres::Client;

/// The tables that lie in PostgreSQL where nothing else is said.
pub const REMOTE: [&str; 2] = ["orders", "lineitem"];

/// Rows that may leave PostgreSQL over the 22 statements at scale 1.
pub const ROWS_MAX: f64 = 1_500_000.0;

/// Name of the source.
const SOURCE: &str = "postgres";

/// Keys and indexes that such tables have.
const fn afterwards(table: &str) -> &'static str {
    match table.as_bytes() {
        b"region" => "ALTER TABLE region ADD PRIMARY KEY (r_regionkey)",
        b"nation" => "ALTER TABLE nation ADD PRIMARY KEY (n_nationkey)",
        b"supplier" => "ALTER TABLE supplier ADD PRIMARY KEY (s_suppkey)",
        b"customer" => "ALTER TABLE customer ADD PRIMARY KEY (c_custkey)",
        b"part" => "ALTER TABLE part ADD PRIMARY KEY (p_partkey)",
        b"partsupp" => {
            "ALTER TABLE partsupp ADD PRIMARY KEY (ps_partkey, ps_suppkey); CREATE INDEX ON partsupp (ps_suppkey)"
        }
        b"orders" => "ALTER TABLE orders ADD PRIMARY KEY (o_orderkey); CREATE INDEX ON orders (o_custkey)",
        b"lineitem" => {
            "CREATE INDEX ON lineitem (l_orderkey); CREATE INDEX ON lineitem (l_partkey); \
             CREATE INDEX ON lineitem (l_suppkey)"
        }
        _ => "",
    }
}

/// Creates and fills tables, with the keys and indexes that such tables have.
///
/// # Errors
/// The server's.
pub async fn load(client: &Client, tables: &[&str], scale: f64) -> Result<()> {
    for table in tables {
        let reader = tpch::reader(table, scale)?;
        let columns: Vec<String> = reader.schema().fields().iter().map(|field| declared(field)).collect();
        let create = format!("CREATE TABLE {table} ({})", columns.join(", "));
        client.batch_execute(&create).await.map_err(Error::internal)?;
        let copy =
            client.copy_in::<_, bytes::Bytes>(&format!("COPY {table} FROM STDIN")).await.map_err(Error::internal)?;
        let mut copy = pin!(copy);
        for batch in reader {
            let text = lines(&batch.map_err(Error::internal)?)?;
            copy.send(text.into()).await.map_err(Error::internal)?;
        }
        copy.finish().await.map_err(Error::internal)?;
        client.batch_execute(afterwards(table)).await.map_err(Error::internal)?;
    }
    client.batch_execute("VACUUM ANALYZE").await.map_err(Error::internal)
}

fn declared(field: &Field) -> String {
    let native = match field.data_type() {
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        _ => "text".to_owned(),
    };
    format!("{} {native} NOT NULL", field.name())
}

/// Rows in COPY's text format; no text of TPC-H holds what would have to be escaped.
fn lines(batch: &RecordBatch) -> Result<String> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::internal)?;
    let mut text = String::new();
    for row in 0..batch.num_rows() {
        for (at, column) in columns.iter().enumerate() {
            let separator = if at + 1 == columns.len() { '\n' } else { '\t' };
            write!(text, "{}{separator}", column.value(row)).map_err(Error::internal)?;
        }
    }
    Ok(text)
}

/// A deployment over `remote` tables of the server and the Parquet files of a folder, all measured. `watch` counts what
/// leaves the server.
///
/// # Errors
/// A source that does not answer.
pub async fn deployment(
    folder: &Path,
    remote: &[&'static str],
    options: &PostgresOptions,
    watch: &Watch,
) -> Result<Deployment> {
    let driver = watch.over(Arc::new(PostgresDriver::new(options)?));
    let mut tables: HashMap<&'static str, SourceTable> = gate::tpch_tables(folder).await?;
    for table in remote.iter().copied() {
        let provider = Arc::new(opened(&driver, table).await?);
        tables.insert(table, SourceTable { source: SOURCE.into(), provider });
    }
    let deployment = gate::tpch_deployment(tables, &[])?;
    deployment.measure().await;
    Ok(deployment)
}

/// The table with its columns in their own types.
async fn opened(driver: &Arc<dyn Driver>, table: &str) -> Result<DriverTable> {
    let reference = TableRef::new(["public", table])?;
    let described = driver.describe(&reference).await?;
    let fields = described.columns.iter().filter_map(|column| {
        let value_type = column.value_type?;
        let column = RemoteColumn {
            name: column.name.clone(),
            value_type,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: column.encoding,
        };
        Some(RemoteField { field: column.name.as_str().to_owned(), column })
    });
    let fields: Vec<RemoteField> = fields.collect();
    let place = |name: &Identifier| fields.iter().position(|field| field.column.name == *name);
    let key: Option<Vec<usize>> = described.primary_key.iter().map(place).collect();
    let key = key.filter(|key| !key.is_empty());
    Ok(DriverTable::new(Arc::clone(driver), SOURCE.into(), reference, fields, key))
}
