//! Operators that charge the statement's memory for what expressions make of a batch, and let these ask whether the statement is
//! over. Knows no expression.

use crate::asking_expr::AskingExpr;
use crate::bytes::own_bytes;
use crate::charge::{Making, Meter, begin_batch, charge, enter, not_charged};
use crate::measured::ask;
use crate::memory::{Constants, Owner, out_of_memory as statement_is_full};
use crate::multiplied::{LongestRow, taken_apart};
use crate::pace::{Made, Pace};
use crate::stop::{Stop, heed, proceed};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{NestedLoopJoinExec, NestedLoopJoinExecBuilder};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::{Stream, StreamExt};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// A node around an operator whose expressions charge the statement's memory for what they make of a batch, or below it: there a
/// next batch begins, and what is further down has a meter of its own or none. Expressions behind it can ask whether the statement
/// is over.
#[derive(Debug)]
pub struct MeteredExec {
    input: Arc<dyn ExecutionPlan>,
    role: Role,
    /// The constants that the operator may write into each row.
    constants: Constants,
    /// Whether rows were asked for.
    given: AtomicBool,
}

#[derive(Debug, Clone)]
enum Role {
    Around,
    Below,
    /// Charges nothing: its expressions only ask whether the statement is over.
    Cancellable,
    /// Charges what passes, for an operator above that keeps it and does not say so.
    Kept,
    /// Gives its rows once, and measures them for the other side of a join.
    Once(LongestRow),
    /// Measures its rows for the other side of a product.
    Measured(LongestRow),
    /// The other side: rows are copied beside each of it.
    Beside(LongestRow),
    /// Rows for an operator that unnests these list columns, and copies the other columns beside each element.
    Lists(Vec<usize>),
    /// A join without keys. `are_long`: whether values that it compares or copies may be of any length.
    Joins {
        are_long: bool,
    },
}

/// Pairs of rows that a join compares, and makes, at once where values may be long.
const LONG_PAIRS: usize = 1_024;

