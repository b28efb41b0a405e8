//! Bytes that expressions make while a statement is planned or a batch computed: charged to the statement's memory before they are
//! made, by the functions whose results may be longer than what they were given. Knows no function.
//!
//! An expression is computed in one go on one thread, without a place to hand a pool through: what to charge is a variable of
//! the thread, set around each poll of an operator or of planning, and as it was before afterwards.

use crate::memory::{self, Owner};
use crate::pace::Made;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use querygate_driver_api::execution::ending::canceled;
use querygate_types::{Error, ErrorCode};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Bytes of constants that planning makes at most; what would need more is left to the run.
const PLANNED_BYTES_MAX: usize = 32 << 20;
/// Of a statement's memory, the part that these constants may take: what is made of one is as large, and grows by doubling.
const PLANNED_PART: usize = 8;
/// Bytes that one call needs while a plan is made: a long literal of JSON is read.
const PLANNING_WORK_MAX: usize = 64 << 20;
/// Bytes that one call may make outside of a statement.
const CALL_BYTES_MAX: usize = 256 << 20;
/// Charges below this are not worth one: a caller that makes many small results adds them up.
pub const CHARGE_LEAST: usize = 64 << 10;

thread_local! {
    static METER: RefCell<Option<Meter>> = const { RefCell::new(None) };
    /// What was charged with [`work`] since the innermost [`Working`] began.
    static WORK: Cell<usize> = const { Cell::new(0) };
}

/// What is charged.
pub(crate) enum Meter {
    /// A batch, until it is made.
    Run(Making),
    Planning(Planning),
}

/// What is made of a batch.
pub(crate) struct Making {
    reservation: MemoryReservation,
    /// What is known of the last batch, which was given back already.
    last: Made,
}

impl Making {
    pub(crate) fn new(reservation: MemoryReservation, last: Made) -> Self {
        Self { reservation, last }
    }

    pub(crate) fn made(&self) -> Made {
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
pub(crate) struct Planning {
    left: usize,
    given_up: Arc<AtomicBool>,
}

/// Charges bytes that an expression is about to make.
///
/// # Errors
/// 53200: the statement may not have them. 57014: planning was given up.
pub fn charge(bytes: usize) -> Result<()> {
    let charged = METER.with_borrow_mut(|meter| match meter {
        None if bytes > CALL_BYTES_MAX => Err(out_of_memory()),
        None => Ok(()),
        Some(Meter::Run(making)) => making.reservation.try_grow(bytes).map_err(|error| not_charged(&error)),
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

/// Goes on, unless the caller of what is planned on this thread has given up.
///
/// # Errors
/// 57014: planning was given up.
pub(crate) fn planning_goes_on() -> Result<()> {
    let given_up = METER.with_borrow(|meter| match meter {
        Some(Meter::Planning(planning)) => planning.given_up.load(Ordering::Relaxed),
        Some(Meter::Run(_)) | None => false,
    });
    if given_up { Err(DataFusionError::External(Box::new(canceled()))) } else { Ok(()) }
}

/// Why an account was not charged with what an expression makes. Where it is the user's or the gate's, what is kept beside is in the way.
pub(crate) fn not_charged(error: &DataFusionError) -> Error {
    let text = error.to_string();
    let is_of_others = [Owner::User, Owner::Gate].into_iter().any(|owner| text.contains(owner.mark()));
    if is_of_others { memory::out_of_memory(&text) } else { out_of_memory().with_cause(text) }
}

pub(crate) fn out_of_memory() -> Error {
    Error::new(ErrorCode::OutOfMemory, "out of memory").with_hint("Make shorter texts and lists, or fewer of them.")
}

/// Ends what the batch so far is charged with, and gives what was made of it; `None` while no batch is made.
pub(crate) fn begin_batch() -> Option<Made> {
    METER.with_borrow_mut(|meter| match meter {
        Some(Meter::Run(making)) => Some(making.begin()),
        Some(Meter::Planning(_)) | None => None,
    })
}

/// What was charged before; charged again when this is dropped.
pub(crate) struct Entered(Option<Meter>);

pub(crate) fn enter(meter: Option<Meter>) -> Entered {
    Entered(METER.replace(meter))
}

impl Entered {
    /// Ends it, and gives the meter back as it stands.
    pub(crate) fn leave(mut self) -> Option<Meter> {
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

/// Planning, whose constants are bounded in bytes, and which ends when its caller has given up.
pub struct Metered<F> {
    work: Pin<Box<F>>,
    left: usize,
    given_up: Arc<AtomicBool>,
}

impl<F: Future> Metered<F> {
    /// `given_up`: whether the caller has given up. `memory`: bytes that the statement may have.
    pub fn new(work: F, given_up: Arc<AtomicBool>, memory: usize) -> Self {
        Self { work: Box::pin(work), left: PLANNED_BYTES_MAX.min(memory / PLANNED_PART), given_up }
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

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
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
        let mut planning = Box::pin(Metered::new(halves, Arc::clone(&given_up), usize::MAX));
        assert!(planning.as_mut().now_or_never().is_none());
        charge(CALL_BYTES_MAX).unwrap();
        assert_eq!(planning.now_or_never(), Some((true, true, false)));
        given_up.store(true, Ordering::Relaxed);
        assert_eq!(Metered::new(async { charge(1).is_ok() }, given_up, usize::MAX).now_or_never(), Some(false));
    }
}
