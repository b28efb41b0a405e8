//! Runs a verified plan: on the query runtime, inside a memory share, under a deadline and a cancel token.

use crate::errors::{Stage, panic_of_arrays, translate};
use crate::run::admission::{Permit, Place};
use crate::run::interrupt::Interrupt;
use crate::run::measured_memory;
use crate::run::pieces::{Charge, Charged, Pieces};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use querygate_query_api::outcome::BatchStream;
use querygate_resources::Holder;
use querygate_resources::measured::{Ledger, StatementWork, release};
use querygate_types::{Error, Result};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Batches waiting between the query runtime and the door: enough to overlap, few enough to bound memory.
const BATCHES_IN_FLIGHT: usize = 2;

/// What a running statement holds.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) interrupt: Interrupt,
    /// Admission; given back while nobody reads, and when the stream ends.
    pub(crate) permit: Turn,
    /// Whose connections to sources it holds; told when nobody reads.
    pub(crate) holder: Option<Arc<Holder>>,
    pub(crate) memory: StatementMemory,
}

/// What a running statement holds of its account.
#[derive(Debug)]
pub(crate) struct StatementMemory {
    /// What it is charged for by estimates; its batches that wait as well.
    estimated: MemoryReservation,
    /// What it holds.
    measured: Arc<Ledger>,
}

/// What a statement is charged for beside its rows while it can be read: plan, operators, tasks, channels.
const STATEMENT_BYTES: usize = 64 << 10;

impl StatementMemory {
    /// The memory of a statement that begins. `named`: its text without values.
    ///
    /// # Errors
    /// 53200: an account is full.
    pub(crate) fn begin(account: &Arc<dyn MemoryPool>, interrupt: &Interrupt, named: &Arc<str>) -> Result<Self> {
        let measured = measured_memory::ledger(account, interrupt.token());
        measured.name(named);
        let estimated = MemoryConsumer::new("statement").register(account);
        estimated.try_grow(STATEMENT_BYTES).map_err(|error| translate(&error, Stage::Execute))?;
        Ok(Self { estimated, measured })
    }

    pub(crate) fn measured(&self) -> &Arc<Ledger> {
        &self.measured
    }
}

/// Makes the batches of a verified plan. The work starts at once and stops when the stream is dropped.
pub(crate) fn run(
    runtime: &tokio::runtime::Handle,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    guard: Guard,
) -> BatchStream {
    let failed = |e: DataFusionError| translate(&e, Stage::Execute);
    let opened = move || match execute_stream(plan, context) {
        Ok(stream) => stream.map_err(failed).boxed(),
        Err(error) => futures::stream::iter([Err(failed(error))]).boxed(),
    };
    run_batches(runtime, opened, guard)
}

