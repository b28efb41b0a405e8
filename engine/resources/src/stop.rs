//! Whether a statement is over, for expressions that compute long without waiting: they ask between rows. Knows no expression.
//!
//! As with memory (`charge.rs`), there is no place to hand it through: it is a variable of the thread, set around each poll of
//! an operator whose expressions ask.

use crate::measured;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use querygate_driver_api::execution::ending::{canceled, timed_out};
use querygate_types::Error;
use std::cell::RefCell;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

thread_local! {
    static STOP: RefCell<Option<Arc<Stop>>> = const { RefCell::new(None) };
}

/// When a statement is over. In the engine's configuration.
#[derive(Debug)]
pub struct Stop {
    cancel: CancellationToken,
    deadline: Option<Instant>,
}

impl Stop {
    #[must_use]
    pub fn new(cancel: CancellationToken, deadline: Option<Instant>) -> Arc<Self> {
        Arc::new(Self { cancel, deadline })
    }

    fn reached(&self) -> Option<Error> {
        if self.cancel.is_cancelled() {
            return Some(canceled());
        }
        self.deadline.is_some_and(|at| Instant::now() >= at).then(timed_out)
    }
}

/// What was heeded before; heeded again when this is dropped.
pub(crate) struct StopGuard(Option<Arc<Stop>>);

/// Expressions of this thread ask this one from now on.
pub(crate) fn heed(stop: &Arc<Stop>) -> StopGuard {
    StopGuard(STOP.replace(Some(Arc::clone(stop))))
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        STOP.set(self.0.take());
    }
}

/// Goes on, unless the statement is over or holds more memory than it may. To be asked every few milliseconds of work.
///
/// # Errors
/// 57014: it was cancelled, its time is up, or planning was given up. 53200: it holds too much.
pub fn proceed() -> Result<()> {
    let over = measured::ask().err().or_else(|| STOP.with_borrow(|stop| stop.as_ref().and_then(|stop| stop.reached())));
    match over {
        Some(error) => Err(DataFusionError::External(Box::new(error))),
        None => crate::charge::planning_goes_on(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_asks_hears_of_the_innermost_statement() {
        let token = CancellationToken::new();
        let (outer, late) = (Stop::new(token.clone(), None), Stop::new(CancellationToken::new(), Some(Instant::now())));
        proceed().unwrap();
        let guard = heed(&outer);
        proceed().unwrap();
        {
            let _inner = heed(&late);
            assert!(proceed().unwrap_err().to_string().contains("timeout"));
        }
        proceed().unwrap();
        token.cancel();
        assert!(proceed().unwrap_err().to_string().contains("user request"));
        drop(guard);
        proceed().unwrap();
    }
}
