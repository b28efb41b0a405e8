//! The rows of a leaf that hides some, as one stream: part after part, in batches that are full whatever was left out between
//! their rows. How many parts there are, where they are cut, and which of them is read first depends on hidden rows, so nothing
//! above may see it. Later parts are read ahead, within a bound of memory.

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, stream};
use querygate_resources::MeteredExec;
use querygate_resources::bytes::own_bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Parts for each stream that the engine runs at once: while the rows of one are given, others are read.
pub(in crate::leaf) const PARTS_PER_STREAM: usize = 8;
/// Batches of one part that wait.
const AHEAD_BATCHES: usize = 64;
/// Bytes that one leaf reads ahead.
const AHEAD_BYTES: usize = 32 << 20;

/// Opens a part.
type Open = Box<dyn FnMut(usize) -> Result<SendableRecordBatchStream> + Send>;

/// The parts of a leaf.
pub(in crate::leaf) struct Parts {
    pub(in crate::leaf) count: usize,
    /// How many are open at once.
    pub(in crate::leaf) at_once: usize,
    pub(in crate::leaf) open: Open,
}

/// The first `fetch` rows of all parts, in the order of the parts.
pub(in crate::leaf) fn in_order(
    schema: &SchemaRef,
    parts: Parts,
    fetch: Option<usize>,
    context: &TaskContext,
) -> SendableRecordBatchStream {
    let size = context.session_config().batch_size();
    let order = InOrder {
        parts,
        next: 0,
        open: VecDeque::new(),
        turn: watch::Sender::new(0),
        room: Arc::new(Room(MemoryConsumer::new("rows read ahead").register(context.memory_pool()))),
        full: BatchCoalescer::new(Arc::clone(schema), size),
        size,
        left: fetch,
        ended: false,
    };
    let batches = stream::try_unfold(order, |mut order| async move { Ok(order.next().await?.map(|b| (b, order))) });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), batches))
}

/// The rows of streams in the order of the streams, `at_once` of them read at a time: for what is made of a leaf that hides rows,
/// stream by stream.
pub fn part_after_part(
    streams: &Arc<dyn ExecutionPlan>,
    at_once: usize,
    context: &Arc<TaskContext>,
) -> SendableRecordBatchStream {
    let count = streams.output_partitioning().partition_count();
    // Readers ahead are tasks of their own, which hear of the statement's end by themselves.
    let inner = if count > 1 { MeteredExec::cancellable(Arc::clone(streams)) } else { Arc::clone(streams) };
    let given = Arc::clone(context);
    let open = Box::new(move |part| inner.execute(part, Arc::clone(&given)));
    in_order(&streams.schema(), Parts { count, at_once, open }, None, context)
}

struct InOrder {
    parts: Parts,
    /// The part to open next.
    next: usize,
    open: VecDeque<Part>,
    /// The part whose rows are given.
    turn: watch::Sender<usize>,
    room: Arc<Room>,
    full: BatchCoalescer,
    size: usize,
    left: Option<usize>,
    ended: bool,
}

/// A part that was opened.
enum Part {
    /// The only one: nothing to read ahead.
    Here(SendableRecordBatchStream),
    Ahead(mpsc::Receiver<(Result<RecordBatch>, Option<Taken>)>, Option<SpawnedTask<()>>),
}

impl InOrder {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.full.next_completed_batch() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            let batch = if self.left == Some(0) { None } else { self.read().await? };
            let Some(batch) = batch else {
                self.ended = true;
                self.open.clear();
                self.full.finish_buffered_batch()?;
                continue;
            };
            let batch = match &mut self.left {
                Some(left) => {
                    let taken = batch.slice(0, batch.num_rows().min(*left));
                    *left -= taken.num_rows();
                    taken
                }
                None => batch,
            };
            if self.full.is_empty() && batch.num_rows() == self.size {
                return Ok(Some(batch));
            }
            self.full.push_batch(batch)?;
        }
    }

    /// The next rows of the first part that has any left.
    async fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while self.next < self.parts.count && self.open.len() < self.parts.at_once.max(1) {
                let part = self.opened(self.next)?;
                self.open.push_back(part);
                self.next += 1;
            }
            let Some(part) = self.open.front_mut() else { return Ok(None) };
            if let Some(batch) = part.next().await {
                return batch.map(Some);
            }
            self.open.pop_front();
            self.turn.send_modify(|turn| *turn += 1);
        }
    }

    fn opened(&mut self, number: usize) -> Result<Part> {
        let batches = (self.parts.open)(number)?;
        if self.parts.count == 1 {
            return Ok(Part::Here(batches));
        }
        let (sender, receiver) = mpsc::channel(AHEAD_BATCHES);
        let reader = Reader { batches, sender, number, turn: self.turn.subscribe(), room: Arc::clone(&self.room) };
        Ok(Part::Ahead(receiver, Some(SpawnedTask::spawn(reader.run()))))
    }
}

