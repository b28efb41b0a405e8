//! Reads first rows of each table, and each column by itself where that fails.

use crate::introspect::Unreadable;
use crate::naming::quoted;
use futures::{StreamExt, stream};
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{ClientInfo, Delivery, Door, QueryService, Session};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
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

/// A table that was not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UntriedTable {
    /// By its source's name, or that of its object.
    pub(crate) table: String,
    /// Why it was refused a connection, a turn or memory; `None`: there was no time for it.
    pub(crate) why: Option<String>,
}

impl UntriedTable {
    /// What is to be said of all of them: those that there was no time for, and those that were refused.
    pub(crate) fn sentences(all: &[Self]) -> Vec<String> {
        let tables = |number: usize| if number == 1 { "1 table".to_owned() } else { format!("{number} tables") };
        let late: Vec<&Self> = all.iter().filter(|one| one.why.is_none()).collect();
        let late = late
            .first()
            .map(|first| format!("there was no time to try {}, `{}` first", tables(late.len()), first.table));
        let refused: Vec<(&Self, &String)> = all.iter().filter_map(|one| Some((one, one.why.as_ref()?))).collect();
        let refused = refused.first().map(|(first, why)| {
            format!("{} could not be tried, `{}` first: {why}", tables(refused.len()), first.table)
        });
        late.into_iter().chain(refused).collect()
    }
}

#[derive(Default)]
pub(super) struct TrialResult {
    pub(super) unreadable: Vec<Unreadable>,
    pub(super) untried: Vec<UntriedTable>,
}

/// What became of one table's trial.
enum TableTrial {
    Read(Vec<Unreadable>),
    Late,
    Refused(String),
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
            return Ok(TableTrial::Late);
        }
        let client = ClientInfo {
            door: Door::Shell,
            database: database.to_owned(),
            peer: None,
            settings: vec![("statement_timeout".to_owned(), TABLE_TIME.to_owned())],
        };
        let session = match service.open(Arc::clone(principal), client).await {
            Err(error) if is_for_want(&error) => return Ok(wanting(&error)),
            opened => opened?,
        };
        let found = try_table(session.as_ref(), table).await;
        session.close().await;
        found
    });
    let mut tried = tried.buffered(AT_ONCE);
    let (mut found, mut count) = (TrialResult::default(), 0);
    while let Some(one) = tried.next().await {
        let why = match one? {
            TableTrial::Read(unreadable) => {
                found.unreadable.extend(unreadable);
                None
            }
            TableTrial::Late => Some(None),
            TableTrial::Refused(why) => Some(Some(why)),
        };
        // They come in their order.
        if let (Some(why), Some(table)) = (why, tables.get(count)) {
            found.untried.push(UntriedTable { table: table.remote.clone(), why });
        }
        count += 1;
        progress(count)?;
    }
    Ok(found)
}

async fn try_table(session: &dyn Session, table: &TriedTable) -> Result<TableTrial> {
    let unreadable = |column: Option<&String>, error: &Error| Unreadable {
        table: table.remote.clone(),
        column: column.cloned(),
        reason: reason(error),
        code: error.code(),
    };
    let Some(name) = &table.sql_name else { return Ok(TableTrial::Read(Vec::new())) };
    let Err(error) = read(session, name, "*").await else { return Ok(TableTrial::Read(Vec::new())) };
    if is_for_want(&error) {
        return Ok(wanting(&error));
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
        return Ok(TableTrial::Read(vec![unreadable(None, &error)]));
    }
    Ok(TableTrial::Read(failed))
}

/// Whether it says that time, memory or another share was used up, and nothing of the rows. By PostgreSQL's classes of errors: 53 is
/// insufficient resources, 57 intervention.
fn is_for_want(error: &Error) -> bool {
    let code = error.code().sqlstate();
    code.starts_with("53") || code.starts_with("57")
}

/// What was wanting: the time of a table, or something that was refused.
fn wanting(error: &Error) -> TableTrial {
    match error.code() {
        ErrorCode::QueryCanceled | ErrorCode::StatementTimeout => TableTrial::Late,
        _ => TableTrial::Refused(reason(error)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_not_said_to_be_late() {
        let full = Error::new(ErrorCode::TooManyConnections, "all turns are taken");
        let TableTrial::Refused(why) = wanting(&full) else { panic!("it is late") };
        assert!(
            is_for_want(&full) && matches!(wanting(&Error::new(ErrorCode::StatementTimeout, "")), TableTrial::Late)
        );
        let untried =
            |table: &str, why: Option<&str>| UntriedTable { table: table.to_owned(), why: why.map(str::to_owned) };
        let all = [untried("a", Some(&why)), untried("b", None), untried("c", None)];
        assert_eq!(
            UntriedTable::sentences(&all),
            [
                "there was no time to try 2 tables, `b` first",
                "1 table could not be tried, `a` first: all turns are taken"
            ]
        );
        assert_eq!(UntriedTable::sentences(&[]), Vec::<String>::new());
    }
}