/// A context for operators that take fewer rows at once.
fn with_few_rows(context: &TaskContext) -> Arc<TaskContext> {
    let config = context.session_config();
    let rows = config.batch_size().min(LONG_PAIRS);
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config.clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

impl MeteredExec {
    fn new(input: Arc<dyn ExecutionPlan>, role: Role, constants: Constants) -> Self {
        Self { input, role, constants, given: AtomicBool::new(false) }
    }

    /// Puts meters around an operator with one input, and below it. Others stay as they are: what they compute in one go is no
    /// single batch. `constants`: those that it may write into each row.
    ///
    /// # Errors
    /// Internal only.
    pub fn around(operator: Arc<dyn ExecutionPlan>, constants: Constants) -> Result<Arc<dyn ExecutionPlan>> {
        let input = match operator.children().as_slice() {
            [input] => Arc::clone(input),
            _ => return Ok(operator),
        };
        let below: Arc<dyn ExecutionPlan> = Arc::new(Self::new(input, Role::Below, constants));
        let input =
            operator.replace_children(vec![below], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?;
        Ok(Arc::new(Self::new(input, Role::Around, constants)))
    }

    /// Puts a meter around an operator that makes results of many batches at a time.
    #[must_use]
    pub fn over(operator: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(operator, Role::Around, Constants::default()))
    }

    /// Lets an operator's expressions ask whether the statement is over.
    #[must_use]
    pub fn cancellable(operator: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(operator, Role::Cancellable, Constants::default()))
    }

    /// Charges an operator's input until its result ends: for one that waits for all rows, and makes one batch of them. `constant`: bytes of
    /// constants that it writes into each row.
    ///
    /// # Errors
    /// Internal only.
    pub fn kept(operator: Arc<dyn ExecutionPlan>, constant: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let inputs = operator.children().into_iter().map(|input| -> Arc<dyn ExecutionPlan> {
            Arc::new(Self::new(Arc::clone(input), Role::Kept, Constants { bytes: constant, is_open: false }))
        });
        let inputs = inputs.collect();
        operator.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
    }

    /// A join without keys, whose condition asks whether the statement is over. Its first input is read once only: where there is no room
    /// for it the join reads it again, to put it on disk, and what shares its own inputs among its parts gives fewer rows then. Of long
    /// values it takes few pairs at once.
    ///
    /// # Errors
    /// Internal only.
    pub fn join(join: &NestedLoopJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = join.filter().map(|filter| {
            let asking = AskingExpr::around(filter.expression());
            JoinFilter::new(asking, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
        });
        let longest = LongestRow::default();
        let left = Arc::new(Self::new(Arc::clone(join.left()), Role::Once(longest.clone()), Constants::default()));
        let made = join.schema();
        let compared = filter.iter().flat_map(|filter| filter.schema().fields());
        let are_long = compared.chain(made.fields()).any(|field| field.data_type().primitive_width().is_none());
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?;
        let right = Self::beside(join.right(), join.left(), longest);
        let inputs: Vec<Arc<dyn ExecutionPlan>> = vec![left, right];
        let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        let join = (Arc::new(join) as Arc<dyn ExecutionPlan>).replace_children(inputs, keep)?;
        Ok(Arc::new(Self::new(join, Role::Joins { are_long }, Constants::default())))
    }

    /// A product, which takes as many rows of its second input at once as make a batch of the usual bytes beside the longest row of the
    /// first one: that row is copied for each of them. `operator`: has two inputs, and collects the first one before it reads the second.
    ///
    /// # Errors
    /// Internal only.
    pub fn product(operator: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let inputs = match operator.children().as_slice() {
            [first, second] => {
                let longest = LongestRow::default();
                let measured = Self::new(Arc::clone(first), Role::Measured(longest.clone()), Constants::default());
                vec![Arc::new(measured) as Arc<dyn ExecutionPlan>, Self::beside(second, first, longest)]
            }
            _ => return internal_err!("a product has two inputs"),
        };
        operator.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
    }

    /// An input of which fewer rows are handed up at once where those of the other one are long, if they may be.
    fn beside(
        input: &Arc<dyn ExecutionPlan>,
        other: &Arc<dyn ExecutionPlan>,
        longest: LongestRow,
    ) -> Arc<dyn ExecutionPlan> {
        if other.schema().fields().iter().all(|field| field.data_type().primitive_width().is_some()) {
            return Arc::clone(input);
        }
        Arc::new(Self::new(Arc::clone(input), Role::Beside(longest), Constants::default()))
    }

    /// An operator that takes lists apart, with what it copies beside their elements charged before. `lists`: the columns of its input that
    /// it takes apart.
    ///
    /// # Errors
    /// Internal only.
    pub fn lists(operator: Arc<dyn ExecutionPlan>, lists: Vec<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = match operator.children().as_slice() {
            [input] => Arc::clone(input),
            _ => return internal_err!("lists are taken apart of one input"),
        };
        let below: Arc<dyn ExecutionPlan> = Arc::new(Self::new(input, Role::Lists(lists), Constants::default()));
        operator.replace_children(vec![below], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
    }

    /// A join's condition as it was before it asked.
    #[must_use]
    pub fn condition(filter: &JoinFilter) -> &Arc<dyn PhysicalExpr> {
        AskingExpr::inner_of(filter.expression())
    }

    /// Whether it gives batches by what the operator above makes of each, and learns that when it is asked for the next one.
    #[must_use]
    pub fn paces(&self) -> bool {
        matches!(self.role, Role::Below)
    }

    fn of(&self, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.role.clone(), self.constants))),
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
        let (role, pool) = (self.role.clone(), Arc::clone(context.memory_pool()));
        let stop = context.session_config().get_extension::<Stop>();
        let kept = match role {
            Role::Kept => Some(MemoryConsumer::new("rows that an operator keeps").register(&pool)),
            Role::Lists(_) => Some(MemoryConsumer::new("rows that an operator copies").register(&pool)),
            Role::Around
            | Role::Below
            | Role::Cancellable
            | Role::Once(_)
            | Role::Measured(_)
            | Role::Beside(_)
            | Role::Joins { .. } => None,
        };
        if matches!(role, Role::Once(_)) && self.given.swap(true, Ordering::Relaxed) {
            return Err(DataFusionError::External(Box::new(statement_is_full(Owner::Statement.mark()))));
        }
        let context = if matches!(role, Role::Joins { are_long: true }) { with_few_rows(&context) } else { context };
        let (batches, pace) = (self.input.execute(partition, context)?, Pace::new(self.constants));
        Ok(Box::pin(MeteredStream {
            batches,
            role,
            pool,
            stop,
            kept,
            constant: self.constants.bytes,
            made: Made::default(),
            pace,
        }))
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
    /// Bytes of the constants in each row.
    constant: usize,
    /// What the operator inside made of its last batch.
    made: Made,
    pace: Pace,
}

