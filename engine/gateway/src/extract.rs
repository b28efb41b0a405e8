//! `querygate extract`: a result from a gate's Flight port into a file, over several connections at once. Governs nothing:
//! what arrives is what the gate let through.

mod file;
mod format;
mod progress;
mod writer;

pub(crate) use format::{Compression, FileOptions, Format};

use crate::cli::{Ended, written};
use crate::output::Output;
use arrow::record_batch::RecordBatch;
use file::TemporaryFile;
use futures::StreamExt as _;
use progress::{Counts, Progress};
use querygate_flight::{ClientOptions, FlightClient, RemoteResult};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use writer::Writer;

/// Batches that wait for the writer, for each stream: enough to keep both busy, few enough to bound memory.
const BATCHES_AHEAD: usize = 2;
/// How often a stream that broke off before its first row is begun anew, and after how long.
const ATTEMPTS: u32 = 3;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);
/// How long the gate may take to hear that nobody wants the rest.
const FAREWELL: Duration = Duration::from_secs(2);

/// What to fetch, and where to put it.
#[derive(Debug)]
pub(crate) struct Extraction {
    pub(crate) client: ClientOptions,
    pub(crate) query: String,
    /// Connections at once.
    pub(crate) streams: usize,
    /// Of what travels.
    pub(crate) compression: Option<&'static str>,
    pub(crate) file: FileOptions,
    pub(crate) quiet: bool,
}

/// Fetches and writes. The file is there when this is [`Ended::Well`], and only then.
pub(crate) fn run(extraction: &Extraction, output: &mut Output) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::internal)?;
    let ended = runtime.block_on(async {
        let client = FlightClient::connect(&extraction.client).await?;
        let ended = extract(&client, extraction, output).await;
        // The session would end by itself; the gate need not wait for that.
        let _closed = tokio::time::timeout(FAREWELL, client.close()).await;
        ended
    });
    // A write that hangs in the file system must not keep a failed command alive.
    runtime.shutdown_timeout(FAREWELL);
    ended
}

async fn extract(client: &FlightClient, extraction: &Extraction, output: &mut Output) -> Result<Ended> {
    // Before there is a file that Ctrl-C could leave behind.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    let result = client.describe(&extraction.query, extraction.streams).await?;
    if result.schema.fields().is_empty() && result.tickets.is_empty() {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "the statement gives no rows to write")
            .with_hint("Extract a query."));
    }
    let schema = extraction.file.schema(&result.schema)?;
    writer::try_out(&schema, &extraction.file)?;
    let temporary = TemporaryFile::beside(&extraction.file.path)?;
    let mut progress = Progress::begin(&result, output.shows_progress() && !extraction.quiet);
    let counts = Arc::new(Counts::default());
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD * result.tickets.len().max(1));
    let writer = Writer::new(temporary.file()?, &schema, &extraction.file)?;
    let writing = tokio::task::spawn_blocking(move || write(writer, receiver));
    let streams = begin(client, &result, extraction, &sender, &counts);
    drop(sender);
    let work = finished(streams, writing);
    tokio::pin!(work);
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended.map(|()| Ended::Well),
            () = progress.tick() => progress.show(&counts, client.received_bytes(), output).map_err(written)?,
            _ = interrupt.recv() => break Ok(Ended::Interrupted),
        }
    };
    progress.clear(output).map_err(written)?;
    match ended {
        Ok(Ended::Well) => {
            temporary.keep()?;
            if !extraction.quiet {
                let told = progress.summary(&counts, client.received_bytes());
                output.note(&format!("{}: {told}", extraction.file.path.display())).map_err(written)?;
            }
            Ok(Ended::Well)
        }
        other => {
            let _told = tokio::time::timeout(FAREWELL, client.cancel(&result)).await;
            if matches!(other, Ok(Ended::Interrupted)) {
                output.note("interrupted; no file was written").map_err(written)?;
            }
            other
        }
    }
}

/// Begins a stream for each part.
fn begin(
    client: &FlightClient,
    result: &RemoteResult,
    extraction: &Extraction,
    sender: &mpsc::Sender<RecordBatch>,
    counts: &Arc<Counts>,
) -> JoinSet<Result<()>> {
    let mut streams = JoinSet::new();
    for ticket in result.tickets.clone() {
        let (client, sender, counts) = (client.clone(), sender.clone(), Arc::clone(counts));
        let compression = extraction.compression;
        streams.spawn(async move {
            let taken = AtomicU64::new(0);
            let mut attempt = 1;
            loop {
                let fetched = async {
                    let mut batches = client.fetch(&ticket, compression).await?;
                    while let Some(batch) = batches.next().await {
                        let batch = batch?;
                        taken.fetch_add(1, Ordering::Relaxed);
                        counts.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                        if sender.send(batch).await.is_err() {
                            // The writer failed, and says so itself.
                            return Ok(());
                        }
                    }
                    counts.streams.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                };
                match fetched.await {
                    // What was written cannot be taken back, so only a stream without rows begins anew.
                    Err(error) if passes(&error) && taken.load(Ordering::Relaxed) == 0 && attempt < ATTEMPTS => {
                        tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
                        attempt += 1;
                    }
                    ended => return ended,
                }
            }
        });
    }
    streams
}

/// Whether a failure is the connection's, not the query's.
fn passes(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::SourceLost | ErrorCode::SourceUnavailable)
}

/// Waits for all streams, then for the writer. The first failure ends everything; the writer's says more than the streams'
/// that it stopped.
async fn finished(mut streams: JoinSet<Result<()>>, writing: JoinHandle<Result<()>>) -> Result<()> {
    while let Some(ended) = streams.join_next().await {
        // Dropping the others ends them.
        ended.map_err(Error::internal)??;
    }
    writing.await.map_err(Error::internal)?
}

fn write(mut writer: Writer, mut batches: mpsc::Receiver<RecordBatch>) -> Result<()> {
    while let Some(batch) = batches.blocking_recv() {
        writer.write(&batch)?;
    }
    writer.finish()
}
