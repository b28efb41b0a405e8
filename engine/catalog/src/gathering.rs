//! An operator that deals rows out gathers them into larger batches by rows, not by bytes, and says nothing of them to the statement's
//! memory: long rows in small batches would wait in it by the thousand. Where whole batches are dealt out, nothing is gathered: the
//! operator leaves that for inputs without an end, and gets this plan as one. Elsewhere what goes in is charged here until it comes
//! out. Knows no operator: as many rows as go in come out of it.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};
use querygate_resources::bytes::{batch_bytes, compact};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};

/// Bytes of buffers beside its rows that a batch may keep.
const SLACK_BYTES: usize = 64 << 10;

type Both = Arc<Mutex<Weak<Mutex<Inside>>>>;
type Shared = Option<Both>;

/// What both sides of each operator of a kept plan share, and what they share in the run that it is renewed for.
#[derive(Debug, Default)]
pub struct RenewedSides(Vec<(Both, Both)>);

/// A node on one side of such an operator.
#[derive(Debug, Clone)]
pub struct GatheringExec {
    input: Arc<dyn ExecutionPlan>,
    side: Side,
    /// What is inside in the run that is going on, for both sides. `None`: nothing is gathered.
    inside: Shared,
    properties: Arc<PlanProperties>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
}

/// Rows inside of the operator.
#[derive(Debug)]
struct Inside {
    charge: MemoryReservation,
    rows: usize,
    /// A reader stopped before its end: rows are lost, and how many is unknown.
    left: bool,
}

impl Inside {
    fn entered(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.left {
            return Ok(());
        }
        self.charge.try_grow(usize::try_from(batch_bytes(batch)).unwrap_or(usize::MAX))?;
        self.rows = self.rows.saturating_add(batch.num_rows());
        Ok(())
    }

    /// Gives back the charge of `rows` rows out of all that are inside.
    fn came_out(&mut self, rows: usize) {
        let bytes = self.charge.size();
        let share = match u128::try_from(self.rows) {
            Ok(all) if rows < self.rows => bytes as u128 * rows as u128 / all,
            _ => bytes as u128,
        };
        self.charge.shrink(usize::try_from(share).unwrap_or(bytes).min(bytes));
        self.rows = self.rows.saturating_sub(rows);
    }

    fn leave(&mut self) {
        self.left = true;
        self.rows = 0;
        self.charge.free();
    }
}

impl GatheringExec {
    /// Puts an operator between both sides, which charge what it gathers.
    ///
    /// # Errors
    /// Internal only.
    pub fn charged(operator: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Self::around(operator, Some(Arc::new(Mutex::new(Weak::new()))))
    }

    /// Keeps an operator from gathering batches.
    ///
    /// # Errors
    /// Internal only.
    pub fn prevented(operator: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Self::around(operator, None)
    }

    fn around(operator: Arc<dyn ExecutionPlan>, inside: Shared) -> Result<Arc<dyn ExecutionPlan>> {
        let properties = Arc::clone(operator.properties());
        let inputs = operator
            .children()
            .into_iter()
            .map(|input| -> Arc<dyn ExecutionPlan> { Arc::new(Self::before(Arc::clone(input), inside.clone())) });
        let inputs = inputs.collect();
        let operator =
            operator.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?;
        Ok(Arc::new(Self { input: operator, side: Side::Out, inside, properties }))
    }

    fn before(input: Arc<dyn ExecutionPlan>, inside: Shared) -> Self {
        let properties = match inside {
            Some(_) => Arc::clone(input.properties()),
            None => {
                let endless = Boundedness::Unbounded { requires_infinite_memory: false };
                Arc::new(input.properties().as_ref().clone().with_boundedness(endless))
            }
        };
        Self { input, side: Side::In, inside, properties }
    }

    /// This node for another run of its plan. `known`: what both sides of an operator share there, by what they share in this plan;
    /// the same for all nodes of one plan.
    #[must_use]
    pub fn renewed(&self, input: Arc<dyn ExecutionPlan>, known: &mut RenewedSides) -> Self {
        let inside = self.inside.as_ref().map(|inside| {
            let found = known.0.iter().find(|(kept, _)| Arc::ptr_eq(kept, inside)).map(|(_, fresh)| Arc::clone(fresh));
            found.unwrap_or_else(|| {
                let fresh = Arc::new(Mutex::new(Weak::new()));
                known.0.push((Arc::clone(inside), Arc::clone(&fresh)));
                fresh
            })
        });
        Self { input, inside, ..self.clone() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        match self.side {
            Side::In => Self::before(input, self.inside.clone()),
            Side::Out => Self { input, ..self.clone() },
        }
    }

    /// What all streams of one run share.
    fn opened(&self, context: &TaskContext) -> Option<Arc<Mutex<Inside>>> {
        let mut known = self.inside.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inside) = known.upgrade() {
            return Some(inside);
        }
        let charge = MemoryConsumer::new("rows that are gathered").register(context.memory_pool());
        let inside = Arc::new(Mutex::new(Inside { charge, rows: 0, left: false }));
        *known = Arc::downgrade(&inside);
        Some(inside)
    }
}

