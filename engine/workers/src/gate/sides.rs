//! The small sides of joins that workers make: run here once, and sent along with each part.

use super::pool::SideRows;
use crate::part::{SIDES_BYTES_MAX, SideWriter};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt};
use querygate_types::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What came of running them, for each stream that waits. `None`: they are too large to travel.
type Outcome = std::result::Result<Option<SideRows>, Arc<DataFusionError>>;

/// The sides of the joins of one stage.
pub(super) struct Sides {
    plans: Vec<Arc<dyn ExecutionPlan>>,
    /// Asked for by the first stream; each waits for the same.
    run: Mutex<Option<Shared<BoxFuture<'static, Outcome>>>>,
}

impl fmt::Debug for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sides").field("plans", &self.plans).finish_non_exhaustive()
    }
}

impl Sides {
    /// Plans of one stream each.
    pub(super) fn new(plans: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        Self { plans, run: Mutex::new(None) }
    }

    pub(super) async fn rows(&self, context: &Arc<TaskContext>) -> Result<Option<SideRows>> {
        let run = {
            let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
            let (plans, context) = (self.plans.clone(), Arc::clone(context));
            run.get_or_insert_with(|| run_all(plans, context).map(|ran| ran.map_err(Arc::new)).boxed().shared()).clone()
        };
        run.await.map_err(DataFusionError::Shared)
    }
}

async fn run_all(plans: Vec<Arc<dyn ExecutionPlan>>, context: Arc<TaskContext>) -> Result<Option<SideRows>> {
    let room = MemoryConsumer::new("rows that workers join").register(context.memory_pool());
    let (mut all, mut left) = (Vec::with_capacity(plans.len()), SIDES_BYTES_MAX);
    for plan in plans {
        let Some(bytes) = run_one(&plan, &context, left, &room).await? else { return Ok(None) };
        left = left.saturating_sub(bytes.len());
        all.push(Arc::new(bytes));
    }
    Ok(Some(SideRows::new(all.into(), room)))
}

async fn run_one(
    plan: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    most: usize,
    room: &MemoryReservation,
) -> Result<Option<Vec<u8>>> {
    let schema = plan.schema();
    let mut writer = SideWriter::new(&schema).map_err(outside)?;
    let (mut batches, mut before) = (plan.execute(0, Arc::clone(context))?, 0);
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)?;
        let bytes = writer.add(batch, most).map_err(outside)?;
        if bytes > most {
            return Ok(None);
        }
        room.try_grow(bytes.saturating_sub(before))?;
        before = bytes;
    }
    writer.bytes().map(Some).map_err(outside)
}

fn outside(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
