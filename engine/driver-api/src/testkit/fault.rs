//! A driver around a driver that fails on purpose, always in the same way for the same seed. Knows no source.

mod write;

use crate::driver::Driver;
use crate::execution::{Answer, Ask, BatchStream, DeclineReason, ExecuteContext, NativeStatement};
use crate::planning::check_setting;
use crate::testkit::Seeded;
use crate::testkit::around::DriverAround;
use crate::value::Value;
use crate::write::Writer;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything works.
    None,
    /// The connection cannot be made (08001).
    Refused,
    /// The connection is lost after this many batches (08006).
    LostAfter(usize),
    /// Nothing more comes after this many batches, until cancel or deadline (57014).
    StalledAfter(usize),
    /// Batches are cut to one row each.
    ShortBatches,
    /// The connection is lost before a commit reaches the source (08007).
    LostBeforeCommit,
    /// The connection is lost after a commit, before its answer (08007).
    LostAfterCommit,
    /// The connection is lost before a transaction is prepared.
    LostAtPrepare,
    /// The connection is lost after a transaction was prepared, before the answer.
    LostAfterPrepare,
}

/// A driver that fails.
#[derive(Debug)]
pub struct FaultyDriver {
    inner: Arc<dyn Driver>,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    Always(Fault),
    Seeded(Mutex<Seeded>),
}

impl FaultyDriver {
    /// Every execution fails in this way.
    #[must_use]
    pub fn always(inner: Arc<dyn Driver>, fault: Fault) -> Self {
        Self { inner, plan: Plan::Always(fault) }
    }

    /// Executions fail in an order that the seed decides; half of them do not fail.
    #[must_use]
    pub fn seeded(inner: Arc<dyn Driver>, seed: u64) -> Self {
        Self { inner, plan: Plan::Seeded(Mutex::new(Seeded::new(seed))) }
    }

    async fn failing(
        &self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<BatchStream> {
        check_setting(self, context.setting)?;
        let fault = self.next();
        if fault == Fault::Refused {
            return Err(Error::new(ErrorCode::SourceUnavailable, "source cannot be reached"));
        }
        let stream = self.inner.run(statement, values, Ask::Batches(context.clone())).await?.batches()?;
        Ok(match fault {
            Fault::None
            | Fault::Refused
            | Fault::LostBeforeCommit
            | Fault::LostAfterCommit
            | Fault::LostAtPrepare
            | Fault::LostAfterPrepare => stream,
            Fault::LostAfter(batches) => {
                let lost = stream::once(async { Err(Error::new(ErrorCode::SourceLost, "source connection was lost")) });
                stream.take(batches).chain(lost).boxed()
            }
            Fault::StalledAfter(batches) => stream.take(batches).chain(stream::once(stall(context))).boxed(),
            Fault::ShortBatches => stream
                .flat_map(|batch| match batch {
                    Ok(batch) => stream::iter((0..batch.num_rows()).map(move |row| Ok(batch.slice(row, 1)))).boxed(),
                    Err(error) => stream::once(async { Err(error) }).boxed(),
                })
                .boxed(),
        })
    }

    fn next(&self) -> Fault {
        match &self.plan {
            Plan::Always(fault) => *fault,
            Plan::Seeded(seeded) => {
                let mut seeded = seeded.lock().unwrap_or_else(PoisonError::into_inner);
                match seeded.below(8) {
                    0 => Fault::Refused,
                    1 => Fault::LostAfter(seeded.below(3)),
                    2 => Fault::StalledAfter(seeded.below(3)),
                    3 => Fault::ShortBatches,
                    _ => Fault::None,
                }
            }
        }
    }
}

impl DriverAround for FaultyDriver {
    fn inner(&self) -> &dyn Driver {
        self.inner.as_ref()
    }

    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            match ask {
                Ask::Batches(context) => self.failing(statement, values, context).await.map(Answer::Batches),
                Ask::LookUp | Ask::WireRows(_) => Ok(Answer::Declined(DeclineReason::Unsupported)),
            }
        })
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.inner.writer().is_some().then_some(self)
    }
}

async fn stall(context: ExecuteContext) -> Result<arrow::array::RecordBatch> {
    let over = async {
        match context.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    let code = tokio::select! {
        () = context.cancel.cancelled() => ErrorCode::QueryCanceled,
        () = over => ErrorCode::StatementTimeout,
    };
    Err(Error::new(code, "canceling statement"))
}
