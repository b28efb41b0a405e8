//! Bytes that expressions make while a statement is planned or a batch computed: charged to the statement's memory before they are
//! made, by the functions whose results may be longer than what they were given. Knows no function.
//!
//! An expression is computed in one go on one thread, without a place to hand a pool through: what to charge is a variable of
//! the thread, set around each poll of an operator or of planning, and as it was before afterwards.

use crate::pace::{Made, Pace};
use crate::stop::{Stop, heed, proceed};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};
use querygate_driver_api::ending::canceled;
use querygate_types::{Error, ErrorCode};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// Bytes of constants that planning makes; what would need more is left to the run.
const PLANNED_BYTES_MAX: usize = 32 << 20;
/// Bytes that one call needs while a plan is made: a long literal of JSON is read.
const PLANNING_WORK_MAX: usize = 64 << 20;
/// Bytes that one call makes where nobody counts.
const CALL_BYTES_MAX: usize = 256 << 20;
/// Charges below this are not worth one: whoever makes many small results adds them up.
pub const CHARGE_LEAST: usize = 64 << 10;

thread_local! {
    static METER: RefCell<Option<Meter>> = const { RefCell::new(None) };
    /// What was charged with [`work`] since the innermost [`Working`] began.
    static WORK: Cell<usize> = const { Cell::new(0) };
}

/// What is charged.
enum Meter {
    /// A batch, until it is made.
    Run(Making),
    Planning(Planning),
}

/// What is made of a batch.
struct Making {
    reservation: MemoryReservation,
    /// What is known of the last batch, which was given back already.
    last: Made,
}

impl Making {
    fn new(reservation: MemoryReservation, last: Made) -> Self {
        Self { reservation, last }
    }

    fn made(&self) -> Made {
        Made { bytes: self.last.bytes.saturating_add(self.reservation.size()), row: self.last.row }
    }

    /// Begins anew; gives what was made.
    fn begin(&mut self) -> Made {
        let made = self.made();
        self.reservation.free();
        self.last = Made::default();
        made
    }
}

/// What planning may still make, and whether anybody waits for it.
struct Planning {
    left: usize,
    given_up: Arc<AtomicBool>,
}

/// Charges bytes that an expression is about to make.
///
/// # Errors
/// 53200: the statement may not have so many. 57014: planning was given up.
pub fn charge(bytes: usize) -> Result<()> {
    let charged = METER.with_borrow_mut(|meter| match meter {
        None if bytes > CALL_BYTES_MAX => Err(out_of_memory()),
        None => Ok(()),
        Some(Meter::Run(making)) => {
            making.reservation.try_grow(bytes).map_err(|error| out_of_memory().with_cause(error))
        }
        Some(Meter::Planning(planning)) => {
            if planning.given_up.load(Ordering::Relaxed) {
                return Err(canceled());
            }
            planning.left = planning.left.checked_sub(bytes).ok_or_else(out_of_memory)?;
            Ok(())
        }
    });
    charged.map_err(|error| DataFusionError::External(Box::new(error)))
}

/// Charges bytes that an expression needs only while it works: they are given back when the innermost [`Working`] ends.
///
/// # Errors
/// As [`charge`].
pub fn work(bytes: usize) -> Result<()> {
    // A plan keeps nothing of it.
    if METER.with_borrow(|meter| matches!(meter, Some(Meter::Planning(_)))) {
        planning_goes_on()?;
        let too_many = bytes > PLANNING_WORK_MAX;
        return if too_many { Err(DataFusionError::External(Box::new(out_of_memory()))) } else { Ok(()) };
    }
    charge(bytes)?;
    WORK.set(WORK.get().saturating_add(bytes));
    Ok(())
}

/// Work on one value. What was charged for it is given back when this is dropped.
#[derive(Debug)]
pub struct Working(usize);

impl Working {
    #[must_use]
    pub fn begin() -> Self {
        Self(WORK.replace(0))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let done = WORK.replace(self.0);
        METER.with_borrow_mut(|meter| match meter {
            Some(Meter::Run(making)) => making.reservation.shrink(done.min(making.reservation.size())),
            Some(Meter::Planning(_)) | None => {}
        });
    }
}

/// Bytes of an array's own rows, not of the buffers that it shares.
#[must_use]
pub fn own_bytes(array: &ArrayRef) -> usize {
    bytes_of(array.as_ref())
}

/// Arrow counts the places of views, and not what lies elsewhere.
pub(crate) fn bytes_of(array: &dyn Array) -> usize {
    let elsewhere = match array.data_type() {
        DataType::Utf8View => array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.as_binary_view().total_buffer_bytes_used(),
        _ => 0,
    };
    elsewhere + array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}