impl MeteredStream {
    /// Rows for the operator above, which begins a batch with them.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        // An operator that gives no row before it has read all asks nothing itself.
        if let Err(over) = proceed() {
            return Poll::Ready(Some(Err(over)));
        }
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

    /// Rows that are measured for the other side.
    fn poll_measured(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let polled = self.batches.poll_next_unpin(cx);
        if let (Poll::Ready(Some(Ok(batch))), Role::Once(longest) | Role::Measured(longest)) = (&polled, &self.role) {
            longest.take_in(batch);
        }
        polled
    }

    /// Rows for an operator that copies them, or copies others beside each of them.
    fn poll_copied(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        if let Err(over) = proceed() {
            return Poll::Ready(Some(Err(over)));
        }
        let batch = match self.pace.rest() {
            Some(rest) => rest,
            None => match ready!(self.batches.poll_next_unpin(cx)) {
                Some(Ok(batch)) => batch,
                ended => return Poll::Ready(ended),
            },
        };
        let bounded = match &self.role {
            Role::Beside(longest) => Ok(longest.rows()),
            Role::Lists(lists) => taken_apart(&batch, lists).and_then(|(rows, bytes)| {
                let charged = self.kept.as_ref().map_or(Ok(()), |kept| kept.try_resize(bytes));
                charged.map(|()| rows).map_err(|error| DataFusionError::External(Box::new(not_charged(&error))))
            }),
            _ => internal_err!("nothing is copied"),
        };
        Poll::Ready(Some(bounded.map(|rows| {
            self.pace.bound(rows);
            self.pace.cut(batch)
        })))
    }

    /// The rows themselves, and once more in the one batch that is made of all.
    fn keep(&self, batch: &RecordBatch) -> Result<()> {
        let constants = batch.num_rows().saturating_mul(self.constant);
        let bytes = batch.columns().iter().map(own_bytes).fold(constants, usize::saturating_add);
        self.kept.as_ref().map_or(Ok(()), |kept| {
            let charged = kept.try_grow(bytes.saturating_mul(2));
            charged.map_err(|error| DataFusionError::External(Box::new(not_charged(&error))))
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
            Role::Cancellable | Role::Joins { .. } => self.batches.poll_next_unpin(cx),
            Role::Once(_) | Role::Measured(_) => self.poll_measured(cx),
            Role::Beside(_) | Role::Lists(_) => self.poll_copied(cx),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::batch_bytes;
    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_plan::collect;
    use datafusion::physical_plan::joins::CrossJoinExec;

    fn table(name: &str, column: ArrayRef) -> Arc<dyn ExecutionPlan> {
        let batch = RecordBatch::try_from_iter([(name, column)]).unwrap();
        let schema = batch.schema();
        MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).unwrap()
    }

    /// Batches of the product of some texts and a hundred numbers.
    async fn products(texts: &[String], bounded: bool) -> Vec<RecordBatch> {
        let texts = table("t", Arc::new(StringArray::from(texts.to_vec())));
        let numbers = table("n", Arc::new(Int64Array::from_iter_values(0..100)));
        let join: Arc<dyn ExecutionPlan> = Arc::new(CrossJoinExec::new(texts, numbers));
        let plan = if bounded { MeteredExec::product(join).unwrap() } else { join };
        collect(plan, Arc::default()).await.unwrap()
    }

    fn pairs(batches: &[RecordBatch]) -> Vec<(usize, i64)> {
        let mut pairs = Vec::new();
        for batch in batches {
            let (texts, numbers) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
            pairs.extend(texts.iter().map(|text| text.unwrap().len()).zip(numbers.values().iter().copied()));
        }
        pairs.sort_unstable();
        pairs
    }

    #[tokio::test]
    async fn batches_of_a_product_are_short_where_rows_are_long() {
        let longest = |batches: &[RecordBatch]| batches.iter().map(batch_bytes).max().unwrap();
        let long = ["x".repeat(200_000), "y".to_owned(), String::new()];
        let (own, ours) = (products(&long, false).await, products(&long, true).await);
        assert_eq!(pairs(&ours), pairs(&own));
        assert!(longest(&own) > 16 << 20, "DataFusion's product is bounded by itself now");
        assert!(longest(&ours) <= 1 << 20, "{}", longest(&ours));
        let short = ["x".repeat(100), "y".to_owned()];
        assert_eq!(products(&short, true).await, products(&short, false).await, "in their order");
        assert!(pairs(&products(&[], true).await).is_empty());
    }
}
