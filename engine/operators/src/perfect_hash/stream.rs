//! One partition of the operator: rows into groups, groups out; or, where the array does not fit the keys, groups so far and then the
//! rest of the input to DataFusion's aggregate.

use super::accumulators::Accumulators;
use super::exec::Followers;
use super::key_column::{from_keys, to_keys};
use super::key_table::{KeyTable, NoRoom};
use super::remaining_input::RemainingInputExec;
use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateOutputMode};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use querygate_resources::bytes::batch_bytes;
use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::Arc;

/// Bytes of batches that wait for the array to be allowed to be as long as their keys need it, at most.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Runs one partition.
pub(super) fn run(
    aggregate: &Arc<AggregateExec>,
    metrics: &ExecutionPlanMetricsSet,
    followers: &Followers,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let schema = aggregate.schema();
    let input = aggregate.input().execute(partition, Arc::clone(&context))?;
    let groups = Groups::new(aggregate, metrics, partition, &context)?;
    let partition =
        Partition { aggregate: Arc::clone(aggregate), followers: followers.clone(), number: partition, context };
    let rows = stream::once(grouped(groups, input, partition)).try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// The partition of an aggregate that a stream is of.
struct Partition {
    aggregate: Arc<AggregateExec>,
    followers: Followers,
    number: usize,
    context: Arc<TaskContext>,
}

impl Partition {
    /// DataFusion's aggregate over other rows than its whole input.
    fn run_over(&self, rows: SendableRecordBatchStream) -> Result<SendableRecordBatchStream> {
        let rows = RemainingInputExec::new(rows, self.number, self.aggregate.input());
        let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        let aggregate: Arc<dyn ExecutionPlan> = Arc::clone(&self.aggregate) as _;
        let follower = aggregate.replace_children(vec![Arc::new(rows)], keep)?;
        self.followers.add(&follower);
        follower.execute(self.number, Arc::clone(&self.context))
    }
}

/// What one partition knows of its groups.
struct Groups {
    table: KeyTable,
    accumulators: Accumulators,
    key: Arc<dyn PhysicalExpr>,
    /// The number of the group of each row of the last batch; kept so that the next batch needs no allocation.
    group_indices: Vec<usize>,
    /// Batches that are not in the table yet, with their keys.
    waiting: VecDeque<(RecordBatch, Int64Array)>,
    waiting_bytes: usize,
    reservation: MemoryReservation,
    /// Rows that were added to groups here.
    added: usize,
    skip: SkipThreshold,
    metrics: BaselineMetrics,
    added_rows: Count,
}

/// Rows, and groups for each of them, from which on states are nearly as many as rows: DataFusion's aggregate then passes on one state for
/// each row (its `skip_partial_aggregation` settings). `None`: a final aggregate, which merges all states.
struct SkipThreshold(Option<(usize, f64)>);

impl SkipThreshold {
    fn is_reached(&self, groups: usize, rows: usize) -> bool {
        self.0.is_some_and(|(least, ratio)| rows >= least && groups as f64 > ratio * rows as f64)
    }
}

/// What becomes of the input.
enum Next {
    Continue,
    /// DataFusion's aggregate does the rest. `memory_is_short`: because there was none left.
    HandOver {
        memory_is_short: bool,
    },
}

impl Groups {
    fn new(
        aggregate: &AggregateExec,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
        context: &TaskContext,
    ) -> Result<Self> {
        let [(key, _)] = aggregate.group_expr().expr() else { return internal_err!("groups by more than one key") };
        let options = &context.session_config().options().execution;
        let threshold = (
            options.skip_partial_aggregation_probe_rows_threshold,
            options.skip_partial_aggregation_probe_ratio_threshold,
        );
        let reservation = MemoryConsumer::new(format!("PerfectHashAggregate[{partition}]"))
            .with_can_spill(true)
            .register(context.memory_pool());
        Ok(Self {
            table: KeyTable::default(),
            accumulators: Accumulators::new(aggregate)?,
            key: Arc::clone(key),
            group_indices: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            reservation,
            added: 0,
            skip: SkipThreshold(match aggregate.mode().output_mode() {
                AggregateOutputMode::Partial => Some(threshold),
                AggregateOutputMode::Final => None,
            }),
            metrics: BaselineMetrics::new(metrics, partition),
            added_rows: MetricBuilder::new(metrics).counter("perfect_hash_rows", partition),
        })
    }

    /// Takes a batch of the input.
    fn take(&mut self, batch: RecordBatch) -> Result<Next> {
        let elapsed = self.metrics.elapsed_compute().clone();
        let _timer = elapsed.timer();
        let keys = to_keys(&self.key.evaluate(&batch)?.into_array(batch.num_rows())?)?;
        self.table.note_rows(batch.num_rows());
        self.waiting_bytes += bytes_of(&batch, &keys);
        self.waiting.push_back((batch, keys));
        if self.add_waiting()? == Err(NoRoom::NoMemory) {
            return Ok(Next::HandOver { memory_is_short: true });
        }
        let waits_in_vain =
            !self.waiting.is_empty() && (self.waiting_bytes > WAITING_BYTES_MAX || !self.table.grows_with_rows());
        if waits_in_vain || self.skip.is_reached(self.table.len(), self.added) {
            return Ok(Next::HandOver { memory_is_short: false });
        }
        match self.reservation.try_resize(self.size()) {
            Ok(()) => Ok(Next::Continue),
            Err(DataFusionError::ResourcesExhausted(_)) => Ok(Next::HandOver { memory_is_short: true }),
            Err(error) => Err(error),
        }
    }

    /// Adds the waiting batches in order, up to the first one whose keys get no slots. The outer error is an accumulator's; the inner one
    /// says why batches still wait.
    fn add_waiting(&mut self) -> Result<std::result::Result<(), NoRoom>> {
        while let Some((batch, keys)) = self.waiting.pop_front() {
            let mut charge = |bytes| self.reservation.try_grow(bytes).is_ok();
            if let Err(why) = self.table.intern(&keys, &mut self.group_indices, &mut charge) {
                self.waiting.push_front((batch, keys));
                return Ok(Err(why));
            }
            self.accumulators.add(&batch, &self.group_indices, self.table.len())?;
            self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes_of(&batch, &keys));
            self.added += batch.num_rows();
            self.added_rows.add(batch.num_rows());
        }
        Ok(Ok(()))
    }

    fn size(&self) -> usize {
        let group_indices = self.group_indices.capacity() * size_of::<usize>();
        self.table.size() + self.accumulators.size() + group_indices + self.waiting_bytes
    }

    /// The groups, of which `columns` makes what follows the key. None are left.
    fn finish(
        &mut self,
        schema: &SchemaRef,
        columns: impl FnOnce(&mut Accumulators) -> Result<Vec<ArrayRef>>,
    ) -> Result<Option<RecordBatch>> {
        if self.table.is_empty() {
            return Ok(None);
        }
        let elapsed = self.metrics.elapsed_compute().clone();
        let _timer = elapsed.timer();
        let (keys, nulls) = self.table.take();
        let mut all = vec![from_keys(keys, nulls, schema.field(0).data_type())?];
        all.extend(columns(&mut self.accumulators)?);
        self.group_indices = Vec::new();
        Ok(Some(RecordBatch::try_new(Arc::clone(schema), all)?))
    }
}

