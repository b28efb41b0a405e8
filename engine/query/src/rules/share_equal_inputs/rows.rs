//! Rows that several readers read at their own pace, made by the first that needs the next batch. No reader waits for another one to
//! come: a join may read one side to its end before it begins with the other.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::cooperative;
use futures::{Stream, StreamExt};
use querygate_resources::bytes::{batch_bytes, compact};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

/// Bytes that wait for readers that have not begun. With more, those make their rows themselves: they may never come.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// Bytes of buffers beside its rows that a batch may keep.
const SLACK_BYTES: usize = 64 << 10;

/// The rows of one part of a plan in one run, for a number of readers. What waits for a reader that never comes is kept as long as the
/// run's plan.
#[derive(Debug)]
pub(super) struct SharedRows {
    readers: usize,
    state: Mutex<State>,
    awaiting: Arc<Awaiting>,
    /// Some reader found another one's turn going on.
    was_refused: AtomicBool,
}

impl SharedRows {
    pub(super) fn for_readers(readers: usize) -> Arc<Self> {
        let state = State { places: vec![Place::Waiting; readers], ..State::default() };
        let (state, was_refused) = (Mutex::new(state), AtomicBool::new(false));
        Arc::new(Self { readers, state, awaiting: Arc::default(), was_refused })
    }

    /// Rows of another run, for as many readers.
    pub(super) fn renewed(&self) -> Arc<Self> {
        Self::for_readers(self.readers)
    }

    pub(super) fn readers(&self) -> usize {
        self.readers
    }

    /// The rows for a reader by its number. `own`: its plan of them, of one partition, which is run where no reader began before, and
    /// where the rows are not kept for it.
    pub(super) fn read(
        self: &Arc<Self>,
        reader: usize,
        own: &Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
    ) -> SendableRecordBatchStream {
        let (rows, own) = (Arc::clone(self), Arc::clone(own));
        Box::pin(cooperative(Reading { reader, rows, own, context, alone: None }))
    }

    /// A turn of one reader. `None`: another one's is going on, which wakes this reader behind it.
    fn turn<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.locked_now()?;
        let done = act(&mut state);
        drop(state);
        Some(done)
    }

    fn locked_now(&self) -> Option<MutexGuard<'_, State>> {
        let attempt = || match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(broken)) => {
                let mut state = broken.into_inner();
                state.fail(DataFusionError::Internal("making shared rows ended in a panic".to_owned()));
                Some(state)
            }
            Err(TryLockError::WouldBlock) => None,
        };
        attempt().or_else(|| {
            // Sees that the turn has ended, or is seen by the one that has it.
            self.was_refused.swap(true, Ordering::SeqCst);
            attempt()
        })
    }

    /// Keeps nothing for a reader any more.
    fn leave(&self, reader: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.leave(reader);
        drop(state);
        self.awaiting.remove(reader);
        self.awaiting.wake_all();
    }
}

/// Readers that wait for the next batch, or for another reader's turn to end, by their numbers: several may be of one task.
#[derive(Debug, Default)]
struct Awaiting(Mutex<Vec<(usize, Waker)>>);

impl Awaiting {
    fn locked(&self) -> MutexGuard<'_, Vec<(usize, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, reader: usize, waker: &Waker) {
        let mut wakers = self.locked();
        match wakers.iter_mut().find(|(known, _)| *known == reader) {
            Some((_, known)) => known.clone_from(waker),
            None => wakers.push((reader, waker.clone())),
        }
    }

    fn remove(&self, reader: usize) {
        self.locked().retain(|(known, _)| *known != reader);
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.locked());
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Wake for Awaiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

/// How far a reader has come: the number of the batch that it reads next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has not begun.
    Waiting,
    At(usize),
    /// It has read all that it wants, or makes its rows for itself.
    Gone,
}

#[derive(Default)]
struct State {
    has_begun: bool,
    /// `None`: not begun, or at its end.
    input: Option<SendableRecordBatchStream>,
    failure: Option<Arc<DataFusionError>>,
    /// Batches that some reader has yet to read, each with the bytes that are charged for it.
    batches: VecDeque<(RecordBatch, usize)>,
    /// The number of the first of them.
    first: usize,
    places: Vec<Place>,
    /// The readers of the first places.
    owners: Vec<usize>,
    charge: Option<MemoryReservation>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("places", &self.places).field("first", &self.first).finish_non_exhaustive()
    }
}

/// What a turn came to.
enum Turn {
    Rows(Poll<Option<Result<RecordBatch>>>),
    /// The rows are not kept for this reader.
    Alone,
}

impl State {
    /// Where a reader's place is among those that are counted with; they are given out as readers come. `None`: all are taken.
    fn place_of(&mut self, reader: usize) -> Option<usize> {
        let known = self.owners.iter().position(|owner| *owner == reader);
        known.or_else(|| {
            let next = self.owners.len();
            (next < self.places.len()).then(|| {
                self.owners.push(reader);
                next
            })
        })
    }

    fn leave(&mut self, reader: usize) {
        let place = self.place_of(reader);
        if let Some(place) = place.and_then(|place| self.places.get_mut(place)) {
            *place = Place::Gone;
        }
        // What is open at its source, or grouped so far, does not wait for a reader that may want the source before it begins.
        let is_read = self.places.iter().any(|place| matches!(place, Place::At(_)));
        if self.input.is_some() && !is_read {
            self.places.fill(Place::Gone);
        }
        self.release();
    }