/// Whether anybody waits for what is planned on this thread.
///
/// # Errors
/// 57014: nobody does.
pub(crate) fn planning_goes_on() -> Result<()> {
    let given_up = METER.with_borrow(|meter| match meter {
        Some(Meter::Planning(planning)) => planning.given_up.load(Ordering::Relaxed),
        Some(Meter::Run(_)) | None => false,
    });
    if given_up { Err(DataFusionError::External(Box::new(canceled()))) } else { Ok(()) }
}

fn out_of_memory() -> Error {
    Error::new(ErrorCode::OutOfMemory, "out of memory").with_hint("Make shorter texts and lists, or fewer of them.")
}

/// What was charged before; charged again when this is dropped.
struct Entered(Option<Meter>);

fn enter(meter: Option<Meter>) -> Entered {
    Entered(METER.replace(meter))
}

impl Entered {
    /// Ends it, and gives the meter back as it stands.
    fn leave(mut self) -> Option<Meter> {
        let before = self.0.take();
        let now = METER.replace(before);
        std::mem::forget(self);
        now
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        METER.set(self.0.take());
    }
}

/// Planning, whose constants are bounded in bytes, and end when nobody waits for them any more.
pub struct Metered<F> {
    work: Pin<Box<F>>,
    left: usize,
    given_up: Arc<AtomicBool>,
}

impl<F: Future> Metered<F> {
    /// `given_up`: whether nobody waits.
    pub fn new(work: F, given_up: Arc<AtomicBool>) -> Self {
        Self { work: Box::pin(work), left: PLANNED_BYTES_MAX, given_up }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let planning = Planning { left: self.left, given_up: Arc::clone(&self.given_up) };
        let entered = enter(Some(Meter::Planning(planning)));
        let polled = self.work.as_mut().poll(cx);
        if let Some(Meter::Planning(planning)) = entered.leave() {
            self.left = planning.left;
        }
        polled
    }
}

/// A node around an operator whose expressions charge the statement's memory for what they make of a batch, or below it: there a
/// next batch begins, and what is further down has a meter of its own or none. Expressions behind it can ask whether the statement
/// is over.
#[derive(Debug, Clone)]
pub struct MeteredExec {
    input: Arc<dyn ExecutionPlan>,
    role: Role,
    /// Bytes of the constants that the operator may write into each row.
    constant: usize,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Around,
    Below,
    /// Charges nothing: its expressions only ask whether the statement is over.
    Cancellable,
    /// Charges what passes, for an operator above that keeps it and does not say so.
    Kept,
}

impl MeteredExec {
    /// Puts meters around an operator with one input, and below it. Others stay as they are: what they compute in one go is no
    /// single batch. `constant`: bytes of constants that it may write into each row.
    ///
    /// # Errors
    /// Internal only.
    pub fn around(operator: Arc<dyn ExecutionPlan>, constant: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let input = match operator.children().as_slice() {
            [input] => Arc::clone(input),
            _ => return Ok(operator),
        };
        let below: Arc<dyn ExecutionPlan> = Arc::new(Self { input, role: Role::Below, constant });
        let input =
            operator.replace_children(vec![below], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?;
        Ok(Arc::new(Self { input, role: Role::Around, constant }))
    }

    /// Puts a meter around an operator that makes results of many batches at a time.
    #[must_use]
    pub fn over(operator: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input: operator, role: Role::Around, constant: 0 })
    }

    /// Lets an operator's expressions ask whether the statement is over.
    #[must_use]
    pub fn cancellable(operator: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input: operator, role: Role::Cancellable, constant: 0 })
    }

    /// Charges an operator's input until its result ends: for one that waits for all rows, and makes one batch of them.
    ///
    /// # Errors
    /// Internal only.
    pub fn kept(operator: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let inputs = operator.children().into_iter().map(|input| -> Arc<dyn ExecutionPlan> {
            Arc::new(Self { input: Arc::clone(input), role: Role::Kept, constant: 0 })
        });
        let inputs = inputs.collect();
        operator.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, role: self.role, constant: self.constant }
    }
}

impl DisplayAs for MeteredExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeteredExec")
    }
}

impl ExecutionPlan for MeteredExec {
    crate::one_input!(with_input);

