//! Readers of the same rows, at every pace.

use super::*;
use arrow::array::{ArrayRef, Int64Array};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use std::time::Duration;

fn batch(number: i64, rows: usize) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number; rows]));
    RecordBatch::try_from_iter([("n", numbers)]).unwrap()
}

type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// What a plan gives, once.
struct Once(Mutex<Option<Batches>>, SchemaRef);

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.1
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let made_twice = || stream::iter([Err(DataFusionError::Internal("made twice".to_owned()))]).boxed();
        let batches = self.0.lock().unwrap().take().unwrap_or_else(made_twice);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.1), batches))
    }
}

fn plan(batches: Batches) -> Arc<dyn ExecutionPlan> {
    let schema = batch(0, 1).schema();
    let once = Arc::new(Once(Mutex::new(Some(batches)), Arc::clone(&schema)));
    Arc::new(StreamingTableExec::try_new(schema, vec![once], None, Vec::new(), false, None).unwrap())
}

struct World {
    context: Arc<TaskContext>,
    pool: Arc<dyn MemoryPool>,
    rows: Arc<SharedRows>,
}

impl World {
    fn new(readers: usize, bytes: usize) -> Self {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool)).build_arc().unwrap();
        let context = Arc::new(TaskContext::default().with_runtime(runtime));
        Self { context, pool, rows: SharedRows::for_readers(readers) }
    }

    /// A reader, whose own plan gives these batches.
    fn reader(&self, reader: usize, batches: Vec<Result<RecordBatch>>) -> SendableRecordBatchStream {
        self.reader_of(reader, &plan(stream::iter(batches).boxed()))
    }

    fn reader_of(&self, reader: usize, own: &Arc<dyn ExecutionPlan>) -> SendableRecordBatchStream {
        self.rows.read(reader, own, Arc::clone(&self.context))
    }
}

fn numbers(batches: &[Result<RecordBatch>]) -> Vec<i64> {
    let number = |batch: &Result<RecordBatch>| match batch {
        Ok(batch) => batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0),
        Err(_) => -1,
    };
    batches.iter().map(number).collect()
}

fn five() -> Vec<Result<RecordBatch>> {
    (0..5).map(|number| Ok(batch(number, 100))).collect()
}

/// Of a reader that is not to run its own plan.
fn unmade() -> Vec<Result<RecordBatch>> {
    vec![Err(DataFusionError::Internal("made twice".to_owned()))]
}

async fn read(rows: &mut SendableRecordBatchStream, count: usize) -> Vec<i64> {
    numbers(&rows.take(count).collect::<Vec<_>>().await)
}

#[tokio::test]
async fn all_readers_read_what_is_made_once() {
    let world = World::new(3, 1 << 20);
    assert_eq!(read(&mut world.reader(0, five()), 9).await, [0, 1, 2, 3, 4]);
    assert!(world.pool.reserved() >= 4_000, "kept for the others: {}", world.pool.reserved());
    let (mut second, mut third) = (world.reader(1, unmade()), world.reader(2, unmade()));
    for number in 0..5 {
        assert_eq!((read(&mut second, 1).await, read(&mut third, 1).await), (vec![number], vec![number]));
    }
    assert!(second.next().await.is_none() && third.next().await.is_none());
    drop((second, third));
    assert_eq!(world.pool.reserved(), 0);
    // A reader that reads again runs its own plan, as one does that was not counted with.
    assert_eq!(read(&mut world.reader(0, five()), 9).await.len(), 5);
    assert_eq!(read(&mut world.reader(3, five()), 9).await.len(), 5);
    let again = World { rows: world.rows.renewed(), ..world };
    assert_eq!((again.rows.readers(), read(&mut again.reader(1, five()), 9).await.len()), (3, 5));
}

/// A join may want a row of one side, then of the other: the one that needs the next batch makes it.
#[tokio::test]
async fn readers_take_turns() {
    let world = World::new(2, 1 << 20);
    let (mut one, mut other) = (world.reader(0, five()), world.reader(1, unmade()));
    assert_eq!(read(&mut one, 1).await, [0]);
    assert_eq!(read(&mut other, 3).await, [0, 1, 2]);
    drop(other);
    assert_eq!(read(&mut one, 9).await, [1, 2, 3, 4]);
    drop(one);
    assert_eq!(world.pool.reserved(), 0);
}

/// Batches that are not ready at once.
fn slow(count: i64) -> Arc<dyn ExecutionPlan> {
    let batches = stream::iter(0..count).then(|number| async move {
        if number % 2 == 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        Ok(batch(number, 1))
    });
    plan(batches.boxed())
}

/// Readers in tasks of their own: no one is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_ever() {
    for _ in 0..50 {
        let (world, slow) = (World::new(4, 1 << 20), slow(40));
        // One of them leaves early, though others may have waited for it.
        let wanted = [1_000, 1_000, 7, 1_000];
        let readers = (0..4).zip(wanted).map(|(reader, wanted)| {
            let rows = world.reader_of(reader, &slow);
            tokio::spawn(async move { rows.take(wanted).count().await })
        });
        let counts = tokio::time::timeout(Duration::from_secs(20), futures::future::join_all(readers)).await;
        let counts: Vec<usize> = counts.expect("a reader waits for ever").into_iter().map(Result::unwrap).collect();
        assert_eq!(counts, [40, 40, 7, 40]);
        assert_eq!(world.pool.reserved(), 0);
    }
}

