//! The streams of an extraction: each fetches one part into a file of its own, and begins it anew when its connection breaks
//! off. Knows no format.

use super::format::FileOptions;
use super::parts::Parts;
use super::progress::Counts;
use super::writer::Writer;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::StreamExt as _;
use querygate_flight::{FlightClient, RemoteResult};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Batches that wait for a part's writer: enough to keep both busy, few enough to bound memory.
const BATCHES_AHEAD: usize = 2;
/// How often a part whose connection broke off is fetched, and the pause after the first time, which doubles.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// What the streams of one extraction share.
pub(super) struct Work {
    pub(super) client: FlightClient,
    /// Its tickets are renewed meanwhile.
    result: Mutex<RemoteResult>,
    pub(super) parts: Mutex<Parts>,
    pub(super) schema: SchemaRef,
    pub(super) file: FileOptions,
    pub(super) compression: Option<&'static str>,
    pub(super) counts: Counts,
}

impl Work {
    pub(super) fn new(
        client: FlightClient,
        result: RemoteResult,
        parts: Parts,
        schema: SchemaRef,
        file: FileOptions,
        compression: Option<&'static str>,
    ) -> Self {
        let (result, parts) = (Mutex::new(result), Mutex::new(parts));
        Self { client, result, parts, schema, file, compression, counts: Counts::default() }
    }

    pub(super) fn result(&self) -> RemoteResult {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a stream for each part that is not whole.
    pub(super) fn begin(self: &Arc<Self>) -> Result<JoinSet<Result<()>>> {
        let whole = self.parts().whole()?;
        self.counts.rows.store(whole.values().sum(), Ordering::Relaxed);
        self.counts.streams.store(whole.len() as u64, Ordering::Relaxed);
        let mut streams = JoinSet::new();
        for part in (0..self.result().tickets.len()).filter(|part| !whole.contains_key(part)) {
            streams.spawn(Arc::clone(self).part(part));
        }
        Ok(streams)
    }

    async fn part(self: Arc<Self>, part: usize) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.once(part).await {
                // Its rows may come in another order now, so the part begins at its beginning.
                Err(error) if passes(&error) && attempt < ATTEMPTS => {
                    tokio::time::sleep(ATTEMPT_PAUSE * 2_u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }

    /// One attempt. What was written of a part that did not end well is written over.
    async fn once(&self, part: usize) -> Result<()> {
        let ticket = self.result().tickets.get(part).cloned();
        let ticket = ticket.ok_or_else(|| Error::internal("a result has no such part"))?;
        let mut batches = self.client.fetch(&ticket, self.compression).await?;
        let file = self.parts().begin(part)?;
        // Files are put together behind each other, with one head.
        let writer = Writer::new(file, &self.schema, &self.file, part == 0)?;
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let writing = tokio::task::spawn_blocking(move || write(writer, receiver));
        let mut rows = 0;
        let fetched = loop {
            match batches.next().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(batch)) => {
                    rows += batch.num_rows() as u64;
                    self.counts.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                    if sender.send(batch).await.is_err() {
                        // The writer failed, and says so itself.
                        break Ok(());
                    }
                }
            }
        };
        drop(sender);
        let written = writing.await.map_err(Error::internal)?;
        let ended = fetched.and(written).and_then(|()| self.parts().complete(part, rows));
        match ended {
            Ok(()) => self.counts.streams.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.counts.rows.fetch_sub(rows, Ordering::Relaxed),
        };
        ended
    }

    /// Keeps the tickets of the parts that are not whole good for longer, and remembers them.
    pub(super) async fn renew(&self) -> Result<()> {
        let whole = self.parts().whole()?;
        for part in (0..self.result().tickets.len()).filter(|part| !whole.contains_key(part)) {
            let renewed = self.client.renew(&self.result(), part).await?;
            *self.result.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        }
        let result = self.result();
        self.parts().remember(&result)
    }

    /// How long every ticket that is still needed is good.
    pub(super) fn expires_in(&self) -> Option<Duration> {
        let (result, whole) = (self.result(), self.parts().whole().unwrap_or_default());
        let needed = (0..result.tickets.len()).filter(|part| !whole.contains_key(part));
        needed.filter_map(|part| result.expires_in(part)).min()
    }
}

/// Whether a failure is the connection's, not the query's.
fn passes(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::SourceLost | ErrorCode::SourceUnavailable)
}

fn write(mut writer: Writer, mut batches: mpsc::Receiver<RecordBatch>) -> Result<()> {
    while let Some(batch) = batches.blocking_recv() {
        writer.write(&batch)?;
    }
    writer.finish()
}
