//! Documents that say of a transaction of several sources that it was committed, in a collection that the operator has made. A document's
//! `_id` is the transaction's, and no two are alike, so that a look-up, which inserts the other fate, decides.

use super::error::{counted, from_change};
use crate::connect::pool::{Lease, Pool};
use mongodb::bson::{Bson, Document, doc};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::distributed::MARKER_TABLE;
use querygate_driver_api::write::{Fate, GlobalId, Violation};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

const COMMIT: &str = "commit";
const ABORT: &str = "abort";
/// How long a marker may take that no caller has a limit for: a transaction that is about to commit lasts for a minute at most.
const WAIT: Duration = Duration::from_secs(70);
/// Between two looks for a document that a majority does not have yet.
const PAUSE: Duration = Duration::from_millis(50);

/// The command that inserts it. In a transaction it takes no more than this.
pub(super) fn insert(id: &GlobalId, fate: Fate) -> Document {
    let fate = match fate {
        Fate::Committed => COMMIT,
        Fate::RolledBack => ABORT,
    };
    doc! { "insert": MARKER_TABLE, "documents": [{ "_id": id.to_string(), "fate": fate }], "ordered": true }
}

/// A marker of the same id was there first.
pub(super) fn given_up(error: Error) -> Error {
    match error.code() {
        ErrorCode::UniqueViolation => Violation::Serialization.error().with_cause("the transaction was given up"),
        _ => error,
    }
}

/// Whether the operator has made the collection: the first insert would make it.
///
/// # Errors
/// 08001: the deployment cannot be reached.
pub(super) async fn is_there(lease: &Lease) -> Result<bool> {
    let asked = doc! { "listCollections": 1, "filter": { "name": MARKER_TABLE }, "nameOnly": true, "authorizedCollections": true };
    let reply = lease.change(asked).await.map_err(|error| from_change(&error))?;
    let found = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    Ok(found.is_ok_and(|found| !found.is_empty()))
}

/// # Errors
/// 0A000: there is no such collection.
pub(super) async fn verify(lease: &Lease) -> Result<()> {
    if is_there(lease).await? {
        return Ok(());
    }
    let text = "the source has no collection for markers of transactions that span several sources";
    let hint = "An operator can make the collection querygate_commits in it.";
    Err(Error::new(ErrorCode::FeatureNotSupported, text).with_hint(hint))
}

/// What is left of the time for a command, of which the server hears too.
fn left(context: &ExecuteContext) -> Duration {
    let until = context.deadline.map_or(WAIT, |deadline| deadline.saturating_duration_since(Instant::now()));
    until.clamp(Duration::from_millis(1), WAIT)
}

fn bounded(mut command: Document, context: &ExecuteContext) -> Document {
    let milliseconds = i64::try_from(left(context).as_millis()).unwrap_or(i64::MAX);
    command.insert("maxTimeMS", milliseconds);
    command
}

/// A change that a majority has, or will not lose.
fn lasting(command: Document, context: &ExecuteContext) -> Document {
    let mut command = bounded(command, context);
    command.insert("writeConcern", doc! { "w": "majority", "j": true });
    command
}

async fn answer(lease: &Lease, command: Document, context: &ExecuteContext) -> Result<Document> {
    tokio::select! {
        biased;
        answer = lease.change(command) => answer.map_err(|error| from_change(&error)),
        error = context.over() => Err(error),
    }
}

/// What became of a transaction, of which nothing can become any more after this. Waits for one that has written its marker and not
/// ended.
///
/// # Errors
/// As of any change; whatever was sent can be sent again.
pub(super) async fn fate(pool: &Arc<Pool>, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    verify(&lease).await?;
    let until = Instant::now() + left(context);
    let reply = answer(&lease, lasting(insert(id, Fate::RolledBack), context), context).await;
    match reply.and_then(|reply| counted(&reply)) {
        Ok(_) => return Ok(Fate::RolledBack),
        Err(error) if error.code() == ErrorCode::UniqueViolation => {}
        Err(error) => return Err(error),
    }
    // What is there may not be at a majority yet, and is no decision before.
    loop {
        let asked = doc! {
            "find": MARKER_TABLE, "filter": { "_id": id.to_string() }, "limit": 1, "singleBatch": true,
            "readConcern": { "level": "majority" },
        };
        let reply = answer(&lease, bounded(asked, context), context).await?;
        if let Some(fate) = found(&reply)? {
            return Ok(fate);
        }
        if Instant::now() > until {
            return Err(Violation::Locked.error());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn found(reply: &Document) -> Result<Option<Fate>> {
    let rows = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let first = rows.ok().and_then(|rows| rows.first()).and_then(Bson::as_document);
    match first.map(|marker| marker.get_str("fate")) {
        None => Ok(None),
        Some(Ok(COMMIT)) => Ok(Some(Fate::Committed)),
        Some(Ok(ABORT)) => Ok(Some(Fate::RolledBack)),
        Some(_) => Err(Error::new(ErrorCode::SourceError, "source holds a marker of another kind")),
    }
}

/// # Errors
/// As of any change.
pub(super) async fn forget(pool: &Arc<Pool>, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let command = doc! { "delete": MARKER_TABLE, "deletes": [{ "q": { "_id": id.to_string() }, "limit": 1 }] };
    let reply = answer(&lease, lasting(command, context), context).await?;
    counted(&reply).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::write::GateId;

    #[test]
    fn a_marker_is_one_document_of_one_fate() {
        let id = GlobalId::new(GateId::new(0xab), 7, 2);
        let documents = |fate| insert(&id, fate).get_array("documents").unwrap().clone();
        for (fate, word) in [(Fate::Committed, "commit"), (Fate::RolledBack, "abort")] {
            let marker = doc! { "_id": "qg-00000000000000ab-7-2", "fate": word };
            assert_eq!(documents(fate), [Bson::Document(marker.clone())]);
            let reply = doc! { "cursor": { "firstBatch": [marker] } };
            assert_eq!(found(&reply).unwrap(), Some(fate));
        }
        assert_eq!(found(&doc! { "cursor": { "firstBatch": [] } }).unwrap(), None);
        assert!(found(&doc! { "cursor": { "firstBatch": [{ "_id": 1 }] } }).is_err());
    }
}
