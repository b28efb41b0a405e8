//! Reads first rows of each table, and each column by itself where that fails.

use crate::introspect::Unreadable;
use crate::naming::quoted;
use futures::{StreamExt, stream};
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{ClientInfo, Delivery, Door, QueryService, Session};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of a table that are read.
pub(crate) const ROWS: usize = 10_000;
/// Time for one table, and for all of them.
const TABLE_TIME: &str = "2s";
const TRIAL_TIME: Duration = Duration::from_secs(20);
/// Tables that are tried at once: fewer than a source has connections.
const AT_ONCE: usize = 4;

/// A table to be read.
pub(super) struct TriedTable {
    /// What it is called in what is found: by its source, or by the metadata.
    pub(super) remote: String,
    /// `None`: it cannot be loaded.
    pub(super) sql_name: Option<String>,
    /// SQL's names, and what they are called in what is found.
    pub(super) columns: Vec<(String, String)>,
}

#[derive(Default)]
pub(super) struct TrialResult {
    pub(super) unreadable: Vec<Unreadable>,
    /// Tables, as their sources call them, that there was no time for.
    pub(super) untried: Vec<String>,
}

/// Reads tables one after the other, some at once. `progress` gets how many were read.
pub(super) async fn try_tables<Service: QueryService + ?Sized>(
    service: &Arc<Service>,
    principal: &Arc<Principal>,
    database: &str,
    tables: &[TriedTable],
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<TrialResult> {
    let until = Instant::now() + TRIAL_TIME;
    let tried = stream::iter(tables).map(|table| async move {
        if Instant::now() > until {
            return Ok(None);
        }
        let client = ClientInfo {
            door: Door::Shell,
            database: database.to_owned(),
            peer: None,
            settings: vec![("statement_timeout".to_owned(), TABLE_TIME.to_owned())],
        };
        let session = service.open(Arc::clone(principal), client).await?;
        let found = try_table(session.as_ref(), table).await;
        session.close().await;
        found
    });
    let mut tried = tried.buffered(AT_ONCE);
    let (mut found, mut count) = (TrialResult::default(), 0);
    while let Some(one) = tried.next().await {
        match one? {
            Some(unreadable) => found.unreadable.extend(unreadable),
            // They come in their order.
            None => found.untried.extend(tables.get(count).map(|table| table.remote.clone())),
        }
        count += 1;
        progress(count)?;
    }
    Ok(found)
}

/// What cannot be read; `None`: there was not the time, or the room, to find out.
async fn try_table(session: &dyn Session, table: &TriedTable) -> Result<Option<Vec<Unreadable>>> {
    let unreadable = |column: Option<&String>, error: &Error| Unreadable {
        table: table.remote.clone(),
        column: column.cloned(),
        reason: reason(error),
        code: error.code(),
    };
    let Some(name) = &table.sql_name else { return Ok(Some(Vec::new())) };
    let Err(error) = read(session, name, "*").await else { return Ok(Some(Vec::new())) };
    if is_for_want(&error) {
        return Ok(None);
    }
    let mut failed = Vec::new();
    for (field, column) in &table.columns {
        match read(session, name, &quoted(field)).await {
            Err(error) if !is_for_want(&error) => failed.push(unreadable(Some(column), &error)),
            Ok(()) | Err(_) => {}
        }
    }
    // What is wrong with each column may be each column's; where rows cannot be read without any, it is the table's.
    let is_of_table = failed.len() == table.columns.len() && read(session, name, "1").await.is_err();
    if failed.is_empty() || is_of_table {
        return Ok(Some(vec![unreadable(None, &error)]));
    }
    Ok(Some(failed))
}

/// Whether it says that time, memory or another share was used up, and nothing of the rows. By PostgreSQL's classes of errors: 53 is
/// insufficient resources, 57 intervention.
fn is_for_want(error: &Error) -> bool {
    let code = error.code().sqlstate();
    code.starts_with("53") || code.starts_with("57")
}

fn reason(error: &Error) -> String {
    let more = error.detail().or(error.cause()).map(|text| format!(": {text}")).unwrap_or_default();
    format!("{}{more}", error.message())
}

/// Reads first rows to their end.
async fn read(session: &dyn Session, table: &str, columns: &str) -> Result<()> {
    for statement in session.split(&format!("SELECT {columns} FROM public.{} LIMIT {ROWS}", quoted(table)))? {
        let prepared = session.prepare(&statement, &[]).await?;
        let Outcome::Rows(mut rows) = session.run(&prepared, &[], Delivery::Batches).await? else { continue };
        while let Some(batch) = rows.batches.next().await {
            batch?;
        }
    }
    Ok(())
}