/// Readers of one task have one waker, as subqueries that are run beside each other have.
#[tokio::test]
async fn readers_of_one_task_are_all_awake() {
    for wanted in 1..6 {
        let (world, slow) = (World::new(3, 1 << 20), slow(20));
        let counts = futures::future::join3(
            world.reader_of(0, &slow).count(),
            world.reader_of(1, &slow).take(wanted).count(),
            world.reader_of(2, &slow).count(),
        );
        let counts = tokio::time::timeout(Duration::from_secs(20), counts).await;
        assert_eq!(counts.expect("a reader waits for ever"), (20, wanted, 20));
    }
}

#[tokio::test]
async fn a_failure_is_everyones() {
    let world = World::new(2, 1 << 20);
    let mut batches = five();
    batches.insert(1, Err(DataFusionError::Execution("lost".to_owned())));
    let (mut one, mut other) = (world.reader(0, batches), world.reader(1, unmade()));
    assert_eq!((read(&mut one, 3).await, read(&mut other, 2).await), (vec![0, -1, -1], vec![0, -1]));
    let error = other.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("lost"), "{error}");
}

/// What is too much to wait for a reader is not kept for it: neither over the bound, nor over what the statement may hold. A reader
/// whose stream is there has not begun before it asks for a row.
#[tokio::test]
async fn a_reader_that_may_never_come_costs_little() {
    for (rows, pool) in [(1 << 20, 1 << 30), (1 << 16, 1 << 20)] {
        let world = World::new(2, pool);
        let mut first = world.reader(0, (0..9).map(|number| Ok(batch(number, rows))).collect());
        let mut second = world.reader(1, five());
        assert_eq!(read(&mut first, 8).await, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(world.pool.reserved(), 0, "nothing is kept for it");
        assert_eq!(read(&mut second, 9).await, [0, 1, 2, 3, 4], "it runs its own plan");
        assert_eq!(read(&mut first, 9).await, [8]);
    }
}

/// A reader that has begun gets all rows, or an error where the statement may not hold what lies between the readers.
#[tokio::test]
async fn a_reader_that_has_begun_is_not_cut_off() {
    let world = World::new(2, 1 << 20);
    let mut one = world.reader(0, unmade());
    let mut other = world.reader(1, (0..9).map(|number| Ok(batch(number, 1 << 16))).collect());
    assert_eq!(read(&mut other, 1).await, [0]);
    assert_eq!(read(&mut one, 4).await, [0, 1, 2, -1]);
    assert_eq!(read(&mut other, 3).await, [1, 2, -1]);
}

/// Neither a source's connection nor what is grouped so far waits for a reader that has not begun.
#[tokio::test]
async fn an_input_that_no_reader_reads_is_closed() {
    let world = World::new(2, 1 << 20);
    let mut first = world.reader(0, five());
    assert_eq!(read(&mut first, 2).await, [0, 1]);
    drop(first);
    assert_eq!(world.pool.reserved(), 0);
    assert_eq!(read(&mut world.reader(1, five()), 9).await, [0, 1, 2, 3, 4], "it runs its own plan");
}

/// Places are those of the readers that come, by whatever numbers: of equal subqueries the engine runs one.
#[tokio::test]
async fn places_are_given_out_as_readers_come() {
    let world = World::new(2, 1 << 20);
    assert_eq!(read(&mut world.reader(7, five()), 9).await.len(), 5);
    assert_eq!(read(&mut world.reader(3, unmade()), 9).await, [0, 1, 2, 3, 4]);
    assert_eq!(world.pool.reserved(), 0);
}

/// A batch that points into a large one is kept without it.
#[tokio::test]
async fn what_waits_holds_only_its_rows() {
    let world = World::new(2, 1 << 30);
    let large = batch(0, 1 << 20);
    let slices = (0..4).map(|at| Ok(large.slice(at << 10, 1 << 10))).collect();
    assert_eq!(read(&mut world.reader(0, slices), 9).await.len(), 4);
    let kept = world.reader(1, unmade()).next().await.unwrap().unwrap();
    assert!(kept.get_array_memory_size() < 1 << 15, "{}", kept.get_array_memory_size());
    assert!(world.pool.reserved() < 1 << 16, "{}", world.pool.reserved());
}

/// The task that makes a batch may panic: the other readers are given what was made before, and fail.
#[tokio::test]
async fn a_panic_fails_all_readers() {
    let world = World::new(3, 1 << 20);
    let made = |number| if number < 2 { Ok(batch(number, 100)) } else { panic!("as a fault would") };
    let broken = plan(stream::iter(0..5).map(made).boxed());
    let (mut one, mut other) = (world.reader_of(0, &broken), world.reader(1, unmade()));
    assert_eq!(read(&mut one, 1).await, [0]);
    assert_eq!(read(&mut other, 1).await, [0]);
    let task = tokio::spawn(async move { one.by_ref().count().await });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(read(&mut other, 2).await, [1, -1]);
    assert_eq!(read(&mut world.reader(2, unmade()), 3).await, [0, 1, -1]);
    drop(other);
    assert_eq!(world.pool.reserved(), 0);
}
