//! TPC-H with some tables in PostgreSQL (by default orders and lineitem), others in MariaDB where asked, and the rest in Parquet
//! files: fills the servers, and wires a deployment. Knows no query.

use crate::{gate, tpch};
use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::SinkExt;
use querygate_catalog::deployment::{Deployment, SourceTable};
use querygate_catalog::remote::{DriverTable, RemoteField};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_rules::opener::RemoteColumn;
use querygate_types::{Error, Result};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use tokio_postgres::Client;

/// The tables that lie in PostgreSQL where nothing else is said.
pub const REMOTE: [&str; 2] = ["orders", "lineitem"];

/// Rows that may leave PostgreSQL over the 22 statements at scale 1.
pub const ROWS_MAX: f64 = 1_500_000.0;

/// Tables that lie in one server.
#[derive(Debug)]
pub struct Place<'a> {
    /// The name of the source.
    pub source: &'static str,
    pub driver: Arc<dyn Driver>,
    /// PostgreSQL's schema or MariaDB's database.
    pub schema: &'a str,
    pub tables: &'a [&'static str],
}

/// The columns of the primary key, if the table has one, and of further indexes.
fn keys(table: &str) -> (Option<&'static str>, &'static [&'static str]) {
    match table {
        "region" => (Some("r_regionkey"), &[]),
        "nation" => (Some("n_nationkey"), &[]),
        "supplier" => (Some("s_suppkey"), &[]),
        "customer" => (Some("c_custkey"), &[]),
        "part" => (Some("p_partkey"), &[]),
        "partsupp" => (Some("ps_partkey, ps_suppkey"), &["ps_suppkey"]),
        "orders" => (Some("o_orderkey"), &["o_custkey"]),
        "lineitem" => (None, &["l_orderkey", "l_partkey", "l_suppkey"]),
        _ => (None, &[]),
    }
}

/// The statements that make keys and indexes; both servers take them.
fn afterwards(table: &str) -> String {
    let (primary, indexed) = keys(table);
    let primary = primary.map(|columns| format!("ALTER TABLE {table} ADD PRIMARY KEY ({columns});"));
    let indexed = indexed.iter().map(|column| format!("CREATE INDEX {table}_{column} ON {table} ({column});"));
    primary.into_iter().chain(indexed).collect()
}

/// Creates and fills tables, with the keys and indexes that such tables have.
///
/// # Errors
/// The server's.
pub async fn load(client: &Client, tables: &[&str], scale: f64) -> Result<()> {
    for table in tables {
        fill(client, table, tpch::reader(table, scale)?, &afterwards(table)).await?;
    }
    client.batch_execute("VACUUM ANALYZE").await.map_err(Error::internal)
}

/// Creates a table in PostgreSQL and copies rows into it; then come these statements.
///
/// # Errors
/// The server's.
pub async fn fill(client: &Client, table: &str, rows: impl RecordBatchReader, afterwards: &str) -> Result<()> {
    let columns: Vec<String> = rows.schema().fields().iter().map(|field| declared(field, "text")).collect();
    let create = format!("CREATE TABLE {table} ({})", columns.join(", "));
    client.batch_execute(&create).await.map_err(Error::internal)?;
    copy_rows(client, table, rows).await?;
    client.batch_execute(afterwards).await.map_err(Error::internal)
}

/// Creates all tables as the specification declares them, with their keys and indexes on what references, and fills them.
///
/// # Errors
/// The server's.
pub async fn load_specified(client: &Client, scale: f64) -> Result<()> {
    client.batch_execute(include_str!("../tpch.sql")).await.map_err(Error::internal)?;
    for table in tpch::TABLES {
        copy_rows(client, table, tpch::reader(table, scale)?).await?;
        client.batch_execute(&afterwards(table)).await.map_err(Error::internal)?;
    }
    client.batch_execute(CONSTRAINTS).await.map_err(Error::internal)?;
    client.batch_execute("VACUUM ANALYZE").await.map_err(Error::internal)
}

/// The keys of the specification that [`keys`] leaves out.
const CONSTRAINTS: &str = "ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber);
    ALTER TABLE nation ADD FOREIGN KEY (n_regionkey) REFERENCES region;
    ALTER TABLE supplier ADD FOREIGN KEY (s_nationkey) REFERENCES nation;
    ALTER TABLE customer ADD FOREIGN KEY (c_nationkey) REFERENCES nation;
    ALTER TABLE partsupp ADD FOREIGN KEY (ps_partkey) REFERENCES part, ADD FOREIGN KEY (ps_suppkey) REFERENCES supplier;
    ALTER TABLE orders ADD FOREIGN KEY (o_custkey) REFERENCES customer;
    ALTER TABLE lineitem ADD FOREIGN KEY (l_orderkey) REFERENCES orders,
        ADD FOREIGN KEY (l_partkey, l_suppkey) REFERENCES partsupp;";

async fn copy_rows(client: &Client, table: &str, rows: impl RecordBatchReader) -> Result<()> {
    let copy = client.copy_in::<_, bytes::Bytes>(&format!("COPY {table} FROM STDIN")).await.map_err(Error::internal)?;
    let mut copy = pin!(copy);
    for batch in rows {
        let text = lines(&batch.map_err(Error::internal)?)?;
        copy.send(text.into()).await.map_err(Error::internal)?;
    }
    copy.finish().await.map_err(Error::internal)?;
    Ok(())
}

/// Writes `TABLE.sql`, which makes a table in MariaDB and fills it from `TABLE.tsv` beside it, for `mariadb --local-infile`.
///
/// # Errors
/// A table that TPC-H does not have, and the file system's.
pub fn write_mariadb(folder: &Path, table: &str, scale: f64) -> Result<()> {
    let reader = tpch::reader(table, scale)?;
    // The longest text of TPC-H has 199 characters.
    let columns: Vec<String> = reader.schema().fields().iter().map(|field| declared(field, "varchar(200)")).collect();
    let rows = folder.join(format!("{table}.tsv"));
    let mut file = BufWriter::new(File::create(&rows).map_err(Error::internal)?);
    for batch in reader {
        file.write_all(lines(&batch.map_err(Error::internal)?)?.as_bytes()).map_err(Error::internal)?;
    }
    file.flush().map_err(Error::internal)?;
    let (columns, rows, afterwards) = (columns.join(", "), rows.display(), afterwards(table));
    let text = format!(
        "CREATE TABLE {table} ({columns});\nLOAD DATA LOCAL INFILE '{rows}' INTO TABLE {table};\n{afterwards}\n\
         ANALYZE TABLE {table};\n"
    );
    std::fs::write(folder.join(format!("{table}.sql")), text).map_err(Error::internal)
}

fn declared(field: &Field, text: &str) -> String {
    let native = match field.data_type() {
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        _ => text.to_owned(),
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

/// A deployment over tables of servers and the Parquet files of a folder, all measured.
///
/// # Errors
/// A source that does not answer.
pub async fn deployment(folder: &Path, places: &[Place<'_>]) -> Result<Deployment> {
    let mut tables: HashMap<&'static str, SourceTable> = gate::tpch_tables(folder).await?;
    for place in places {
        for table in place.tables.iter().copied() {
            let provider = Arc::new(opened(place, table).await?);
            tables.insert(table, SourceTable::new(place.source, provider));
        }
    }
    let deployment = gate::tpch_deployment(tables, &[])?;
    deployment.measure().await;
    Ok(deployment)
}

/// The table with its columns in their own types.
///
/// # Errors
/// The source's.
pub async fn opened(place: &Place<'_>, table: &str) -> Result<DriverTable> {
    let reference = TableRef::new([place.schema, table])?;
    let described = place.driver.describe(&reference).await?;
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
    let found = |name: &Identifier| fields.iter().position(|field| field.column.name == *name);
    let key: Option<Vec<usize>> = described.primary_key.iter().map(found).collect();
    let key = key.filter(|key| !key.is_empty());
    Ok(DriverTable::new(Arc::clone(&place.driver), place.source.into(), reference, fields, key))
}
