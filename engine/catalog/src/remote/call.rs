//! A run of a whole statement at its source, with no plan around it. What it is was translated, rendered and verified before; here
//! are only its values.

use super::exec::{CompiledFragment, heard, shape};
use crate::metrics::{FragmentRun, FragmentRuns};
use futures::{StreamExt, TryStreamExt, stream};
use querygate_driver_api::execution::{Answer, Ask, BatchStream, ExecuteContext, LookUp, Room};
use querygate_resources::Holder;
use querygate_types::Result;
use std::sync::Arc;

/// A statement with its values, ready to be run once.
#[derive(Debug)]
pub struct FragmentCall {
    compiled: CompiledFragment,
    looks_up: LookUp<()>,
}

impl FragmentCall {
    pub(crate) fn new(compiled: CompiledFragment, looks_up: LookUp<()>) -> Self {
        Self { compiled, looks_up }
    }

    /// The source that runs it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.compiled.source
    }

    /// Runs it where the source can do so beside others, and waits for all its rows, which are few. Declined: it is to be
    /// started. `runs`: where it is measured.
    ///
    /// # Errors
    /// What the source says, in our codes.
    pub async fn look_up(&self, runs: Option<&Arc<FragmentRuns>>) -> Result<LookUp<BatchStream>> {
        if let Err(reason) = self.looks_up {
            return Ok(Err(reason));
        }
        let compiled = &self.compiled;
        let run = runs.map(|runs| compiled.run(Arc::clone(runs), false));
        let batch = match compiled.driver.run(&compiled.statement, &compiled.values, Ask::LookUp).await {
            Ok(Answer::Batch(batch)) => shape(&batch, &compiled.columns, &compiled.schema),
            Ok(Answer::Declined(reason)) => return Ok(Err(reason)),
            Ok(answer @ (Answer::Batches(_) | Answer::WireRows(_))) => Err(answer.unexpected()),
            Err(error) => Err(heard(compiled, error)),
        };
        let batch = FragmentRun::over(run, batch, FragmentRun::batch)?;
        // As a source gives it that has no row.
        Ok(Ok(stream::iter((batch.num_rows() > 0).then_some(Ok(batch))).boxed()))
    }

    /// Whether the source can be given the values with equal results.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.compiled.driver.accepts(&self.compiled.statement, &self.compiled.values).is_ok()
    }

    /// Its batches; the source is asked when the first is. `holder`: whose connection it is; `room`: who pays for what the
    /// source has said beside its batches. Dropping the stream ends the source's own query.
    #[must_use]
    pub fn start(
        self,
        holder: Option<Arc<Holder>>,
        runs: Option<Arc<FragmentRuns>>,
        room: Arc<dyn Room>,
    ) -> BatchStream {
        let compiled = self.compiled;
        let context = ExecuteContext { room: Some(room), ..ExecuteContext::default() };
        let started = async move {
            let run = runs.map(|runs| compiled.run(runs, false));
            FragmentRun::begun(run, compiled.start(context, holder.as_ref()).await)
        };
        stream::once(started).try_flatten().boxed()
    }
}
