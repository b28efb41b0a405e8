//! Tasks that work for a statement.

use super::ledger::{self, Ledger};
use super::silence;
use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::future::BoxFuture;
use querygate_types::Result;
use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A statement's work, each step of which is counted. Once the statement was refused memory it makes no further step, or ends by itself.
pub struct StatementWork<F> {
    work: Pin<Box<F>>,
    ledger: Arc<Ledger>,
    /// It goes on to its end when its token is cancelled: what it left half done would stay so.
    ends_itself: bool,
}

impl<F: Future> StatementWork<F> {
    /// Work for this statement.
    pub fn new(ledger: &Arc<Ledger>, work: F) -> Self {
        Self { work: Box::pin(work), ledger: Arc::clone(ledger), ends_itself: false }
    }

    /// Work that ends by itself once the statement was refused memory, and undoes what it did.
    pub fn ending_itself(ledger: &Arc<Ledger>, work: F) -> Self {
        Self { ends_itself: true, ..Self::new(ledger, work) }
    }
}

impl<F: Future> Future for StatementWork<F> {
    type Output = Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<F::Output>> {
        let ledger = Arc::clone(&self.ledger);
        let polled = {
            let _work = ledger::begin(&ledger);
            self.work.as_mut().poll(cx)
        };
        match (polled, ledger.settle()) {
            (Poll::Ready(_), Err(refused)) if self.ends_itself => Poll::Ready(Err(refused)),
            (Poll::Ready(done), _) => Poll::Ready(Ok(done)),
            (Poll::Pending, Ok(())) => Poll::Pending,
            (Poll::Pending, Err(_)) if self.ends_itself => Poll::Pending,
            (Poll::Pending, Err(refused)) => Poll::Ready(Err(refused)),
        }
    }
}

/// Counts what the engine's own tasks do as work of the statement that began them.
#[derive(Debug)]
struct SpawnedTasks;

/// From now on tasks that the engine begins for its operators work for the statement that they are of.
pub fn follow_spawned_tasks() {
    silence::watch();
    // An engine that was made before set the same tracer.
    drop(set_join_set_tracer(&SpawnedTasks));
}

impl JoinSetTracer for SpawnedTasks {
    fn trace_future(&self, work: BoxFuture<'static, Box<dyn Any + Send>>) -> BoxFuture<'static, Box<dyn Any + Send>> {
        let Some(ledger) = ledger::current() else { return work };
        Box::pin(async move {
            match StatementWork::new(&ledger, work).await {
                Ok(done) => done,
                // The statement ends, and this task with it.
                Err(_refused) => std::future::pending().await,
            }
        })
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        let Some(ledger) = ledger::current() else { return work };
        Box::new(move || {
            let _work = ledger::begin(&ledger);
            work()
        })
    }
}
