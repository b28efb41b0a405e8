//! `querygate extract`: a result from a gate's Flight port into a file, over several connections at once. Governs nothing:
//! what arrives is what the gate let through.
//!
//! Each stream writes a file of its own, because a part whose connection broke off is fetched anew, perhaps in another order;
//! so encoding runs side by side too. Parts that are whole become one file at the end.

mod assemble;
mod fetch;
mod file;
mod format;
mod parts;
mod progress;
mod writer;

pub(crate) use format::{Compression, FileOptions, Format};

use crate::cli::{Ended, written};
use crate::output::Output;
use assemble::assemble;
use fetch::Work;
use file::TemporaryFile;
use parts::Parts;
use progress::Progress;
use querygate_flight::{ClientOptions, FlightClient, RemoteResult};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// How long the gate may take to hear that nobody wants the rest, or that somebody will.
const FAREWELL: Duration = Duration::from_secs(2);
/// Tickets are renewed when half of their time is over, but not more often than this.
const RENEWAL_LEAST: Duration = Duration::from_secs(1);
/// When to look again whether tickets expire, where none does now.
const RENEWAL_IDLE: Duration = Duration::from_secs(60);

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
    /// Keep what arrived when it does not end well, and go on from it.
    pub(crate) resume: bool,
    pub(crate) quiet: bool,
}

impl Extraction {
    /// What two runs have in common of which one goes on from the other.
    fn identity(&self) -> Value {
        let FileOptions { path: _, format, compression, null } = &self.file;
        json!({
            "server": self.client.server, "user": self.client.user, "query": self.query,
            "file": format!("{format:?} {compression:?} {null:?}"),
        })
    }
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
    let begun = tokio::select! {
        begun = begun(client, extraction, output) => Some(begun?),
        _ = interrupt.recv() => None,
    };
    let Some(work) = begun.map(Arc::new) else {
        output.note("interrupted; nothing was fetched").map_err(written)?;
        return Ok(Ended::Interrupted);
    };
    let mut progress = Progress::begin(&work.result(), output.shows_progress() && !extraction.quiet);
    let streams = work.begin()?;
    let fetched = finished(streams, Arc::clone(&work));
    tokio::pin!(fetched);
    let mut renewal = tokio::time::Instant::now() + until_renewal(&work);
    let ended = loop {
        tokio::select! {
            ended = &mut fetched => break ended.map(|()| Ended::Well),
            () = progress.tick() => progress.show(&work.counts, client.received_bytes(), output).map_err(written)?,
            () = tokio::time::sleep_until(renewal) => {
                // Streams that run need no ticket; one that begins anew and finds its own expired says so.
                tokio::select! {
                    _renewed = work.renew() => {}
                    _ = interrupt.recv() => break Ok(Ended::Interrupted),
                }
                renewal = tokio::time::Instant::now() + until_renewal(&work);
            }
            _ = interrupt.recv() => break Ok(Ended::Interrupted),
        }
    };
    progress.clear(output).map_err(written)?;
    match ended {
        Ok(Ended::Well) => {
            if !extraction.quiet {
                let told = progress.summary(&work.counts, client.received_bytes());
                output.note(&format!("{}: {told}", extraction.file.path.display())).map_err(written)?;
            }
            Ok(Ended::Well)
        }
        other => {
            left(client, &work, &other, output).await?;
            other
        }
    }
}

