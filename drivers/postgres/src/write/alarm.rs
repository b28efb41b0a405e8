//! What stops statements of a transaction that must end before their answers come.

use crate::connect::pool::{Lease, Pool};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::execution::ending::canceled;
use querygate_types::Result;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::CancelToken;
use tokio_postgres::error::SqlState;

/// How long a cancelled statement has to end; then its connection is closed.
pub(super) const REST: Duration = Duration::from_secs(1);

pub(super) type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// Stops what the server still does for a transaction that was dropped in the middle of a statement: it would look for its client
/// only later, and hold its locks until then.
pub(super) struct Alarm {
    pub(super) pool: Arc<Pool>,
    token: CancelToken,
    pub(super) is_running: bool,
    pub(super) keeps_savepoints: bool,
}

impl Alarm {
    pub(super) fn of(lease: &Lease, pool: &Arc<Pool>) -> Self {
        let token = lease.connection.client.cancel_token();
        Self { pool: Arc::clone(pool), token, is_running: false, keeps_savepoints: true }
    }

    /// Waits for an answer, or stops the statement when it must end.
    pub(super) async fn watch<T>(
        &mut self,
        context: &ExecuteContext,
        run: impl Future<Output = Answer<T>>,
    ) -> Result<Answer<T>> {
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

    /// Asks the server to stop, and hears the statement to its end. Only one that says it was cancelled leaves the connection as it
    /// was: a cancel that comes late would hit the next statement.
    pub(super) async fn stop(&mut self, rest: impl Future<Output = Answer<()>>) {
        self.pool.connector().cancel(self.token.clone()).await;
        let ended = tokio::time::timeout(REST, rest).await;
        let stopped = matches!(ended, Ok(Err(error)) if error.code() == Some(&SqlState::QUERY_CANCELED));
        self.keeps_savepoints &= stopped;
        self.is_running = !stopped;
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("is_running", &self.is_running).finish_non_exhaustive()
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.is_running
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (pool, token) = (Arc::clone(&self.pool), self.token.clone());
            runtime.spawn(async move { pool.connector().cancel(token).await });
        }
    }
}
