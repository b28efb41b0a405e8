//! Runs a verified plan: on the query runtime, inside a memory share, under a deadline and a cancel token.

use crate::errors::{Stage, translate};
use arrow::record_batch::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, Stream, StreamExt};
use querygate_query_api::BatchStream;
use querygate_types::{Error, ErrorCode, Result};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Batches waiting between the query runtime and the door: enough to overlap, few enough to bound memory.
const BATCHES_IN_FLIGHT: usize = 2;

/// What a running statement holds.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) cancel: CancellationToken,
    pub(crate) deadline: Option<Instant>,
    /// Admission; given back when the stream ends.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Makes the batches of a verified plan. The work starts at once and stops when the stream is dropped.
pub(crate) fn run(
    runtime: &tokio::runtime::Handle,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    guard: Guard,
) -> BatchStream {
    let (sender, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
    let cancel = guard.cancel.clone();
    let task = runtime.spawn(async move {
        let work = AssertUnwindSafe(drive(plan, context, &guard, &sender)).catch_unwind().await;
        let failed = match work {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(Error::internal("a query task panicked")),
        };
        if let Some(error) = failed {
            // The reader may be gone already; then nobody needs the error.
            let _ = sender.send(Err(error)).await;
        }
        drop(guard);
    });
    Box::pin(Running { receiver, task, cancel })
}

async fn drive(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    guard: &Guard,
    sender: &mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    let mut stream = execute_stream(plan, context).map_err(|e| translate(&e, Stage::Execute))?;
    loop {
        let next = tokio::select! {
            biased;
            () = guard.cancel.cancelled() => return Err(canceled()),
            () = expired(guard.deadline) => return Err(timed_out()),
            next = stream.next() => next,
        };
        let Some(batch) = next else { return Ok(()) };
        let batch = batch.map_err(|e| translate(&e, Stage::Execute))?;
        if batch.num_rows() == 0 {
            continue;
        }
        tokio::select! {
            biased;
            () = guard.cancel.cancelled() => return Err(canceled()),
            () = expired(guard.deadline) => return Err(timed_out()),
            sent = sender.send(Ok(batch)) => if sent.is_err() { return Ok(()) },
        }
    }
}

pub(crate) async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn canceled() -> Error {
    Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request")
}

pub(crate) fn timed_out() -> Error {
    Error::new(ErrorCode::StatementTimeout, "canceling statement due to statement timeout")
}

struct Running {
    receiver: mpsc::Receiver<Result<RecordBatch>>,
    task: JoinHandle<()>,
    cancel: CancellationToken,
}

impl Stream for Running {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ends work that nobody reads, in the source too.
        self.cancel.cancel();
        self.task.abort();
    }
}