/// Describes the result, or takes up what an earlier run left of it, and makes room for its parts.
async fn begun(client: &FlightClient, extraction: &Extraction, output: &mut Output) -> Result<Work> {
    let mut parts = Parts::beside(&extraction.file.path, extraction.resume.then(|| extraction.identity()))?;
    if let Some(result) = parts.remembered()? {
        let (whole, all) = (parts.whole()?.len(), result.tickets.len());
        let work = prepared(client, extraction, result, parts)?;
        match work.renew().await {
            Ok(()) => {
                output.note(&format!("going on: {whole} of {all} parts are there")).map_err(written)?;
                return Ok(work);
            }
            // The gate does not know the tickets any more: it was too late, or it began anew itself.
            Err(error) if error.code() == ErrorCode::InvalidAuthorization => {
                output.note("what was kept has expired; all of it is fetched anew").map_err(written)?;
                work.parts().clear()?;
            }
            Err(error) => return Err(error),
        }
        parts = Parts::beside(&extraction.file.path, Some(extraction.identity()))?;
    }
    let result = client.describe(&extraction.query, extraction.streams).await?;
    if result.schema.fields().is_empty() && result.tickets.is_empty() {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "the statement gives no rows to write")
            .with_hint("Extract a query."));
    }
    let work = prepared(client, extraction, result, parts)?;
    let result = work.result();
    let mut parts = work.parts();
    parts.make()?;
    parts.remember(&result)?;
    drop(parts);
    Ok(work)
}

fn prepared(client: &FlightClient, extraction: &Extraction, result: RemoteResult, parts: Parts) -> Result<Work> {
    let schema = extraction.file.schema(&result.schema)?;
    writer::try_out(&schema, &extraction.file)?;
    Ok(Work::new(client.clone(), result, parts, schema, extraction.file.clone(), extraction.compression))
}

fn until_renewal(work: &Work) -> Duration {
    work.expires_in().map_or(RENEWAL_IDLE, |left| (left / 2).max(RENEWAL_LEAST))
}

/// Waits for all streams, then puts their files together. The first failure ends everything.
async fn finished(mut streams: JoinSet<Result<()>>, work: Arc<Work>) -> Result<()> {
    while let Some(ended) = streams.join_next().await {
        // Dropping the others ends them.
        ended.map_err(Error::internal)??;
    }
    tokio::task::spawn_blocking(move || keep(&work)).await.map_err(Error::internal)?
}

/// Gives the whole result its name.
fn keep(work: &Work) -> Result<()> {
    let files: Vec<PathBuf> = {
        let parts = work.parts();
        parts.whole()?.into_iter().map(|(part, rows)| parts.path(part, rows)).collect()
    };
    if files.len() != work.result().tickets.len() {
        return Err(Error::internal("a part of the result is not there"));
    }
    let target = &work.file.path;
    let whole = match files.as_slice() {
        [only] => TemporaryFile::written(only.clone(), target),
        _ => {
            let whole = TemporaryFile::beside(target)?;
            assemble(&files, whole.file()?, &work.schema, &work.file)?;
            whole
        }
    };
    whole.keep()?;
    work.parts().clear()
}

/// After an end that is not a good one: what stays, and whether the gate may forget the result.
async fn left(client: &FlightClient, work: &Work, ended: &Result<Ended>, output: &mut Output) -> Result<()> {
    let result = work.result();
    // Parts of a result that cannot be had any more are worth nothing.
    let worthless =
        |error: &Error| matches!(error.code(), ErrorCode::SourceSchemaChanged | ErrorCode::InvalidAuthorization);
    if ended.as_ref().is_err_and(worthless) {
        work.parts().clear()?;
    }
    let kept = work.parts().kept().map(|folder| folder.display().to_string());
    let interrupted = matches!(ended, Ok(Ended::Interrupted));
    let Some(folder) = kept else {
        let _told = tokio::time::timeout(FAREWELL, client.cancel(&result)).await;
        return if interrupted { output.note("interrupted; no file was written").map_err(written) } else { Ok(()) };
    };
    // A gate that is gone renews nothing; its tickets may still be good when it is back.
    let _renewed = tokio::time::timeout(FAREWELL, work.renew()).await;
    let (whole, all) = (work.parts().whole()?.len(), result.tickets.len());
    let minutes = work.expires_in().unwrap_or_default().as_secs().div_ceil(60);
    let what = if interrupted { "interrupted; " } else { "" };
    let note = format!(
        "{what}{whole} of {all} parts are kept in {folder}: the same command goes on from there within {minutes} minutes"
    );
    output.note(&note).map_err(written)
}