    /// Gives up the batches that every reader has read.
    fn release(&mut self) {
        let least = self.places.iter().filter_map(|place| match place {
            Place::Waiting => Some(0),
            Place::At(next) => Some(*next),
            Place::Gone => None,
        });
        let Some(least) = least.min() else {
            self.batches.clear();
            self.input = None;
            self.charge = None;
            return;
        };
        while self.first < least
            && let Some((_, bytes)) = self.batches.pop_front()
        {
            self.first += 1;
            if let Some(charge) = &mut self.charge {
                charge.shrink(bytes.min(charge.size()));
            }
        }
    }

    /// Keeps a batch for the readers that have yet to read it.
    fn keep(&mut self, batch: RecordBatch) -> Result<()> {
        // What waits holds no more than its rows.
        let batch = compact(batch, SLACK_BYTES)?.batch;
        let bytes = usize::try_from(batch_bytes(&batch)).unwrap_or(usize::MAX);
        let Some(charge) = &mut self.charge else { return internal_err!("shared rows are kept with no account") };
        let waits = self.places.contains(&Place::Waiting);
        let is_much = waits && charge.size().saturating_add(bytes) > WAITING_BYTES_MAX;
        let mut charged = bytes;
        if is_much || charge.try_grow(bytes).is_err() {
            self.places.iter_mut().filter(|place| **place == Place::Waiting).for_each(|place| *place = Place::Gone);
            self.release();
            let reading = self.places.iter().filter(|place| **place != Place::Gone).count();
            match &mut self.charge {
                Some(charge) if reading > 1 => charge.try_grow(bytes)?,
                // The only reader takes it at once.
                Some(_) | None => charged = 0,
            }
        }
        self.batches.push_back((batch, charged));
        Ok(())
    }

    /// Begins with the reader of a place, whose own plan is run where it is the first.
    fn begin(&mut self, place: usize, own: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<()> {
        if !self.has_begun {
            self.has_begun = true;
            self.charge = Some(MemoryConsumer::new("rows that are read twice").register(context.memory_pool()));
            self.input = Some(own.execute(0, Arc::clone(context))?);
        }
        if let Some(place) = self.places.get_mut(place) {
            *place = Place::At(0);
        }
        Ok(())
    }

    fn fail(&mut self, error: DataFusionError) {
        self.input = None;
        self.failure = Some(Arc::new(error));
    }

    fn poll(
        &mut self,
        reader: usize,
        own: &Arc<dyn ExecutionPlan>,
        context: &Arc<TaskContext>,
        awaiting: &Arc<Awaiting>,
    ) -> Turn {
        let Some(own_place) = self.place_of(reader) else { return Turn::Alone };
        if self.places.get(own_place) == Some(&Place::Waiting)
            && let Err(error) = self.begin(own_place, own, context)
        {
            self.fail(error);
        }
        loop {
            let next = match self.places.get(own_place) {
                Some(Place::At(next)) => *next,
                Some(Place::Waiting) => 0,
                Some(Place::Gone) | None => return Turn::Alone,
            };
            if let Some((batch, _)) = next.checked_sub(self.first).and_then(|at| self.batches.get(at)).cloned() {
                if let Some(place) = self.places.get_mut(own_place) {
                    *place = Place::At(next + 1);
                }
                self.release();
                return Turn::Rows(Poll::Ready(Some(Ok(batch))));
            }
            if let Some(failure) = &self.failure {
                return Turn::Rows(Poll::Ready(Some(Err(DataFusionError::Shared(Arc::clone(failure))))));
            }
            let Some(input) = &mut self.input else { return Turn::Rows(Poll::Ready(None)) };
            let waker = Waker::from(Arc::clone(awaiting));
            match input.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Pending => return Turn::Rows(Poll::Pending),
                Poll::Ready(Some(Ok(batch))) => {
                    if let Err(error) = self.keep(batch) {
                        self.fail(error);
                    }
                }
                Poll::Ready(Some(Err(error))) => self.fail(error),
                Poll::Ready(None) => self.input = None,
            }
        }
    }
}

/// A reader's stream.
struct Reading {
    reader: usize,
    rows: Arc<SharedRows>,
    own: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    /// The rows that it makes for itself.
    alone: Option<SendableRecordBatchStream>,
}

impl Stream for Reading {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(alone) = &mut self.alone {
            return alone.poll_next_unpin(cx);
        }
        let (reader, rows) = (self.reader, Arc::clone(&self.rows));
        // Known before the turn is asked for: the reader that has it wakes all others behind it.
        rows.awaiting.add(reader, cx.waker());
        let turn = rows.turn(|state| state.poll(reader, &self.own, &self.context, &rows.awaiting));
        let polled = match turn {
            // The one that has its turn looks at the mark behind it.
            None => return Poll::Pending,
            Some(Turn::Rows(Poll::Pending)) => {
                if rows.was_refused.swap(false, Ordering::SeqCst) {
                    rows.awaiting.wake_all();
                }
                return Poll::Pending;
            }
            Some(Turn::Rows(ready)) => Some(ready),
            Some(Turn::Alone) => None,
        };
        rows.was_refused.store(false, Ordering::SeqCst);
        rows.awaiting.remove(reader);
        rows.awaiting.wake_all();
        match polled {
            Some(ready) => ready,
            None => {
                let alone = self.own.execute(0, Arc::clone(&self.context))?;
                self.alone.insert(alone).poll_next_unpin(cx)
            }
        }
    }
}

impl RecordBatchStream for Reading {
    fn schema(&self) -> SchemaRef {
        self.own.schema()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.alone.is_none() {
            self.rows.leave(self.reader);
        }
    }
}

#[cfg(test)]
mod tests;
