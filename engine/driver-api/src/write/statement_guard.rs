//! Waits for the statements of a transaction, and has the server stop one that must end before its answer comes. Knows no server: how one
//! is asked, and what it says then, is the driver's.

use crate::execution::ExecuteContext;
use crate::execution::ending::canceled;
use async_trait::async_trait;
use querygate_types::Result;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// How long a stopped statement has to end; then its connection is closed.
pub const STOP_TIME: Duration = Duration::from_secs(1);

/// How the server is asked to stop what it does for one connection.
#[async_trait]
pub trait ServerStop: Clone + Send + Sync + 'static {
    /// The error of a statement that failed.
    type Failure: Send;

    /// Asks the server to stop the statement. Nothing is known of it when this returns.
    async fn stop(&self);

    /// Ends what the server still does for a connection that nothing waits for any more. It would look for its client only later, and
    /// hold its locks until then.
    async fn abandon(&self) {
        self.stop().await;
    }

    /// Whether a statement failed because it was stopped.
    fn is_stopped(failure: &Self::Failure) -> bool;
}

/// The statement that a transaction waits for. Dropped while one runs, it has the server stop it.
pub struct StatementGuard<S: ServerStop> {
    server: S,
    /// Whether a statement was sent whose end is not known.
    pub is_running: bool,
    /// Whether the transaction still is what the statements before made it, so that it can go back to a savepoint.
    pub keeps_savepoints: bool,
}

impl<S: ServerStop> StatementGuard<S> {
    /// Of a connection on which nothing runs.
    pub const fn new(server: S) -> Self {
        Self { server, is_running: false, keeps_savepoints: true }
    }

    /// How its server is asked.
    pub const fn server(&self) -> &S {
        &self.server
    }

    /// Waits for an answer, or stops the statement when it must end.
    ///
    /// # Errors
    /// 57014: it was cancelled, or its time is over.
    pub async fn watch<T>(
        &mut self,
        context: &ExecuteContext,
        run: impl Future<Output = Result<T, S::Failure>>,
    ) -> Result<Result<T, S::Failure>> {
        if context.cancel.is_cancelled() {
            return Err(canceled());
        }
        self.is_running = true;
        let mut run = std::pin::pin!(run);
        let ran = tokio::select! {
            biased;
            ran = &mut run => ran,
            error = context.over() => {
                self.stop(async { run.await.map(drop) }).await;
                return Err(error);
            }
        };
        self.is_running = false;
        Ok(ran)
    }

    /// Asks the server to stop, and reads the statement to its end. Only one that says it was stopped leaves the connection as it was:
    /// a request that comes late would hit the next statement.
    pub async fn stop(&mut self, rest: impl Future<Output = Result<(), S::Failure>>) {
        self.server.stop().await;
        let ended = tokio::time::timeout(STOP_TIME, rest).await;
        let is_stopped = matches!(&ended, Ok(Err(failure)) if S::is_stopped(failure));
        self.keeps_savepoints &= is_stopped;
        self.is_running = !is_stopped;
    }
}

impl<S: ServerStop> fmt::Debug for StatementGuard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementGuard").field("is_running", &self.is_running).finish_non_exhaustive()
    }
}

impl<S: ServerStop> Drop for StatementGuard<S> {
    fn drop(&mut self) {
        if self.is_running
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let server = self.server.clone();
            runtime.spawn(async move { server.abandon().await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::ErrorCode;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;
    use tokio::sync::Notify;

    /// Counts what it is asked.
    #[derive(Clone, Default)]
    struct Server {
        stops: Arc<AtomicUsize>,
        abandons: Arc<AtomicUsize>,
        asked: Arc<Notify>,
    }

    #[derive(Debug, PartialEq)]
    enum Failure {
        Stopped,
        Other,
    }

    #[async_trait]
    impl ServerStop for Server {
        type Failure = Failure;

        async fn stop(&self) {
            self.stops.fetch_add(1, Ordering::SeqCst);
            self.asked.notify_one();
        }

        async fn abandon(&self) {
            self.abandons.fetch_add(1, Ordering::SeqCst);
            self.asked.notify_one();
        }

        fn is_stopped(failure: &Failure) -> bool {
            *failure == Failure::Stopped
        }
    }

    impl Server {
        /// How often it was asked to stop, and to end a connection.
        fn asked(&self) -> (usize, usize) {
            (self.stops.load(Ordering::SeqCst), self.abandons.load(Ordering::SeqCst))
        }

        /// A statement that ends in this way once the server was asked to stop it.
        async fn until_stopped(&self, ends: Result<(), Failure>) -> Result<(), Failure> {
            self.asked.notified().await;
            ends
        }
    }

    fn overdue() -> ExecuteContext {
        ExecuteContext { deadline: Some(Instant::now()), ..ExecuteContext::default() }
    }

    #[tokio::test]
    async fn an_answer_leaves_the_connection_as_it_was() {
        let mut guard = StatementGuard::new(Server::default());
        let context = ExecuteContext::default();
        assert_eq!(guard.watch(&context, async { Ok(7) }).await.unwrap(), Ok(7));
        assert_eq!(guard.watch::<()>(&context, async { Err(Failure::Other) }).await.unwrap(), Err(Failure::Other));
        assert!(!guard.is_running && guard.keeps_savepoints);
        assert_eq!(guard.server().asked(), (0, 0));
    }

    #[tokio::test]
    async fn a_cancelled_statement_is_not_sent() {
        let mut guard = StatementGuard::new(Server::default());
        let context = ExecuteContext::default();
        context.cancel.cancel();
        let error = guard.watch::<()>(&context, async { panic!("it was sent") }).await.unwrap_err();
        assert_eq!((error.code(), guard.is_running), (ErrorCode::QueryCanceled, false));
        assert_eq!(guard.server().asked(), (0, 0));
    }

    /// A request that came late would stop the statement after it, so only one that was seen to hit leaves the transaction usable.
    #[tokio::test]
    async fn a_stopped_statement_keeps_the_transaction_only_when_it_says_that_it_was_stopped() {
        for (ends, keeps) in [(Err(Failure::Stopped), true), (Err(Failure::Other), false), (Ok(()), false)] {
            let server = Server::default();
            let mut guard = StatementGuard::new(server.clone());
            let error = guard.watch(&overdue(), server.until_stopped(ends)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::StatementTimeout);
            assert_eq!((guard.keeps_savepoints, guard.is_running), (keeps, !keeps));
            assert_eq!(server.asked(), (1, 0));
        }
    }

    #[tokio::test]
    async fn a_lost_transaction_is_not_found_again() {
        let server = Server::default();
        let mut guard = StatementGuard::new(server.clone());
        guard.keeps_savepoints = false;
        let _ = guard.watch(&overdue(), server.until_stopped(Err(Failure::Stopped))).await;
        assert!(!guard.keeps_savepoints);
    }

    #[tokio::test]
    async fn what_is_dropped_while_it_runs_is_ended_at_the_server() {
        let server = Server::default();
        let mut guard = StatementGuard::new(server.clone());
        let context = ExecuteContext::default();
        let endless = guard.watch::<()>(&context, std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(5), endless).await.is_err());
        drop(guard);
        server.asked.notified().await;
        assert_eq!(server.asked(), (0, 1));
        drop(StatementGuard::new(server.clone()));
        tokio::task::yield_now().await;
        assert_eq!(server.asked(), (0, 1), "nothing ran on it");
    }
}