impl Part {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        match self {
            Self::Here(batches) => batches.next().await,
            Self::Ahead(receiver, task) => match receiver.recv().await {
                Some((batch, _)) => Some(batch),
                // A reader that did not come to its end is no end of rows: its panic goes on here.
                None => match task.take()?.join_unwind().await {
                    Ok(()) => None,
                    Err(broken) => Some(exec_err!("a reader ended early: {broken}")),
                },
            },
        }
    }
}

/// Reads one part ahead of its turn.
struct Reader {
    batches: SendableRecordBatchStream,
    sender: mpsc::Sender<(Result<RecordBatch>, Option<Taken>)>,
    number: usize,
    turn: watch::Receiver<usize>,
    room: Arc<Room>,
}

impl Reader {
    async fn run(mut self) {
        while let Some(batch) = self.batches.next().await {
            let taken = batch.as_ref().ok().and_then(|batch| self.room.take(batch));
            if taken.is_some() {
                if self.sender.send((batch, taken)).await.is_err() {
                    return;
                }
                continue;
            }
            // No room: the batch waits until its part has its turn, and then goes alone. Who left wants none.
            if self.turn.wait_for(|turn| *turn >= self.number).await.is_err() {
                return;
            }
            let Ok(mut places) = self.sender.reserve_many(AHEAD_BATCHES).await else { return };
            if let Some(place) = places.next() {
                place.send((batch, None));
            }
        }
    }
}

/// Memory of what was read ahead, charged to the statement.
struct Room(MemoryReservation);

impl Room {
    fn take(self: &Arc<Self>, batch: &RecordBatch) -> Option<Taken> {
        let bytes = batch.columns().iter().map(own_bytes).sum();
        if self.0.size().saturating_add(bytes) > AHEAD_BYTES {
            return None;
        }
        self.0.try_grow(bytes).ok()?;
        Some(Taken { room: Arc::clone(self), bytes })
    }
}

/// A batch's memory, released when the batch is given.
struct Taken {
    room: Arc<Room>,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.0.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::SessionConfig;
    use std::time::Duration;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
    }

    fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
        RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(rows))]).unwrap()
    }

    /// Memory of a bounded size, batches of four rows.
    fn context(bytes: usize) -> TaskContext {
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(bytes))).build().unwrap();
        TaskContext::default()
            .with_session_config(SessionConfig::new().with_batch_size(4))
            .with_runtime(Arc::new(runtime))
    }

    /// Parts of these batches; the first ones are the slowest.
    fn parts(all: Vec<Vec<RecordBatch>>, at_once: usize) -> Parts {
        let count = all.len();
        let open = move |number: usize| -> Result<SendableRecordBatchStream> {
            let pause = Duration::from_millis(5 * (count - number) as u64);
            let slow = stream::iter(all[number].clone()).then(move |batch| async move {
                tokio::time::sleep(pause).await;
                Ok(batch)
            });
            Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), slow)))
        };
        Parts { count, at_once, open: Box::new(open) }
    }

    async fn told(parts: Parts, fetch: Option<usize>, context: &TaskContext) -> Vec<Vec<i64>> {
        let batches: Vec<_> = in_order(&schema(), parts, fetch, context).collect().await;
        let rows = |batch: Result<RecordBatch>| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec();
        batches.into_iter().map(rows).collect()
    }

    #[tokio::test]
    async fn the_cut_into_parts_and_batches_is_not_seen() {
        let cuts = [
            vec![vec![batch(0..11)]],
            vec![vec![batch(0..4), batch(4..8)], vec![], vec![batch(8..11)]],
            vec![vec![batch(0..1)], vec![batch(1..3)], vec![batch(3..4), batch(4..9)], vec![batch(9..11)], vec![]],
        ];
        for bytes in [1 << 20, 0] {
            let context = context(bytes);
            for all in &cuts {
                for at_once in [1, 2, 9] {
                    let whole = told(parts(all.clone(), at_once), None, &context).await;
                    assert_eq!(whole, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9, 10]], "{at_once} {bytes}");
                    let first = told(parts(all.clone(), at_once), Some(6), &context).await;
                    assert_eq!(first, [vec![0, 1, 2, 3], vec![4, 5]], "{at_once} {bytes}");
                }
            }
            assert_eq!(context.memory_pool().reserved(), 0);
        }
    }

    #[tokio::test]
    async fn more_batches_than_are_kept_ahead_come_whole() {
        let many: Vec<_> = (0..400).map(|n| batch(n * 3..n * 3 + 3)).collect();
        let all = many.chunks(150).map(<[RecordBatch]>::to_vec).collect();
        let rows = told(parts(all, 3), None, &context(200)).await.concat();
        assert_eq!(rows, (0..1200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_error_comes_in_its_place() {
        let open = |number: usize| -> Result<SendableRecordBatchStream> {
            let item = if number == 1 { exec_err!("broken") } else { Ok(batch(0..4)) };
            Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), stream::iter([item]))))
        };
        let parts = Parts { count: 3, at_once: 3, open: Box::new(open) };
        let mut batches = in_order(&schema(), parts, None, &context(1 << 20));
        assert_eq!(batches.next().await.unwrap().unwrap().num_rows(), 4);
        assert!(batches.next().await.unwrap().is_err());
    }
}
