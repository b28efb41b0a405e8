//! Runs that follow advice: watched until they prove not to be slower than the default, which otherwise takes their place.

use crate::plan::variant::Chosen;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use querygate_query_api::outcome::BatchStream;
use querygate_telemetry_api::advice::{Lost, Stage};
use querygate_types::{Error, ErrorCode, Result};
use tokio::time::Instant;

/// Bytes of a trial's result that wait for its end; a larger one is handed on while it runs.
const HELD_BYTES: usize = 8 << 20;

pub(super) enum Started {
    Goes(BatchStream),
    /// It ended before its first row went out.
    Lost(Lost),
}

/// What was stopped is told before the default runs, however that ends; of the rest, who is to be told.
pub(super) fn told_at_once(chosen: Option<Chosen>, lost: Lost) -> Option<Chosen> {
    if !matches!(lost, Lost::Stopped(_)) {
        return chosen;
    }
    if let Some(chosen) = chosen {
        chosen.lost(lost);
    }
    None
}

/// Tells the advisor of a run that was lost, once the default, which took its place, has given its first rows or failed: where both
/// fail, it is the statement that does, or its source.
pub(super) async fn judged(mut batches: BatchStream, chosen: Option<Chosen>, lost: Lost) -> BatchStream {
    let first = batches.next().await;
    let lost = match (lost, &first) {
        (Lost::Failed | Lost::Void, Some(Err(_))) => Lost::Void,
        (lost, _) => lost,
    };
    if let Some(chosen) = chosen {
        chosen.lost(lost);
    }
    futures::stream::iter(first).chain(batches).boxed()
}

/// Whether it was the client's own end.
fn is_left(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::QueryCanceled | ErrorCode::StatementTimeout)
}

/// Tells the advisor of a watched run that nobody waits for any more, however it is dropped.
struct Patience<'a> {
    /// `None`: it came to an end.
    chosen: Option<&'a Chosen>,
    began: Instant,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if let Some(chosen) = self.chosen {
            chosen.lost(Lost::Left(self.began.elapsed()));
        }
    }
}

/// Waits for the end of a trial, or for the first rows of a plan that is in force, within the limit.
pub(super) async fn watched(mut batches: BatchStream, chosen: &Chosen) -> Result<Started> {
    let mut patience = Patience { chosen: Some(chosen), began: Instant::now() };
    let mut held: Vec<RecordBatch> = Vec::new();
    let mut bytes = 0;
    let enough = if chosen.advice.stage == Stage::Trial { HELD_BYTES } else { 0 };
    let reading = async {
        loop {
            match batches.next().await {
                None => return Ok(true),
                Some(Err(error)) => return Err(error),
                Some(Ok(batch)) => {
                    bytes += batch.get_array_memory_size();
                    held.push(batch);
                    if bytes > enough {
                        return Ok(false);
                    }
                }
            }
        }
    };
    let read = match chosen.advice.limit {
        None => reading.await,
        Some(limit) => match tokio::time::timeout(limit, reading).await {
            Ok(read) => read,
            Err(_) => {
                patience.chosen = None;
                return Ok(Started::Lost(Lost::Stopped(limit)));
            }
        },
    };
    if !matches!(&read, Err(error) if is_left(error)) {
        patience.chosen = None;
    }
    let first = move |held: Vec<RecordBatch>| futures::stream::iter(held.into_iter().map(Ok));
    match read {
        Ok(true) => Ok(Started::Goes(first(held).boxed())),
        Ok(false) => Ok(Started::Goes(first(held).chain(batches).boxed())),
        Err(error) if is_left(&error) => Err(error),
        // The default's own error is the one to show, if it fails too.
        Err(_) => Ok(Started::Lost(Lost::Failed)),
    }
}
