//! Rows that say of a transaction of several sources that it was committed, in a table that the operator has made. A database has one
//! writer at a time, so that a look-up holds off the transaction that would write it.

use super::error::from_change;
use crate::pool::Lease;
use querygate_driver_api::write::distributed::MARKER_TABLE;
use querygate_driver_api::write::{Fate, GlobalId, Violation};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Executor, Row};

const COMMIT: &str = "commit";
const ABORT: &str = "abort";

/// The table, its columns, and an index that admits one row of an id. Two would be two decisions.
const COLUMNS: &str = "SELECT count(*) FROM pragma_table_info(?, 'main') WHERE name IN ('id', 'fate')";
const UNIQUE: &str = "SELECT count(*) FROM pragma_index_list(?, 'main') AS l WHERE l.\"unique\" = 1 AND l.partial = 0 \
     AND (SELECT group_concat(name, '') FROM pragma_index_info(l.name, 'main')) = 'id'";

fn bound(values: &[&str]) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        arguments.add((*value).to_owned()).map_err(|_| Error::internal("value cannot be bound"))?;
    }
    Ok(arguments)
}

async fn run(connection: &mut SqliteConnection, text: String, values: &[&str]) -> Result<u64> {
    let ran = sqlx::query_with(AssertSqlSafe(text), bound(values)?).execute(connection).await;
    ran.map(|done| done.rows_affected()).map_err(|error| from_change(&error))
}

async fn counted(connection: &mut SqliteConnection, text: &'static str) -> Result<i64> {
    let row = sqlx::query_with(text, bound(&[MARKER_TABLE])?).fetch_one(connection).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| from_change(&error))
}

/// What is wrong with the table, for operators.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn obstacle(connection: &mut SqliteConnection) -> Result<Option<&'static str>> {
    if counted(connection, COLUMNS).await? != 2 {
        return Ok(Some(
            "it has no table querygate_commits (id TEXT NOT NULL PRIMARY KEY, fate TEXT NOT NULL) for markers",
        ));
    }
    if counted(connection, UNIQUE).await? == 0 {
        return Ok(Some("its table querygate_commits does not keep the column id unique"));
    }
    Ok(None)
}

async fn verify(connection: &mut SqliteConnection) -> Result<()> {
    match obstacle(connection).await? {
        None => Ok(()),
        Some(obstacle) => Err(Error::new(
            ErrorCode::FeatureNotSupported,
            "the source has no table for markers of transactions that span several sources",
        )
        .with_hint("An operator can make the table querygate_commits in it.")
        .with_cause(obstacle)),
    }
}

/// Whatever the table itself says is to happen where the id is there, this fails.
async fn insert(connection: &mut SqliteConnection, id: &GlobalId, fate: &str) -> Result<()> {
    let text = format!("INSERT OR ABORT INTO main.\"{MARKER_TABLE}\" (id, fate) VALUES (?, ?)");
    match run(connection, text, &[&id.to_string(), fate]).await {
        Ok(1) => Ok(()),
        // A trigger has left it out.
        Ok(_) => Err(Error::new(ErrorCode::SourceError, "source did not store a marker")),
        Err(error) if error.code() == ErrorCode::UniqueViolation => {
            Err(Violation::Serialization.error().with_cause("the transaction was given up"))
        }
        Err(error) => Err(error),
    }
}

/// Writes that this transaction was committed, as a part of it.
///
/// # Errors
/// 0A000: there is no such table; 40001: the transaction was given up, or its id used before.
pub(super) async fn write(connection: &mut SqliteConnection, id: &GlobalId) -> Result<()> {
    verify(connection).await?;
    insert(connection, id, COMMIT).await
}

/// Ends a transaction of our own as what was done in it went.
async fn ended<T>(mut lease: Lease, done: Result<T>) -> Result<T> {
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = lease.reader.connection.execute(end).await.map_err(|error| from_change(&error));
    // What did not end is closed.
    if ended.is_ok() {
        lease.release(true).await;
    }
    let done = done?;
    ended.map(|_| done)
}

/// What became of a transaction, of which nothing can become any more after this.
///
/// # Errors
/// As of any change.
pub(super) async fn fate(mut lease: Lease, id: &GlobalId) -> Result<Fate> {
    lease.reader.interrupt.arm(None);
    let found = found(&mut lease.reader.connection, id).await;
    ended(lease, found).await
}

async fn found(connection: &mut SqliteConnection, id: &GlobalId) -> Result<Fate> {
    verify(connection).await?;
    let text = format!("SELECT fate FROM main.\"{MARKER_TABLE}\" WHERE id = ?");
    let row = sqlx::query_with(AssertSqlSafe(text), bound(&[&id.to_string()])?).fetch_optional(&mut *connection).await;
    let row = row.map_err(|error| from_change(&error))?;
    let fate: Option<String> = row.map(|row| row.try_get(0)).transpose().map_err(|error| from_change(&error))?;
    match fate.as_deref() {
        Some(COMMIT) => Ok(Fate::Committed),
        Some(ABORT) => Ok(Fate::RolledBack),
        Some(_) => Err(Error::new(ErrorCode::SourceError, "source holds a marker of another kind")),
        None => insert(connection, id, ABORT).await.map(|()| Fate::RolledBack),
    }
}

/// # Errors
/// As of any change.
pub(super) async fn forget(mut lease: Lease, id: &GlobalId) -> Result<()> {
    lease.reader.interrupt.arm(None);
    let connection = &mut lease.reader.connection;
    let text = format!("DELETE FROM main.\"{MARKER_TABLE}\" WHERE id = ?");
    let gone = match verify(connection).await {
        Ok(()) => run(connection, text, &[&id.to_string()]).await,
        Err(error) => Err(error),
    };
    ended(lease, gone).await.map(drop)
}
