//! What became of a transaction whose connection was lost: the server's own number of it, and how long that number means it.

use super::error::from_change;
use crate::connect::connection::Connection;
use crate::connect::pool::Pool;
use querygate_driver_api::write::{Fate, Isolation, TxMark};
use querygate_types::{Error, Result};
use std::sync::Arc;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

/// The transaction's number, and since when the server counts its work. A number that was not written down when the server crashed
/// goes to another transaction afterwards; and after a crash, but after nothing else that happens by itself, the server counts anew.
const MARK: &str = "SELECT pg_current_xact_id()::text, pg_stat_get_bgwriter_stat_reset_time()::text";
/// Its first part. The second does not change on a connection unless somebody resets the counts: then a fate is not known, though it could be.
const NUMBER: &str = "SELECT pg_current_xact_id()::text";
const STATUS: &str =
    "SELECT pg_xact_status($1::text::xid8), pg_stat_get_bgwriter_stat_reset_time()::text IS NOT DISTINCT FROM $2::text";
/// Between the two parts of a mark.
const SEPARATOR: char = '@';

/// What begins a transaction on a connection, and asks for what [`mark`] finds in the answer.
pub(super) fn begin(isolation: Isolation, connection: &Connection) -> String {
    let mark = if connection.counted_since.get().is_some() { NUMBER } else { MARK };
    format!("BEGIN ISOLATION LEVEL {} READ WRITE; {mark}", isolation.sql())
}

/// The mark of a transaction in the answer to what began it.
pub(super) fn mark(answer: &[SimpleQueryMessage], connection: &Connection) -> Option<TxMark> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let asked = || if row.len() > 1 { row.get(1).unwrap_or_default() } else { "" }.to_owned();
            let since = connection.counted_since.get_or_init(asked);
            Some(TxMark::new(format!("{}{SEPARATOR}{since}", row.get(0)?)))
        }
        _ => None,
    })
}

/// # Errors
/// 08001: the server cannot be reached.
pub(super) async fn of(pool: &Arc<Pool>, mark: &TxMark) -> Result<Option<Fate>> {
    let (number, since) = mark
        .as_str()
        .split_once(SEPARATOR)
        .filter(|(number, _)| number.parse::<u64>().is_ok())
        .ok_or_else(|| Error::internal("a mark that is none of the source's"))?;
    let since = Some(since).filter(|since| !since.is_empty());
    let lease = pool.lease(None, &CancellationToken::new()).await?;
    let client = &lease.connection.client;
    let row = match client.query_one(STATUS, &[&number, &since]).await {
        // A number that it has not given, or does not remember having given: then nothing under it was stored.
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
            lease.give_back();
            return Ok(Some(Fate::RolledBack));
        }
        row => row.map_err(|error| from_change(pool.source(), &error))?,
    };
    let status: Option<String> = row.try_get(0).map_err(Error::internal)?;
    let is_same: bool = row.try_get(1).map_err(Error::internal)?;
    lease.give_back();
    Ok(match status.as_deref() {
        Some("committed") if is_same => Some(Fate::Committed),
        // Whoever has the number now has not stored anything, and neither had it.
        Some("aborted") => Some(Fate::RolledBack),
        // It still runs, is older than what the server remembers, or may be another.
        _ => None,
    })
}
