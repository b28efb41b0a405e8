//! How statements end before their result does: by a cancel or by a deadline, with the same words in every driver.

use crate::execution::ExecuteContext;
use querygate_types::{Error, ErrorCode};
use std::time::Instant;

/// The statement was cancelled (57014).
#[must_use]
pub fn canceled() -> Error {
    Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request")
}

/// The statement's time is over (57014).
#[must_use]
pub fn timed_out() -> Error {
    Error::new(ErrorCode::StatementTimeout, "canceling statement due to statement timeout")
}

/// Ends at the deadline; never without one.
pub async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

impl ExecuteContext {
    /// Ends when the statement must: with what to tell its reader.
    pub async fn over(&self) -> Error {
        tokio::select! {
            () = self.cancel.cancelled() => canceled(),
            () = until(self.deadline) => timed_out(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_cancel_and_a_deadline_are_told_apart() {
        let context = ExecuteContext::default();
        context.cancel.cancel();
        assert_eq!(context.over().await.code(), ErrorCode::QueryCanceled);
        let deadline = Some(Instant::now() + Duration::from_millis(1));
        let context = ExecuteContext { deadline, ..ExecuteContext::default() };
        assert_eq!(context.over().await.code(), ErrorCode::StatementTimeout);
        let context = ExecuteContext::default();
        assert!(tokio::time::timeout(Duration::from_millis(5), context.over()).await.is_err());
    }
}
