//! Rows in a real PostgreSQL server: a schema for each gate, in one database of one server for each test binary.

#[path = "../../../drivers/postgres/tests/common/mod.rs"]
mod server;

use super::gate::runtime;
use super::layout::{Layout, forgotten, is_indexed, open_table, rows, value_type};
use super::table::Table;
use querygate_catalog::deployment::SourceTable;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::watch::Watch;
use querygate_postgres::{PostgresDriver, PostgresOptions};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether PostgreSQL is installed; `CI` does not excuse its absence.
pub(super) fn is_there() -> bool {
    server::server().is_some()
}

/// Loads the tables into a schema of their own and opens them. To every second gate its tables are large: they are read whole by pages, and
/// under a condition off the connection's own bytes, by pages where most rows come.
pub(super) async fn place(tables: &[&Table], watch: &Watch, writes: bool, placed: &mut HashMap<String, SourceTable>) {
    static SCHEMAS: AtomicU64 = AtomicU64::new(0);
    let server = server::server().expect("PostgreSQL is installed");
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    let schema = format!("gate_{number}");
    let client = server.client("postgres").await;
    let mut made = format!("CREATE SCHEMA {schema};");
    if let Some(old) = forgotten(number) {
        write!(made, "DROP SCHEMA gate_{old} CASCADE;").unwrap();
    }
    for table in tables {
        write!(made, "{}", declared(&schema, table)).unwrap();
    }
    client.batch_execute(&made).await.unwrap();
    for table in tables {
        server::copy_rows(&client, &format!("{schema}.\"{}\"", table.object), &rows(table)).await;
    }
    let mut options = PostgresOptions { pool_size: 3, ..server.options("postgres") };
    let is_large = number % 2 == 1;
    if is_large {
        (options.bulk_bytes, options.bulk_rows) = (0, 1);
    }
    if writes {
        options.writer = Some((options.user.clone(), options.password.clone()));
    }
    let driver = watch.over(Arc::new(PostgresDriver::new(&options).unwrap()));
    for table in tables {
        let reference = TableRef::new([schema.clone(), table.object.clone()]).unwrap();
        if is_large {
            client.batch_execute(&format!("ANALYZE {schema}.\"{}\"", table.object)).await.unwrap();
            driver.statistics(&reference).await.unwrap();
        }
        let provider = Arc::new(open_table(&driver, table, Layout::Postgres, reference).await);
        placed.insert(table.object.clone(), SourceTable::new(Layout::Postgres.name(), provider));
    }
}

/// The table with its indexes.
fn declared(schema: &str, table: &Table) -> String {
    let (mut columns, mut indexes) = (Vec::new(), String::new());
    for (at, field) in table.schema.fields().iter().enumerate() {
        let (name, of) = (field.name(), value_type(field.data_type()));
        let key = if name == "id" && !field.is_nullable() { " PRIMARY KEY" } else { "" };
        columns.push(format!("\"{name}\" {}{key}", server::plain(name, of)));
        if is_indexed(at, name) {
            write!(indexes, "CREATE INDEX ON {schema}.\"{}\" (\"{name}\");", table.object).unwrap();
        }
    }
    format!("CREATE TABLE {schema}.\"{}\" ({});{indexes}", table.object, columns.join(", "))
}

/// A session of the server itself, whose tables are called as statements call objects. Its answers are texts.
#[derive(Debug)]
pub struct PlainPostgres {
    client: tokio_postgres::Client,
}

impl PlainPostgres {
    /// The tables of a stack with one namespace, in a schema of their own. `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// When the server does not take them.
    #[must_use]
    pub fn over(tables: &[Table]) -> Option<Self> {
        static SCHEMAS: AtomicU64 = AtomicU64::new(0);
        let server = server::server()?;
        let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        let client = runtime().block_on(async {
            let client = oracle(server).await;
            let mut made = format!("CREATE SCHEMA plain_{number}; SET search_path = plain_{number};");
            if let Some(old) = forgotten(number) {
                write!(made, "DROP SCHEMA plain_{old} CASCADE;").unwrap();
            }
            client.batch_execute(&made).await.unwrap();
            for table in tables {
                let (_, name) = table.object.split_once('_').unwrap();
                let named = Table::of(name, table.batch());
                let schema = format!("plain_{number}");
                client.batch_execute(&declared(&schema, &named)).await.unwrap();
                server::copy_rows(&client, &format!("{schema}.\"{name}\""), &rows(table)).await;
            }
            client
        });
        Some(Self { client })
    }

    /// The rows of one statement, or its SQLSTATE.
    ///
    /// # Errors
    /// What the server says.
    ///
    /// # Panics
    /// When the connection breaks.
    pub fn run(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        use tokio_postgres::SimpleQueryMessage;
        let answered = runtime().block_on(self.client.simple_query(sql));
        let messages = match answered {
            Ok(messages) => messages,
            Err(error) => return Err(error.code().unwrap_or_else(|| panic!("{sql}: {error}")).code().to_owned()),
        };
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.map(|row| (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()).collect())
    }
}

/// A session in a database that orders text by code point.
async fn oracle(server: &server::Server) -> tokio_postgres::Client {
    let admin = server.client("postgres").await;
    let found = admin.query_opt("SELECT 1 FROM pg_database WHERE datname = 'plain'", &[]).await.unwrap();
    let client = match found {
        Some(_) => server.client("plain").await,
        None => {
            let order = "ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'";
            server.database("plain", order).await
        }
    };
    client.batch_execute("SET TimeZone = 'UTC'; SET statement_timeout = '60s'; SET jit = off").await.unwrap();
    client
}
