//! A driver around a driver that remembers what it was asked to run and how many rows left the source. Knows no source.

use crate::driver::Driver;
use crate::execution::{Answer, Ask, BatchStream, DeclineReason, NativeStatement};
use crate::testkit::around::DriverAround;
use crate::value::Value;
use futures::StreamExt;
use futures::future::BoxFuture;
use querygate_types::{PlannerSetting, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One execution.
#[derive(Debug, Clone)]
pub struct Run {
    /// The native text, with numbered parameters.
    pub text: Arc<str>,
    /// Values that were bound.
    pub values: usize,
    /// The setting of the source's planner.
    pub setting: Option<PlannerSetting>,
    rows: Arc<AtomicUsize>,
}

impl Run {
    /// Rows that left the source so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}

/// What drivers ran since it was last taken.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    runs: Arc<Mutex<Vec<Run>>>,
    lies: Arc<AtomicBool>,
}

impl Watch {
    /// The driver, watched.
    #[must_use]
    pub fn over(&self, inner: Arc<dyn Driver>) -> Arc<dyn Driver> {
        Arc::new(WatchedDriver { inner, watch: self.clone() })
    }

    /// The executions, oldest first; forgets them.
    pub fn take(&self) -> Vec<Run> {
        std::mem::take(&mut self.runs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on, statements with a condition lose the first row of each batch: a source, or a translation, that is wrong.
    pub fn lie(&self) {
        self.lies.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct WatchedDriver {
    inner: Arc<dyn Driver>,
    watch: Watch,
}

impl DriverAround for WatchedDriver {
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
                Ask::Batches(context) => {
                    let run = self.begun(statement, values, context.setting);
                    let stream = self.inner.run(statement, values, Ask::Batches(context)).await?.batches()?;
                    Ok(Answer::Batches(self.watched(statement, stream, run)))
                }
                // Whatever is run is to be seen as batches.
                Ask::LookUp | Ask::WireRows(_) => Ok(Answer::Declined(DeclineReason::Unsupported)),
            }
        })
    }

    fn planner_settings(&self) -> &'static [PlannerSetting] {
        self.inner.planner_settings()
    }
}

impl WatchedDriver {
    fn begun(&self, statement: &NativeStatement, values: &[Value], setting: Option<PlannerSetting>) -> Run {
        let run = Run { text: Arc::clone(&statement.text), values: values.len(), setting, rows: Arc::default() };
        self.watch.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run.clone());
        run
    }

    fn watched(&self, statement: &NativeStatement, stream: BatchStream, run: Run) -> BatchStream {
        let lies = self.watch.lies.load(Ordering::Relaxed) && statement.text.contains("WHERE");
        let stream = stream.map(move |batch| {
            batch.map(|batch| if lies { batch.slice(1, batch.num_rows().saturating_sub(1)) } else { batch })
        });
        let counted = stream.inspect(move |batch| {
            if let Ok(batch) = batch {
                run.rows.fetch_add(batch.num_rows(), Ordering::Relaxed);
            }
        });
        counted.boxed()
    }
}
