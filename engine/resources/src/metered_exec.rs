//! Operators that charge the statement's memory for what expressions make of a batch, and let these ask whether the statement is
//! over. Knows no expression.

use crate::bytes::own_bytes;
use crate::charge::{Making, Meter, begin_batch, charge, enter, out_of_memory};
use crate::measured::ask;
use crate::pace::{Made, Pace};
use crate::stop::{Stop, heed, proceed};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::{Stream, StreamExt};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A node around an operator whose expressions charge the statement's memory for what they make of a batch, or below it: there a
/// next batch begins, and what is further down has a meter of its own or none. Expressions behind it can ask whether the statement
/// is over.
#[derive(Debug, Clone)]
pub struct MeteredExec {
    input: Arc<dyn ExecutionPlan>,
    role: Role,
    /// Bytes of the constants that the operator may write into each row.
    constant: usize,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Around,
    Below,
    /// Charges nothing: its expressions only ask whether the statement is over.
    Cancellable,
    /// Charges what passes, for an operator above that keeps it and does not say so.
    Kept,
}

impl MeteredExec {
    /// Puts meters around an operator with one input, and below it. Others stay as they are: what they compute in one go is no
    /// single batch. `constant`: bytes of constants that it may write into each row.
    ///
    /// # Errors
    /// Internal only.
    pub fn around(operator: Arc<dyn ExecutionPlan>, constant: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let input = match operator.children().as_slice() {
            [input] => Arc::clone(input),
            _ => return Ok(operator),
        };
        let below: Arc<dyn ExecutionPlan> = Arc::new(Self { input, role: Role::Below, constant });
        let input =
            operator.replace_children(vec![below], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?;
        Ok(Arc::new(Self { input, role: Role::Around, constant }))
    }

    /// Puts a meter around an operator that makes results of many batches at a time.
    #[must_use]
    pub fn over(operator: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input: operator, role: Role::Around, constant: 0 })
    }

    /// Lets an operator's expressions ask whether the statement is over.
    #[must_use]
    pub fn cancellable(operator: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input: operator, role: Role::Cancellable, constant: 0 })
    }

    /// Charges an operator's input until its result ends: for one that waits for all rows, and makes one batch of them.
    ///
    /// # Errors
    /// Internal only.
    pub fn kept(operator: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let inputs = operator.children().into_iter().map(|input| -> Arc<dyn ExecutionPlan> {
            Arc::new(Self { input: Arc::clone(input), role: Role::Kept, constant: 0 })
        });
        let inputs = inputs.collect();
        operator.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
    }

    /// Whether it gives batches by what the operator above makes of each, and learns that when it is asked for the next one.
    #[must_use]
    pub fn paces(&self) -> bool {
        matches!(self.role, Role::Below)
    }

    fn of(&self, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input, role: self.role, constant: self.constant })),
            _ => internal_err!("a meter has one input"),
        }
    }
}

impl DisplayAs for MeteredExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeteredExec")
    }
}

impl ExecutionPlan for MeteredExec {
    fn name(&self) -> &'static str {
        "MeteredExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.of(children)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.of(children)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (role, pool) = (self.role, Arc::clone(context.memory_pool()));
        let stop = context.session_config().get_extension::<Stop>();
        let kept = match role {
            Role::Kept => Some(MemoryConsumer::new("rows that an operator keeps").register(&pool)),
            Role::Around | Role::Below | Role::Cancellable => None,
        };
        let (batches, pace) = (self.input.execute(partition, context)?, Pace::new(self.constant));
        Ok(Box::pin(MeteredStream { batches, role, pool, stop, kept, made: Made::default(), pace }))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

struct MeteredStream {
    batches: SendableRecordBatchStream,
    role: Role,
    /// What is charged.
    pool: Arc<dyn MemoryPool>,
    /// `None`: the end of the statement is not reported.
    stop: Option<Arc<Stop>>,
    /// What the operator above keeps so far.
    kept: Option<MemoryReservation>,
    /// What the operator inside made of its last batch.
    made: Made,
    pace: Pace,
}

impl MeteredStream {
    /// Rows for the operator above, which begins a batch with them.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        if let Some(made) = begin_batch() {
            self.pace.learn(made);
        }
        let batch = match self.pace.rest() {
            Some(rest) => rest,
            None => {
                let _apart = enter(None);
                match ready!(self.batches.poll_next_unpin(cx)) {
                    Some(Ok(batch)) => batch,
                    ended => return Poll::Ready(ended),
                }
            }
        };
        let piece = self.pace.cut(batch);
        let charged = charge(self.pace.constants());
        Poll::Ready(Some(charged.map(|()| piece)))
    }

    fn poll_metered(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let reservation = MemoryConsumer::new("expressions").register(&self.pool);
        let entered = enter(Some(Meter::Run(Making::new(reservation, self.made))));
        let polled = self.batches.poll_next_unpin(cx);
        if let Some(Meter::Run(making)) = entered.leave() {
            self.made = making.made();
        }
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            self.made.of(batch);
            if let Err(refused) = ask() {
                return Poll::Ready(Some(Err(DataFusionError::External(Box::new(refused)))));
            }
        }
        polled
    }

    /// The rows themselves, and once more in the one batch that is made of all.
    fn keep(&self, batch: &RecordBatch) -> Result<()> {
        let bytes: usize = batch.columns().iter().map(own_bytes).sum();
        self.kept.as_ref().map_or(Ok(()), |kept| {
            let charged = kept.try_grow(bytes.saturating_mul(2));
            charged.map_err(|error| DataFusionError::External(Box::new(out_of_memory().with_cause(error))))
        })
    }
}

impl Stream for MeteredStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let _guard = self.stop.as_ref().map(heed);
        match self.role {
            Role::Around => self.poll_metered(cx),
            Role::Below => self.poll_piece(cx),
            Role::Cancellable => self.batches.poll_next_unpin(cx),
            Role::Kept => {
                let polled = ready!(self.batches.poll_next_unpin(cx));
                Poll::Ready(match polled {
                    Some(Ok(batch)) => Some(proceed().and_then(|()| self.keep(&batch)).map(|()| batch)),
                    ended => ended,
                })
            }
        }
    }
}

impl RecordBatchStream for MeteredStream {
    fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.batches.schema()
    }
}