    fn name(&self) -> &'static str {
        "MeteredExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (role, pool) = (self.role, Arc::clone(context.memory_pool()));
        let stop = context.session_config().get_extension::<Stop>();
        let kept = match role {
            Role::Kept => Some(MemoryConsumer::new("rows that an operator keeps").register(&pool)),
            Role::Around | Role::Below | Role::Cancellable => None,
        };
        let (batches, pace) = (self.input.execute(partition, context)?, Pace::new(self.constant));
        Ok(Box::pin(MeteredStream { batches, role, pool, stop, kept, made: Made::default(), pace }))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

struct MeteredStream {
    batches: SendableRecordBatchStream,
    role: Role,
    /// What is charged.
    pool: Arc<dyn MemoryPool>,
    /// `None`: the end of the statement is not reported.
    stop: Option<Arc<Stop>>,
    /// What the operator above keeps so far.
    kept: Option<MemoryReservation>,
    /// What the operator inside made of its last batch.
    made: Made,
    pace: Pace,
}

impl MeteredStream {
    /// Rows for the operator above, which begins a batch with them.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        METER.with_borrow_mut(|meter| {
            if let Some(Meter::Run(making)) = meter {
                self.pace.learn(making.begin());
            }
        });
        let batch = match self.pace.rest() {
            Some(rest) => rest,
            None => {
                let _apart = enter(None);
                match ready!(self.batches.poll_next_unpin(cx)) {
                    Some(Ok(batch)) => batch,
                    ended => return Poll::Ready(ended),
                }
            }
        };
        let piece = self.pace.cut(batch);
        let charged = charge(self.pace.constants());
        Poll::Ready(Some(charged.map(|()| piece)))
    }

    fn poll_metered(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let reservation = MemoryConsumer::new("expressions").register(&self.pool);
        let entered = enter(Some(Meter::Run(Making::new(reservation, self.made))));
        let polled = self.batches.poll_next_unpin(cx);
        if let Some(Meter::Run(making)) = entered.leave() {
            self.made = making.made();
        }
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            self.made.of(batch);
        }
        polled
    }

    /// The rows themselves, and once more in the one batch that is made of all.
    fn keep(&self, batch: &RecordBatch) -> Result<()> {
        let bytes: usize = batch.columns().iter().map(own_bytes).sum();
        self.kept.as_ref().map_or(Ok(()), |kept| {
            let charged = kept.try_grow(bytes.saturating_mul(2));
            charged.map_err(|error| DataFusionError::External(Box::new(out_of_memory().with_cause(error))))
        })
    }
}

impl Stream for MeteredStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let _guard = self.stop.as_ref().map(heed);
        match self.role {
            Role::Around => self.poll_metered(cx),
            Role::Below => self.poll_piece(cx),
            Role::Cancellable => self.batches.poll_next_unpin(cx),
            Role::Kept => {
                let polled = ready!(self.batches.poll_next_unpin(cx));
                Poll::Ready(match polled {
                    Some(Ok(batch)) => Some(proceed().and_then(|()| self.keep(&batch)).map(|()| batch)),
                    ended => ended,
                })
            }
        }
    }
}

impl RecordBatchStream for MeteredStream {
    fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.batches.schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use futures::FutureExt;

    fn run(pool: &Arc<dyn MemoryPool>) -> Entered {
        enter(Some(Meter::Run(Making::new(MemoryConsumer::new("test").register(pool), Made::default()))))
    }

    #[test]
    fn charges_go_to_the_innermost_and_are_given_back() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let outer = run(&pool);
        charge(60).unwrap();
        {
            let _inner = run(&pool);
            charge(40).unwrap();
            assert!(charge(1).is_err());
            assert_eq!(pool.reserved(), 100);
        }
        assert_eq!(pool.reserved(), 60);
        charge(40).unwrap();
        drop(outer);
        assert_eq!(pool.reserved(), 0);
        charge(CALL_BYTES_MAX).unwrap();
        assert!(charge(CALL_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn what_only_works_is_given_back() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let _run = run(&pool);
        charge(10).unwrap();
        for _ in 0..3 {
            let _row = Working::begin();
            work(50).unwrap();
            {
                let _inner = Working::begin();
                work(40).unwrap();
                assert!(work(1).is_err());
            }
            assert_eq!(pool.reserved(), 60);
        }
        assert_eq!(pool.reserved(), 10);
    }

    #[test]
    fn planning_is_bounded_over_all_its_polls_and_can_be_given_up() {
        let given_up = Arc::new(AtomicBool::new(false));
        let halves = async {
            let first = charge(PLANNED_BYTES_MAX / 2);
            tokio::task::yield_now().await;
            (first.is_ok(), charge(PLANNED_BYTES_MAX / 2).is_ok(), charge(1).is_ok())
        };
        let mut planning = Box::pin(Metered::new(halves, Arc::clone(&given_up)));
        assert!(planning.as_mut().now_or_never().is_none());
        charge(CALL_BYTES_MAX).unwrap();
        assert_eq!(planning.now_or_never(), Some((true, true, false)));
        given_up.store(true, Ordering::Relaxed);
        assert_eq!(Metered::new(async { charge(1).is_ok() }, given_up).now_or_never(), Some(false));
    }
}