/// Makes batches that need no plan, as [`run`] makes those of one.
pub(crate) fn run_batches(
    runtime: &tokio::runtime::Handle,
    opened: impl FnOnce() -> BatchStream + Send + 'static,
    guard: Guard,
) -> BatchStream {
    let (sender, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
    let cancel = guard.interrupt.token().clone();
    let task = runtime.spawn(async move {
        let mut guard = guard;
        let measured = Arc::clone(&guard.memory.measured);
        let work = StatementWork::new(&measured, drive(opened, &mut guard, &sender));
        let work = AssertUnwindSafe(work).catch_unwind().await;
        tracing::trace!(most = measured.most(), left = measured.held(), "a statement's memory");
        let last = match (measured.refused(), work) {
            (Some(refused), _) => Sent::Failed(refused.clone()),
            (None, Ok(Ok(Ok(())))) => Sent::End,
            (None, Ok(Ok(Err(error)) | Err(error))) => Sent::Failed(error),
            (None, Err(payload)) => Sent::Failed(of_panic(payload.as_ref())),
        };
        // The reader may be slow to hear of the end, or gone; nobody else should wait for that, nor its user.
        drop(measured);
        let Guard { permit, holder, memory: StatementMemory { estimated, measured }, .. } = guard;
        drop((permit, measured));
        let _ = sender.send(last).await;
        drop((holder, estimated));
    });
    Box::pin(Running { receiver, task, cancel, ended: false, in_hand: None })
}

/// What a panic means to a client.
fn of_panic(payload: &(dyn Any + Send)) -> Error {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    text.and_then(panic_of_arrays).unwrap_or_else(|| Error::internal("a query task panicked"))
}

/// What goes to the door. Only a spoken end is one: a task that died ends in silence.
enum Sent {
    Batch(Charged),
    End,
    Failed(Error),
}

async fn drive(opened: impl FnOnce() -> BatchStream, guard: &mut Guard, sender: &mpsc::Sender<Sent>) -> Result<()> {
    let mut stream = opened();
    loop {
        let Some(batch) = guard.interrupt.within(async { stream.next().await.transpose() }).await? else {
            return Ok(());
        };
        if batch.num_rows() == 0 {
            continue;
        }
        let pieces = Pieces::of(batch, &guard.memory.estimated)?;
        release(pieces.batch());
        for piece in pieces {
            let Some(place) = room(guard, sender).await? else { return Ok(()) };
            place.send(Sent::Batch(piece));
        }
    }
}

/// Waits until the reader wants a batch; `None`: it is gone. A statement that waits gives its turn to others, or a few idle
/// cursors would stop the gate, and takes a new one before it works on.
async fn room<'a>(guard: &mut Guard, sender: &'a mpsc::Sender<Sent>) -> Result<Option<mpsc::Permit<'a, Sent>>> {
    if let Ok(place) = sender.try_reserve() {
        return Ok(Some(place));
    }
    let turns = guard.permit.place().cloned();
    guard.permit = Turn::given_back();
    let _resting = guard.holder.as_ref().map(|holder| holder.rest());
    let waited = async {
        match sender.reserve().await {
            Ok(place) => Turn::again(turns).await.map(|turn| Some((place, turn))),
            Err(_) => Ok(None),
        }
    };
    let waited = guard.interrupt.within(waited).await?;
    Ok(waited.map(|(place, turn)| {
        guard.permit = turn;
        place
    }))
}

/// A statement's admission.
#[derive(Debug)]
pub(crate) struct Turn(Option<Permit>);

impl Turn {
    pub(crate) fn new(permit: Permit) -> Self {
        Self(Some(permit))
    }

    fn given_back() -> Self {
        Self(None)
    }

    fn place(&self) -> Option<&Place> {
        self.0.as_ref().map(Permit::place)
    }

    async fn again(place: Option<Place>) -> Result<Self> {
        match place {
            Some(place) => place.turn().await.map(Self::new),
            None => Ok(Self(None)),
        }
    }
}

struct Running {
    receiver: mpsc::Receiver<Sent>,
    task: JoinHandle<()>,
    cancel: CancellationToken,
    ended: bool,
    /// Of the batch that its reader has, until the reader asks for another one.
    in_hand: Option<Charge>,
}

impl Stream for Running {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.in_hand = None;
        let Poll::Ready(sent) = self.receiver.poll_recv(cx) else { return Poll::Pending };
        let next = match sent {
            Some(Sent::Batch(Charged { batch, charge })) => {
                self.in_hand = Some(charge);
                return Poll::Ready(Some(Ok(batch)));
            }
            Some(Sent::End) => None,
            Some(Sent::Failed(error)) => Some(Err(error)),
            None => Some(Err(Error::internal("a query task ended without a word"))),
        };
        self.ended = true;
        Poll::Ready(next)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ends work that nobody reads, in the source too.
        self.cancel.cancel();
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::buffer::OffsetBuffer;
    use querygate_types::ErrorCode;

    #[test]
    fn arrays_beyond_their_bound_are_the_statements_fault() {
        let code = |work: fn()| of_panic(std::panic::catch_unwind(work).unwrap_err().as_ref()).code();
        let too_large = || drop(OffsetBuffer::<i32>::from_lengths([1 << 30, 1 << 30, 1 << 30]));
        assert_eq!(code(too_large), ErrorCode::ProgramLimitExceeded);
        assert_eq!(code(|| panic!("a defect")), ErrorCode::Internal);
    }
}