/// Bytes of a waiting batch and its keys; where the keys are a column of the batch, they count twice.
fn bytes_of(batch: &RecordBatch, keys: &Int64Array) -> usize {
    usize::try_from(batch_bytes(batch)).unwrap_or(usize::MAX).saturating_add(keys.get_array_memory_size())
}

/// The rows of one partition, once its input was read as far as the array goes.
async fn grouped(
    mut groups: Groups,
    mut input: SendableRecordBatchStream,
    partition: Partition,
) -> Result<SendableRecordBatchStream> {
    let schema = partition.aggregate.schema();
    let output = partition.aggregate.mode().output_mode();
    while let Some(batch) = input.next().await {
        match groups.take(batch?)? {
            Next::Continue => {}
            Next::HandOver { memory_is_short } => return handed_over(groups, input, &partition, memory_is_short),
        }
    }
    if !groups.waiting.is_empty() {
        return handed_over(groups, input, &partition, false);
    }
    drop(input);
    let whole = groups.finish(&schema, |accumulators| match output {
        AggregateOutputMode::Partial => accumulators.states(),
        AggregateOutputMode::Final => accumulators.results(),
    })?;
    groups.reservation.resize(whole.as_ref().map_or(0, RecordBatch::get_array_memory_size));
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        schema,
        in_batches(whole, groups.reservation, Some(groups.metrics), &partition.context),
    )))
}