impl DisplayAs for GatheringExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatheringExec")
    }
}

impl ExecutionPlan for GatheringExec {
    crate::one_input!(with_input);

    fn name(&self) -> &'static str {
        "GatheringExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.opened(&context) {
            None => self.input.execute(partition, context),
            Some(inside) => {
                let batches = self.input.execute(partition, context)?;
                Ok(Box::pin(Gathering { batches, side: self.side, inside, ended: false }))
            }
        }
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

struct Gathering {
    batches: SendableRecordBatchStream,
    side: Side,
    inside: Arc<Mutex<Inside>>,
    ended: bool,
}

impl Stream for Gathering {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = ready!(self.batches.poll_next_unpin(cx));
        let side = self.side;
        let polled = match side {
            // What waits inside is charged, and spilled, by all that its buffers hold.
            Side::In => polled.map(|batch| Ok(compact(batch?, SLACK_BYTES)?.batch)),
            Side::Out => polled,
        };
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = match polled {
            Some(Ok(batch)) => match side {
                Side::In => Some(inside.entered(&batch).map(|()| batch)),
                Side::Out => {
                    inside.came_out(batch.num_rows());
                    Some(Ok(batch))
                }
            },
            other => other,
        };
        drop(inside);
        self.ended |= passed.is_none();
        Poll::Ready(passed)
    }
}

impl RecordBatchStream for Gathering {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        if self.side == Side::Out && !self.ended {
            self.inside.lock().unwrap_or_else(PoisonError::into_inner).leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{StringArray, StringViewArray};
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    fn batch(rows: usize) -> RecordBatch {
        let column: arrow::array::ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1_000); rows]));
        RecordBatch::try_from_iter([("s", column)]).unwrap()
    }

    /// Of a large buffer that many batches point into, what goes in holds no more than its rows.
    #[tokio::test]
    async fn batches_that_go_in_hold_only_their_rows() {
        let texts: StringViewArray = (0..20_000).map(|n| Some(format!("{n:020}"))).collect();
        let all = RecordBatch::try_from_iter([("t", Arc::new(texts) as arrow::array::ArrayRef)]).unwrap();
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 30));
        let charge = MemoryConsumer::new("test").register(&pool);
        let inside = Arc::new(Mutex::new(Inside { charge, rows: 0, left: false }));
        let slices: Vec<Result<RecordBatch>> = (0..20).map(|n| Ok(all.slice(n * 1_000, 1_000))).collect();
        let batches: SendableRecordBatchStream =
            Box::pin(RecordBatchStreamAdapter::new(all.schema(), futures::stream::iter(slices)));
        let gathering = Gathering { batches, side: Side::In, inside, ended: false };
        let found: Vec<RecordBatch> = gathering.map(Result::unwrap).collect().await;
        let held: usize = found.iter().map(RecordBatch::get_array_memory_size).sum();
        assert!(all.get_array_memory_size() > 600_000 && held < 1_500_000, "{held}");
        assert_eq!(arrow::compute::concat_batches(&all.schema(), &found).unwrap(), all);
    }

    #[test]
    fn what_is_inside_is_charged_until_it_comes_out() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(20_000));
        let charge = MemoryConsumer::new("test").register(&pool);
        let mut inside = Inside { charge, rows: 0, left: false };
        for _ in 0..4 {
            inside.entered(&batch(4)).unwrap();
        }
        assert!(inside.entered(&batch(4)).is_err());
        let all = pool.reserved();
        inside.came_out(8);
        assert!((all / 2).abs_diff(pool.reserved()) <= 1, "{} of {all}", pool.reserved());
        inside.came_out(8);
        assert_eq!(pool.reserved(), 0);
        // Rows without a reader are lost, and no more are counted.
        inside.entered(&batch(4)).unwrap();
        inside.leave();
        inside.entered(&batch(400)).unwrap();
        assert_eq!(pool.reserved(), 0);
    }
}
