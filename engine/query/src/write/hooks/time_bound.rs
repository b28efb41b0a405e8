//! Until when hooks of a statement may run.

use querygate_types::{Error, ErrorCode, Result};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Until when the statement may run.
#[derive(Clone, Default)]
pub(crate) struct TimeBound {
    pub(crate) cancel: CancellationToken,
    pub(crate) deadline: Option<Instant>,
}

impl TimeBound {
    /// # Errors
    /// 57014: it was cancelled, or its time is over.
    pub(crate) fn goes_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request"));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(Error::new(ErrorCode::StatementTimeout, "canceling statement due to statement timeout"));
        }
        Ok(())
    }

    /// One that ends at this time at the latest.
    pub(crate) fn before(&self, end: Option<Instant>) -> Self {
        let deadline = match (self.deadline, end) {
            (Some(own), Some(end)) => Some(own.min(end)),
            (own, end) => own.or(end),
        };
        Self { cancel: self.cancel.clone(), deadline }
    }

    /// Waits until that is so.
    pub(crate) async fn is_over(&self) {
        let late = async {
            match self.deadline {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = late => {}
        }
    }
}
