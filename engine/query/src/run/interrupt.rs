//! What ends a statement's work early: a cancel request or a deadline. Statements wait for either of them here; drivers, and tasks that
//! change rows in a source, through `querygate_driver_api::execution`.

use futures::future::poll_fn;
use querygate_resources::Stop;
use querygate_types::{Error, ErrorCode, Result};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What ends work early.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    cancel: CancellationToken,
    /// `None`: it may take any time.
    deadline: Option<Instant>,
}

impl Interrupt {
    pub(crate) fn new(cancel: CancellationToken, deadline: Option<Instant>) -> Self {
        Self { cancel, deadline }
    }

    /// This cancel request with another deadline.
    pub(crate) fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// One that ends with this one, and whose token can be cancelled alone.
    pub(crate) fn child(&self) -> Self {
        Self { cancel: self.cancel.child_token(), deadline: self.deadline }
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether its work has to have ended by this time.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.cancel.is_cancelled() || self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// In the form that operators of a plan ask.
    pub(crate) fn stop(&self) -> Arc<Stop> {
        Stop::new(self.cancel.clone(), self.deadline)
    }

    /// Waits for work until it has to end.
    ///
    /// # Errors
    /// 57014: it was cancelled, or took too long. Else the work's own.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(canceled()),
            () = expired(self.deadline) => Err(timed_out()),
            done = work => done,
        }
    }
}

/// How often the look-ups of a session were to be cancelled.
#[derive(Debug, Default)]
pub(crate) struct LookUpCancels(AtomicU64);

impl LookUpCancels {
    /// Ends those that run.
    pub(crate) fn request(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// For a look-up that begins now: no request before it ends it.
    pub(crate) fn interrupt(&self, deadline: Option<Instant>) -> LookUpInterrupt<'_> {
        LookUpInterrupt { cancels: &self.0, before: self.0.load(Ordering::Acquire), deadline }
    }
}

/// What ends a look-up early.
#[derive(Debug)]
pub(crate) struct LookUpInterrupt<'a> {
    cancels: &'a AtomicU64,
    /// Requests before it began.
    before: u64,
    deadline: Option<Instant>,
}

impl LookUpInterrupt<'_> {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancels.load(Ordering::Acquire) != self.before
    }

    /// Waits for work that its caller polls after each cancel request: registers no waker, which would cost a look-up some hundred
    /// instructions.
    ///
    /// # Errors
    /// As of [`Interrupt::within`].
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut timer = self.deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.is_cancelled() {
                return Poll::Ready(Err(canceled()));
            }
            if timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Err(timed_out()));
            }
            work.as_mut().poll(context)
        })
        .await
    }
}

async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn canceled() -> Error {
    Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request")
}

fn timed_out() -> Error {
    Error::new(ErrorCode::StatementTimeout, "canceling statement due to statement timeout")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn never() -> Result<()> {
        std::future::pending().await
    }

    #[tokio::test]
    async fn work_ends_at_its_deadline_or_by_a_cancel_and_else_as_it_does() {
        let soon = Some(Instant::now() + Duration::from_millis(30));
        let late = Interrupt::new(CancellationToken::new(), soon);
        assert_eq!(late.within(never()).await.unwrap_err().code(), ErrorCode::StatementTimeout);
        let free = Interrupt::new(CancellationToken::new(), None);
        assert_eq!(free.within(async { Ok(1) }).await.unwrap(), 1);
        let child = free.child();
        free.token().cancel();
        assert_eq!(free.within(never()).await.unwrap_err().code(), ErrorCode::QueryCanceled);
        assert_eq!(child.within(never()).await.unwrap_err().code(), ErrorCode::QueryCanceled, "a child ends with it");
    }

    #[tokio::test]
    async fn a_look_up_ends_at_its_deadline_or_by_a_cancel_after_its_beginning() {
        let cancels = LookUpCancels::default();
        let soon = Some(Instant::now() + Duration::from_millis(30));
        assert_eq!(cancels.interrupt(soon).within(never()).await.unwrap_err().code(), ErrorCode::StatementTimeout);
        let running = cancels.interrupt(None);
        assert_eq!(running.within(async { Ok(1) }).await.unwrap(), 1);
        cancels.request();
        assert_eq!(running.within(never()).await.unwrap_err().code(), ErrorCode::QueryCanceled);
        assert_eq!(cancels.interrupt(None).within(async { Ok(1) }).await.unwrap(), 1, "it came before");
    }

    #[tokio::test]
    async fn a_child_that_is_cancelled_ends_nothing_else() {
        let interrupt = Interrupt::new(CancellationToken::new(), None);
        interrupt.child().token().cancel();
        assert!(interrupt.within(async { Ok(()) }).await.is_ok());
    }
}
