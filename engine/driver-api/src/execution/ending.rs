//! How statements end before their result does: by a cancel or by a deadline, with the same words in every driver.

use crate::execution::{BatchStream, ExecuteContext};
use arrow::array::RecordBatch;
use futures::TryStreamExt;
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

    /// The next rows that are to be loaded, as long as the statement is not over.
    ///
    /// # Errors
    /// What their giver says; as [`ExecuteContext::over`].
    pub async fn next_of(&self, rows: &mut BatchStream) -> Result<Option<RecordBatch>, Error> {
        tokio::select! {
            biased;
            next = rows.try_next() => next,
            error = self.over() => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use futures::{StreamExt, stream};
    use std::sync::Arc;
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

    #[tokio::test]
    async fn rows_are_waited_for_until_the_statement_is_over() {
        let context = ExecuteContext::default();
        let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let mut rows: BatchStream = stream::iter([Ok(empty)]).chain(stream::pending()).boxed();
        assert!(context.next_of(&mut rows).await.unwrap().is_some());
        context.cancel.cancel();
        assert_eq!(context.next_of(&mut rows).await.unwrap_err().code(), ErrorCode::QueryCanceled);
        let mut none: BatchStream = stream::empty().boxed();
        assert!(context.next_of(&mut none).await.unwrap().is_none(), "what is there comes first");
    }
}
