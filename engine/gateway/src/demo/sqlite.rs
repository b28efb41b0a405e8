//! Writes the CRM database: tables filled by multi-row inserts in one transaction, then indexes and statistics.

use super::company::{Company, SEED};
use super::crm::Cell;
use super::rng::Rng;
use super::tables::{TABLES, Table};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bound values of one insert; SQLite's own bound is 32,766.
const VALUES_PER_INSERT: usize = 8_000;

struct Batch {
    table: usize,
    rows: usize,
    cells: Vec<Cell>,
}

/// Creates `path` and fills it. Returns the number of rows.
pub(super) async fn write(path: &Path, company: &Arc<Company>) -> Result<u64> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .page_size(8_192)
        .statement_cache_capacity(64)
        // Indexes over all rows take longer than the log allows a statement.
        .disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    connection.execute("PRAGMA cache_size = -131072").await.map_err(failed)?;
    connection.execute("BEGIN").await.map_err(failed)?;
    for table in TABLES {
        connection.execute(AssertSqlSafe(create_text(table))).await.map_err(failed)?;
    }
    let (send, mut receive) = mpsc::channel::<Batch>(4);
    let source = Arc::clone(company);
    let generator = tokio::task::spawn_blocking(move || generate(&source, &send));
    let mut rows = 0;
    let mut texts: Vec<Option<(usize, Arc<str>)>> = vec![None; TABLES.len()];
    while let Some(batch) = receive.recv().await {
        rows += batch.rows as u64;
        let cached = texts[batch.table].take().filter(|(rows, _)| *rows == batch.rows);
        let (_, text) = cached.unwrap_or_else(|| (batch.rows, insert_text(&TABLES[batch.table], batch.rows).into()));
        texts[batch.table] = Some((batch.rows, Arc::clone(&text)));
        insert(&mut connection, &text, batch.cells).await?;
    }
    generator.await.map_err(Error::internal)?;
    for table in TABLES {
        for column in table.indexes {
            let text = format!("CREATE INDEX {0}_{column} ON {0} ({column})", table.name);
            connection.execute(AssertSqlSafe(text)).await.map_err(failed)?;
        }
    }
    connection.execute("COMMIT").await.map_err(failed)?;
    connection.execute("ANALYZE").await.map_err(failed)?;
    connection.execute("PRAGMA journal_mode = WAL").await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(rows)
}

/// One seed per table, so that a table's rows do not depend on its neighbours.
pub(super) fn table_rng(name: &str) -> Rng {
    Rng::new(name.bytes().fold(SEED, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte))))
}

fn generate(company: &Company, send: &mpsc::Sender<Batch>) {
    for (index, table) in TABLES.iter().enumerate() {
        let mut rng = table_rng(table.name);
        let per_batch = VALUES_PER_INSERT / table.columns.len();
        let total = company.scale.rows(table.rows);
        let mut number = 0;
        while number < total {
            let mut cells = Vec::with_capacity(per_batch * table.columns.len());
            let mut rows = 0;
            while rows < per_batch && number < total {
                (table.fill)(company, &mut rng, number, &mut cells);
                rows += 1;
                number += 1;
            }
            // The receiver is gone only when an insert failed; its error is the one to report.
            if send.blocking_send(Batch { table: index, rows, cells }).is_err() {
                return;
            }
        }
    }
}

async fn insert(connection: &mut SqliteConnection, text: &Arc<str>, cells: Vec<Cell>) -> Result<()> {
    let mut arguments = SqliteArguments::default();
    for cell in cells {
        match cell {
            Cell::Text(text) => arguments.add(text),
            Cell::Word(word) => arguments.add(word),
            Cell::Real(number) => arguments.add(number),
            Cell::Integer(number) => arguments.add(number),
            Cell::Null => arguments.add(None::<String>),
        }
        .map_err(Error::internal)?;
    }
    sqlx::query_with(AssertSqlSafe(Arc::clone(text)), arguments).execute(connection).await.map_err(failed)?;
    Ok(())
}

fn create_text(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|(name, kind)| format!("\"{name}\" {kind}")).collect();
    format!("CREATE TABLE {} ({}) STRICT", table.name, columns.join(", "))
}

fn insert_text(table: &Table, rows: usize) -> String {
    let one = format!("({})", vec!["?"; table.columns.len()].join(","));
    format!("INSERT INTO {} VALUES {}", table.name, vec![one; rows].join(","))
}

fn failed(error: sqlx::Error) -> Error {
    Error::new(ErrorCode::SourceError, "cannot write the demo database")
        .with_detail(error.to_string())
        .with_hint(super::HINT)
}
