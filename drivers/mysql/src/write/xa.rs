//! XA transactions that the server keeps: which of a gate's are there, and how they end. MariaDB keeps them from 10.5 on whatever becomes
//! of their connections, MySQL from 8.0.30 on.

use super::error::from_change;
use crate::connect::pool::{Lease, Pool};
use crate::error::error_number;
use crate::wire::binary;
use futures::TryStreamExt;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::distributed::{ID_BYTES_MAX, LISTED_MAX};
use querygate_driver_api::write::{Fate, GateId, GlobalId, Settled};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Executor};
use std::fmt::Write;
use std::future::Future;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Nothing of this id is there, or a connection that has not ended still has it.
pub(super) const UNKNOWN: u16 = 1397;
/// The server has rolled it back by itself.
pub(super) const RBROLLBACK: [u16; 3] = [1402, 1613, 1614];
/// What MySQL says to a login that may not ask for prepared transactions, or not settle those of others.
const DENIED: [u16; 3] = [1227, 1401, 1045];
/// The format of ids that a server gives to those without one.
const FORMAT: &str = "1";

/// An id as a literal, of its bytes.
pub(super) fn literal(id: &GlobalId) -> String {
    let mut text = "X'".to_owned();
    for byte in id.to_string().bytes() {
        // Nothing that is written to a text fails.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

/// The statement that ends it.
pub(super) fn settling(id: &GlobalId, fate: Fate) -> String {
    let id = literal(id);
    match fate {
        Fate::Committed => format!("XA COMMIT {id}"),
        Fate::RolledBack => format!("XA ROLLBACK {id}"),
    }
}

/// An answer, or the end of what waits for it.
async fn answer<T>(context: &ExecuteContext, asked: impl Future<Output = T>) -> Result<T> {
    tokio::select! {
        biased;
        answer = asked => Ok(answer),
        error = context.over() => Err(error),
    }
}

fn refused(error: &sqlx::Error) -> Error {
    if error_number(error).is_some_and(|number| DENIED.contains(&number)) {
        return Error::new(ErrorCode::SourceError, "source does not let prepared transactions be settled")
            .with_hint("An operator can grant XA_RECOVER_ADMIN to the source's writing user.")
            .with_cause(error);
    }
    from_change(error)
}

/// The id that one row of XA RECOVER tells of: its format, the lengths of its two parts, and both of them. None: it is of others.
fn id_in(row: &MySqlRow) -> Result<Option<GlobalId>> {
    if binary::text(row, 0)?.as_deref() != Some(FORMAT) || binary::text(row, 2)?.as_deref() != Some("0") {
        return Ok(None);
    }
    let bytes = binary::bytes(row, 3)?.filter(|bytes| bytes.len() <= ID_BYTES_MAX);
    Ok(bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| text.parse().ok()))
}

/// What is prepared there and wanted, those of other gates among it.
async fn listed(
    lease: &mut Lease,
    context: &ExecuteContext,
    is_wanted: impl Fn(&GlobalId) -> bool + Send,
) -> Result<Vec<GlobalId>> {
    let list = async move {
        let mut found = Vec::new();
        let mut rows = sqlx::raw_sql("XA RECOVER").fetch(&mut lease.session.connection);
        while let Some(row) = rows.try_next().await.map_err(|error| refused(&error))? {
            let id = id_in(&row)?.filter(|id| is_wanted(id));
            found.extend(id.filter(|_| found.len() < LISTED_MAX));
        }
        Ok(found)
    };
    answer(context, list).await?
}

/// # Errors
/// 08001: the server cannot be reached; 57014.
pub(super) async fn of(pool: &Arc<Pool>, gate: GateId, context: &ExecuteContext) -> Result<Vec<GlobalId>> {
    let mut lease = pool.lease(context.deadline, &context.cancel).await?;
    let found = listed(&mut lease, context, |id| id.gate == gate).await;
    lease.release(found.is_ok());
    found
}

/// # Errors
/// 08001, 08006: the server cannot be reached; 57014; whatever it refuses.
pub(super) async fn settle(pool: &Arc<Pool>, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
    let mut lease = pool.lease(context.deadline, &context.cancel).await?;
    let text = settling(id, fate);
    let ended = lease.session.connection.execute(AssertSqlSafe(text));
    let settled = match answer(context, ended).await? {
        Ok(_) => Settled::Done,
        Err(error) => match error_number(&error) {
            // Said of one that a connection still has, too.
            Some(UNKNOWN) => {
                let found = listed(&mut lease, context, |found| found == id).await?;
                if found.is_empty() { Settled::Absent } else { Settled::Held }
            }
            Some(number) if fate == Fate::RolledBack && RBROLLBACK.contains(&number) => Settled::Done,
            _ => return Err(refused(&error)),
        },
    };
    lease.release(true);
    Ok(settled)
}

/// # Errors
/// 08001: the server cannot be reached by the writing user.
pub(super) async fn obstacles(pool: &Arc<Pool>) -> Result<Vec<String>> {
    let mut lease = pool.lease(None, &CancellationToken::new()).await?;
    let mut obstacles = Vec::new();
    if !lease.session.keeps_prepared {
        obstacles.push("the server is older than MySQL 8.0.30: it keeps no prepared transactions".to_owned());
    }
    let asked = lease.session.connection.execute("XA RECOVER").await;
    match asked {
        Ok(_) => {}
        Err(error) if error_number(&error).is_some_and(|number| DENIED.contains(&number)) => {
            obstacles.push("the writing user lacks XA_RECOVER_ADMIN".to_owned());
        }
        Err(error) => return Err(from_change(&error)),
    }
    lease.release(true);
    Ok(obstacles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_by_their_bytes() {
        let id = GlobalId::new(GateId::new(0xab), 7, 2);
        let bytes = "71672d303030303030303030303030303061622d372d32";
        assert_eq!(settling(&id, Fate::Committed), format!("XA COMMIT X'{bytes}'"));
        assert_eq!(settling(&id, Fate::RolledBack), format!("XA ROLLBACK X'{bytes}'"));
    }
}
