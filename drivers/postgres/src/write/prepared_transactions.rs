//! Transactions that the server keeps and no connection owns: which of a gate's are there, and how they end.

use super::error::from_change;
use crate::connect::pool::Pool;
use crate::error::is_lost;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::distributed::LISTED_MAX;
use querygate_driver_api::write::{Fate, GateId, GlobalId, Settled};
use querygate_types::{Error, ErrorCode, Result};
use std::future::Future;
use std::sync::Arc;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

/// Those of this database: another database's are settled there.
const KEPT: &str = "SELECT gid FROM pg_prepared_xacts \
     WHERE database = current_database() AND starts_with(gid, $1) ORDER BY prepared LIMIT $2";
const ROOM: &str = "SELECT pg_is_in_recovery(), current_setting('max_prepared_transactions')::int";

/// The statement that ends it. An id holds nothing but letters, digits and hyphens of ours.
pub(super) fn settling(id: &GlobalId, fate: Fate) -> String {
    match fate {
        Fate::Committed => format!("COMMIT PREPARED '{id}'"),
        Fate::RolledBack => format!("ROLLBACK PREPARED '{id}'"),
    }
}

/// Why the server does not keep a transaction.
pub(super) fn not_kept(source: &str, error: &tokio_postgres::Error) -> Error {
    let refused =
        |code: ErrorCode, what: &str| Error::new(code, format!("source \"{source}\" {what}")).with_cause(error);
    match error.code() {
        Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => {
            refused(ErrorCode::FeatureNotSupported, "keeps no prepared transactions")
                .with_hint("An operator can raise max_prepared_transactions of its server.")
        }
        Some(&SqlState::OUT_OF_MEMORY) => {
            refused(ErrorCode::TooManyQueries, "has no room for one more prepared transaction")
                .with_hint("Try again later, or have an operator raise max_prepared_transactions of its server.")
        }
        // A trigger has used a temporary table, or sent a notification.
        Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            refused(ErrorCode::FeatureNotSupported, "cannot prepare what this transaction has done")
                .with_hint("Change this source in a transaction of its own.")
        }
        _ => from_change(source, error),
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

/// # Errors
/// 08001: the server cannot be reached; 57014.
pub(super) async fn of(pool: &Arc<Pool>, gate: GateId, context: &ExecuteContext) -> Result<Vec<GlobalId>> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let (prefix, most) = (GlobalId::prefix(gate), i64::try_from(LISTED_MAX).unwrap_or(i64::MAX));
    let rows = answer(context, lease.connection.client.query(KEPT, &[&prefix, &most])).await?;
    let rows = rows.map_err(|error| from_change(pool.source(), &error))?;
    lease.give_back();
    let ids = rows.iter().map(|row| row.try_get::<_, &str>(0).map_err(Error::internal));
    // What only looks like an id was not given by a gate.
    let ids = ids.map(|id| id.map(|id| id.parse::<GlobalId>().ok())).collect::<Result<Vec<_>>>()?;
    Ok(ids.into_iter().flatten().collect())
}

/// # Errors
/// 08001, 08006: the server cannot be reached; 57014; whatever it refuses.
pub(super) async fn settle(pool: &Arc<Pool>, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
    let mut lease = pool.lease(context.deadline, &context.cancel).await?;
    let text = settling(id, fate);
    let mut ended = answer(context, lease.connection.client.batch_execute(&text)).await?;
    // It rested while its server was restarted. Said twice, it is the same.
    if ended.as_ref().is_err_and(is_lost) {
        lease.renew().await?;
        ended = answer(context, lease.connection.client.batch_execute(&text)).await?;
    }
    let settled = match &ended {
        Ok(()) => Settled::Done,
        Err(error) => match error.code() {
            Some(&SqlState::UNDEFINED_OBJECT) => Settled::Absent,
            // Another connection ends it just now.
            Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => Settled::Held,
            _ => return Err(from_change(pool.source(), error)),
        },
    };
    lease.give_back();
    Ok(settled)
}

/// # Errors
/// 08001: the server cannot be reached by the writing user.
pub(super) async fn obstacles(pool: &Arc<Pool>) -> Result<Vec<String>> {
    let lease = pool.lease(None, &CancellationToken::new()).await?;
    let row = lease.connection.client.query_one(ROOM, &[]).await;
    let row = row.map_err(|error| from_change(pool.source(), &error))?;
    lease.give_back();
    let is_standby: bool = row.try_get(0).map_err(Error::internal)?;
    let room: i32 = row.try_get(1).map_err(Error::internal)?;
    let mut obstacles = Vec::new();
    if is_standby {
        obstacles.push("the server is a standby, which takes no changes".to_owned());
    }
    if room == 0 {
        let text = "max_prepared_transactions of the server is 0: it keeps no part of a transaction of several sources";
        obstacles.push(text.to_owned());
    }
    Ok(obstacles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_end_a_transaction_hold_its_id_alone() {
        let id = GlobalId::new(GateId::new(0xab), 7, 2);
        assert_eq!(settling(&id, Fate::Committed), "COMMIT PREPARED 'qg-00000000000000ab-7-2'");
        assert_eq!(settling(&id, Fate::RolledBack), "ROLLBACK PREPARED 'qg-00000000000000ab-7-2'");
    }
}
