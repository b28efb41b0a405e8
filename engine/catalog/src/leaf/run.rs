//! Runs a governed leaf, and counts what comes out of it where EXPLAIN ANALYZE asks. Of what is inside, which is of hidden rows too,
//! nothing is counted.

use super::exec::{FRAGMENT, GovernedExec};
use super::parts::{Parts, in_order};
use crate::metrics::FragmentRuns;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{Count, MetricBuilder, Time};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{Stream, StreamExt};
use querygate_resources::MeteredExec;
use querygate_resources::memory::Ahead;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// That the leaves of a run count their rows, as an extension of the engine's configuration.
#[derive(Debug, Clone, Copy)]
pub struct CountedRun {
    /// Whether the statement reads a table some of whose rows are hidden from its reader. Batches of all leaves are cut by the rows
    /// that come out alone then: what operators above count must not tell how hidden rows lie between them.
    pub restricted: bool,
}

const BEGUN: &str = "streams_begun";
const ENDED: &str = "streams_ended";

impl GovernedExec {
    /// Whether the raw leaf holds rows that the reader may not see. A fragment does not know what its policies hide.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.hides
    }

    /// Whether it gives the rows of a fragment, with the policies of its tables inside.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.table() == FRAGMENT
    }

    /// Whether a counted run came to the end of all that it began to read. `None`: it began nothing.
    #[must_use]
    pub fn was_read_whole(&self) -> Option<bool> {
        let counted = self.counts.clone_inner();
        let count = |name: &str| counted.sum_by_name(name).map_or(0, |value| value.as_usize());
        let begun = count(BEGUN);
        (begun > 0).then(|| begun == count(ENDED))
    }
}

/// One stream of a leaf.
pub(super) fn opened(
    leaf: &GovernedExec,
    partition: usize,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let batches = uncounted(leaf, partition, context)?;
    let Some(run) = context.session_config().get_extension::<CountedRun>() else { return Ok(batches) };
    let is_even = leaf.in_order.is_some() || !run.restricted;
    let batches = if is_even { batches } else { evenly(batches, context) };
    let builder = || MetricBuilder::new(&leaf.counts);
    Ok(Box::pin(Counted {
        batches,
        rows: builder().output_rows(partition),
        time: builder().elapsed_compute(partition),
        begun: Some(builder().counter(BEGUN, partition)),
        ended: Some(builder().counter(ENDED, partition)),
        since: None,
    }))
}

fn uncounted(leaf: &GovernedExec, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
    let run = leaf.reads().and_then(|reads| {
        let runs = context.session_config().get_extension::<FragmentRuns>()?;
        runs.of_files(reads, leaf.inner())
    });
    let reader = leaf.reads().is_some().then(|| Arc::clone(context.memory_pool()));
    let measured = move |batches| {
        // A reader of files has pages of a row group in hand, about as much as some batches.
        let batches = match &reader {
            Some(pool) => Ahead::new(pool).over(batches),
            None => batches,
        };
        match &run {
            Some(run) => Arc::clone(run).measured(batches),
            None => batches,
        }
    };
    let Some(at_once) = leaf.in_order else {
        return Ok(measured(leaf.inner().execute(partition, Arc::clone(context))?));
    };
    if partition != 0 {
        return internal_err!("a leaf with hidden rows has one stream");
    }
    let count = leaf.inner().output_partitioning().partition_count();
    // Readers ahead are tasks of their own, which hear of the statement's end by themselves.
    let inner = if count > 1 { MeteredExec::cancellable(Arc::clone(leaf.inner())) } else { Arc::clone(leaf.inner()) };
    let given = Arc::clone(context);
    let open = Box::new(move |part| Ok(measured(inner.execute(part, Arc::clone(&given))?)));
    Ok(in_order(&leaf.schema(), Parts { count, at_once, open }, leaf.fetch(), context))
}

/// The rows of a stream in full batches, so that how many there are in a batch tells nothing of hidden ones.
fn evenly(batches: SendableRecordBatchStream, context: &TaskContext) -> SendableRecordBatchStream {
    let schema = batches.schema();
    let mut only = Some(batches);
    let open = Box::new(move |_: usize| match only.take() {
        Some(batches) => Ok(batches),
        None => internal_err!("a stream was opened twice"),
    });
    in_order(&schema, Parts { count: 1, at_once: 1, open }, None, context)
}

/// What comes out, and how long it was waited for: a source that is slow is one that others wait for.
struct Counted {
    batches: SendableRecordBatchStream,
    rows: Count,
    time: Time,
    /// `None`: it is counted.
    begun: Option<Count>,
    ended: Option<Count>,
    /// Since when a batch is waited for.
    since: Option<Instant>,
}

impl Stream for Counted {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(begun) = self.begun.take() {
            begun.add(1);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let polled = ready!(self.batches.poll_next_unpin(cx));
        self.since = None;
        self.time.add_duration(since.elapsed());
        match &polled {
            Some(Ok(batch)) => self.rows.add(batch.num_rows()),
            Some(Err(_)) => {}
            None => self.ended.take().into_iter().for_each(|ended| ended.add(1)),
        }
        Poll::Ready(polled)
    }
}

impl RecordBatchStream for Counted {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::prelude::SessionConfig;

    fn batches(sizes: &[usize]) -> SendableRecordBatchStream {
        let batch = |rows: &usize| {
            let numbers: arrow::array::ArrayRef = Arc::new(Int64Array::from(vec![1; *rows]));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let all: Vec<Result<RecordBatch>> = sizes.iter().map(batch).map(Ok).collect();
        let schema = batch(&1).schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(all)))
    }

    /// However the rows came, they are dealt out in the same batches.
    #[tokio::test]
    async fn batches_are_cut_by_their_rows_alone() {
        let context = TaskContext::default().with_session_config(SessionConfig::new().with_batch_size(4));
        for sizes in [[1, 0, 8], [4, 4, 1], [9, 0, 0], [3, 3, 3]] {
            let even = evenly(batches(&sizes), &context);
            let found: Vec<usize> = even.map(|batch| batch.unwrap().num_rows()).collect().await;
            assert_eq!(found, [4, 4, 1], "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn rows_and_the_end_are_counted() {
        let counts = ExecutionPlanMetricsSet::new();
        let builder = || MetricBuilder::new(&counts);
        let mut counted = Counted {
            batches: batches(&[3, 2]),
            rows: builder().output_rows(0),
            time: builder().elapsed_compute(0),
            begun: Some(builder().counter(BEGUN, 0)),
            ended: Some(builder().counter(ENDED, 0)),
            since: None,
        };
        let count = |name: &str| counts.clone_inner().sum_by_name(name).unwrap().as_usize();
        for (rows, ended) in [(3, 0), (5, 0), (5, 1), (5, 1)] {
            counted.next().await.transpose().unwrap();
            assert_eq!((counts.clone_inner().output_rows(), count(BEGUN), count(ENDED)), (Some(rows), 1, ended));
        }
    }
}