/// The states of the groups so far, and what DataFusion's aggregate makes of the rest.
fn handed_over(
    mut groups: Groups,
    input: SendableRecordBatchStream,
    partition: &Partition,
    memory_is_short: bool,
) -> Result<SendableRecordBatchStream> {
    let output = partition.aggregate.mode().output_mode();
    let schema = match output {
        AggregateOutputMode::Partial => partition.aggregate.schema(),
        AggregateOutputMode::Final => partition.aggregate.input().schema(),
    };
    let states = groups.finish(&schema, Accumulators::states)?;
    // What waits, and states on their way, stay charged until they are read; not where the pool is exhausted: the aggregate that takes over
    // could not begin there. They are no more than was charged before.
    let held = groups.reservation.new_empty();
    if memory_is_short {
        groups.reservation.free();
    } else {
        groups.reservation.resize(states.as_ref().map_or(0, RecordBatch::get_array_memory_size));
        held.resize(groups.waiting_bytes);
    }
    let waiting = std::mem::take(&mut groups.waiting).into_iter().map(move |(batch, keys)| {
        held.shrink(bytes_of(&batch, &keys).min(held.size()));
        Ok(batch)
    });
    let rest = stream::iter(waiting).chain(input);
    // Rows for the aggregate that takes over are no output.
    let counted = match output {
        AggregateOutputMode::Partial => Some(groups.metrics.clone()),
        AggregateOutputMode::Final => None,
    };
    let states = in_batches(states, groups.reservation, counted, &partition.context);
    let schema_of_rows = partition.aggregate.input().schema();
    match output {
        // States of one group may come twice, for they are merged above.
        AggregateOutputMode::Partial => {
            let rest = partition.run_over(Box::pin(RecordBatchStreamAdapter::new(schema_of_rows, rest)))?;
            Ok(Box::pin(RecordBatchStreamAdapter::new(schema, states.chain(rest))))
        }
        AggregateOutputMode::Final => {
            partition.run_over(Box::pin(RecordBatchStreamAdapter::new(schema_of_rows, states.chain(rest))))
        }
    }
}

/// A batch in pieces as long as batches are. With each of them its share of what is charged is given back: the next operator charges what it
/// keeps. `counted`: where its rows are counted.
fn in_batches(
    whole: Option<RecordBatch>,
    charge: MemoryReservation,
    counted: Option<BaselineMetrics>,
    context: &TaskContext,
) -> impl Stream<Item = Result<RecordBatch>> + Send + use<> {
    let length = context.session_config().batch_size();
    let pieces: Vec<RecordBatch> = whole.map_or_else(Vec::new, |whole| {
        let rows = whole.num_rows();
        (0..rows).step_by(length).map(|from| whole.slice(from, length.min(rows - from))).collect()
    });
    let mut left: usize = pieces.iter().map(RecordBatch::num_rows).sum();
    stream::iter(pieces).map(move |piece| {
        let share = charge.size() as u128 * piece.num_rows() as u128 / left.max(1) as u128;
        charge.shrink(usize::try_from(share).unwrap_or(usize::MAX).min(charge.size()));
        left = left.saturating_sub(piece.num_rows());
        if let Some(metrics) = &counted {
            metrics.record_output(piece.num_rows());
        }
        Ok(piece)
    })
}
