//! What fragments did for one statement: rows, bytes and times of each run. An extension of the engine's configuration; without it
//! nothing is measured.

use super::file_reads::{FileLeaf, FileRun};
use super::fingerprint::fingerprint;
use super::sampled::Sampler;
use super::shape::{passing, shape_of};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{BatchStream, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_resources::bytes::batch_bytes;
use querygate_telemetry_api::FirstRow;
use querygate_telemetry_api::fragment::{ColumnSummary, FragmentRecord, FragmentShape, FragmentTemplate};
use querygate_types::wire_rows::WireRows;
use querygate_types::{Error, ErrorCode, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// Runs that are remembered of one statement: one per outer row of an apply would be too many.
const RUNS_MAX: usize = 256;

/// Collects the runs of one statement.
#[derive(Debug, Default)]
pub struct FragmentRuns {
    /// When the statement began, by both clocks: runs then look at one of them only.
    began: Option<(SystemTime, Instant)>,
    ended: Mutex<EndedRuns>,
}

/// Most statements have one run, which needs no list.
#[derive(Debug, Default)]
struct EndedRuns {
    one: Option<FragmentRecord>,
    others: Vec<FragmentRecord>,
    /// Leaves over files, which are read by several streams each.
    files: Vec<Arc<FileRun>>,
}

impl FragmentRuns {
    fn ended(&self) -> MutexGuard<'_, EndedRuns> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a statement, of which nothing has run yet.
    pub fn begin(&mut self, began: (SystemTime, Instant)) {
        *self.ended.get_mut().unwrap_or_else(PoisonError::into_inner) = EndedRuns::default();
        self.began = Some(began);
    }

    fn time_of(&self, moment: Instant) -> SystemTime {
        let since = |(time, began): (SystemTime, Instant)| time.checked_add(moment.saturating_duration_since(began));
        self.began.and_then(since).unwrap_or_else(SystemTime::now)
    }

    /// The runs that ended since the last call: one, and others.
    #[must_use]
    pub fn take(&self) -> (Option<FragmentRecord>, Vec<FragmentRecord>) {
        let EndedRuns { one, mut others, files } = std::mem::take(&mut *self.ended());
        others.extend(files.iter().map(|run| run.record()));
        (one, others)
    }

    /// The run that ended, if there was not more than one. `None`: there was more. What still runs, because its reader left, is
    /// not heard any more.
    #[must_use]
    pub fn single(self: &mut Arc<Self>) -> Option<&[FragmentRecord]> {
        if Arc::get_mut(self).is_none() {
            let ended = Mutex::new(std::mem::take(&mut *self.ended()));
            *self = Arc::new(Self { began: self.began, ended });
        }
        let ended = Arc::get_mut(self)?.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        (ended.others.is_empty() && ended.files.is_empty()).then_some(ended.one.as_slice())
    }

    /// The run of a leaf over files that one more stream belongs to; `None`: there are too many.
    pub(crate) fn of_files(&self, leaf: &Arc<FileLeaf>, inner: &Arc<dyn ExecutionPlan>) -> Option<Arc<FileRun>> {
        let mut ended = self.ended();
        let files = &mut ended.files;
        if let Some(known) = files.iter().find(|run| run.is_of(leaf, inner)) {
            return Some(Arc::clone(known));
        }
        if files.len() >= RUNS_MAX {
            return None;
        }
        let run = Arc::new(FileRun::begin(leaf, inner)?);
        files.push(Arc::clone(&run));
        Some(run)
    }

    fn push(&self, record: FragmentRecord) {
        let mut ended = self.ended();
        if ended.one.is_none() {
            ended.one = Some(record);
        } else if ended.others.len() < RUNS_MAX - 1 {
            ended.others.push(record);
        }
    }
}

/// What is known of a compiled fragment before it runs, shared by its runs. The template is made when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct FragmentFacts {
    pub(crate) estimated_rows: Option<u64>,
    /// Parameters whose values a policy gives.
    pub(crate) policy: Vec<usize>,
    template: OnceLock<Arc<FragmentTemplate>>,
}

impl FragmentFacts {
    pub(crate) fn new(estimated_rows: Option<f64>, policy: Vec<usize>) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, not negative; `as` saturates"
        )]
        let estimated_rows = estimated_rows.filter(|rows| rows.is_finite()).map(|rows| rows.max(0.0) as u64);
        Self { estimated_rows, policy, template: OnceLock::new() }
    }

    /// `statement` is the fragment's own text, without keys that a join adds while it runs.
    pub(crate) fn template(
        &self,
        driver: &Arc<dyn Driver>,
        source: &Arc<str>,
        fragment: &Fragment,
        statement: &NativeStatement,
    ) -> Arc<FragmentTemplate> {
        let make = || {
            let shape = shape_of(fragment, &self.policy);
            let passing = passing(fragment, &self.policy);
            Arc::new(FragmentTemplate {
                source: Arc::clone(source),
                kind: driver.kind(),
                objects: objects(&shape),
                text: Arc::clone(&statement.text),
                fingerprint: fingerprint([source.as_bytes(), statement.text.as_bytes()]),
                passing,
                shape,
            })
        };
        Arc::clone(self.template.get_or_init(make))
    }
}

fn objects(shape: &FragmentShape) -> Arc<[String]> {
    let mut names: Vec<String> = shape.tables.iter().filter_map(|table| table.path.last().cloned()).collect();
    names.sort();
    names.dedup();
    names.into()
}

/// One run, being measured.
#[derive(Debug)]
pub(crate) struct FragmentRun {
    runs: Arc<FragmentRuns>,
    template: Arc<FragmentTemplate>,
    estimated_rows: Option<u64>,
    narrowed: bool,
    asked: Instant,
}

impl FragmentRun {
    pub(crate) fn begin(
        runs: Arc<FragmentRuns>,
        template: Arc<FragmentTemplate>,
        known: &FragmentFacts,
        narrowed: bool,
    ) -> Self {
        Self { runs, template, estimated_rows: known.estimated_rows, narrowed, asked: Instant::now() }
    }

    fn end(self, end: End) {
        let End { acquire, first_row, total, rows, bytes, complete, nulls, columns, error } = end;
        let began = self.runs.time_of(self.asked);
        self.runs.push(FragmentRecord {
            template: self.template,
            began,
            estimated_rows: self.estimated_rows,
            rows,
            bytes,
            acquire,
            first_row,
            total,
            complete,
            narrowed: self.narrowed,
            nulls,
            columns,
            reads: None,
            error,
        });
    }

    /// Closes a run that is over, where it is measured.
    pub(crate) fn over<T>(run: Option<Self>, outcome: Result<T>, rows: impl FnOnce(Self, &T)) -> Result<T> {
        match (run, &outcome) {
            (Some(run), Ok(found)) => rows(run, found),
            (Some(run), Err(error)) => run.failed(error),
            (None, _) => {}
        }
        outcome
    }

    /// The batches of a run that has begun, measured as they are read; where it did not begin, it is closed.
    pub(crate) fn begun(run: Option<Self>, batches: Result<BatchStream>) -> Result<BatchStream> {
        match (run, batches) {
            (Some(run), Ok(batches)) => Ok(Measured::new(batches, run).boxed()),
            (Some(run), Err(error)) => {
                run.failed(&error);
                Err(error)
            }
            (None, batches) => batches,
        }
    }

    fn no_nulls(&self) -> Vec<u64> {
        vec![0; self.template.passing.len()]
    }

    /// The driver did not begin.
    fn failed(self, error: &Error) {
        let (total, nulls) = (self.asked.elapsed(), self.no_nulls());
        self.end(End { acquire: total, total, nulls, error: Some(error.code()), ..End::default() });
    }

    /// All its rows are here, as messages.
    pub(crate) fn wire_rows(self, rows: &WireRows) {
        self.all(rows.rows, rows.bytes, rows.nulls.iter().copied());
    }

    /// All its rows are here, as one batch.
    pub(crate) fn batch(self, batch: &RecordBatch) {
        let nulls = batch.columns().iter().map(|column| column.null_count() as u64);
        self.all(batch.num_rows() as u64, batch_bytes(batch), nulls);
    }

    /// Looked up over a connection that was there: it waited for none.
    fn all(self, rows: u64, bytes: u64, counted: impl Iterator<Item = u64>) {
        let total = self.asked.elapsed();
        let mut nulls = self.no_nulls();
        for (nulls, counted) in nulls.iter_mut().zip(counted) {
            *nulls += counted;
        }
        let first_row = (rows > 0).then_some(total);
        self.end(End { first_row, total, rows, bytes, complete: true, nulls, ..End::default() });
    }
}

/// What is known of a run where it ends.
#[derive(Debug, Default)]
struct End {
    acquire: Duration,
    first_row: Option<Duration>,
    total: Duration,
    rows: u64,
    bytes: u64,
    complete: bool,
    nulls: Vec<u64>,
    columns: Box<[ColumnSummary]>,
    error: Option<ErrorCode>,
}

/// The driver's batches, measured where somebody wants that.
struct Measured {
    batches: BatchStream,
    seen: Option<Seen>,
}

/// What was seen of a run so far.
struct Seen {
    run: FragmentRun,
    acquire: Duration,
    first_row: FirstRow,
    rows: u64,
    bytes: u64,
    nulls: Vec<u64>,
    sampler: Option<Sampler>,
}

impl Measured {
    fn new(batches: BatchStream, run: FragmentRun) -> Self {
        let (acquire, nulls) = (run.asked.elapsed(), run.no_nulls());
        let sampler = (!nulls.is_empty()).then(|| Sampler::new(nulls.len()));
        let seen = Seen { run, acquire, first_row: FirstRow::default(), rows: 0, bytes: 0, nulls, sampler };
        Self { batches, seen: Some(seen) }
    }

    fn end(&mut self, complete: bool, error: Option<ErrorCode>) {
        if let Some(seen) = self.seen.take() {
            seen.end(complete, error);
        }
    }
}

impl Seen {
    fn add(&mut self, batch: &RecordBatch) {
        self.first_row.came(batch.num_rows(), || self.run.asked.elapsed());
        self.rows += batch.num_rows() as u64;
        self.bytes += batch_bytes(batch);
        // Arrow counts them as it makes the column.
        for (nulls, column) in self.nulls.iter_mut().zip(batch.columns()) {
            *nulls += column.null_count() as u64;
        }
        if let Some(sampler) = &mut self.sampler {
            sampler.add(batch);
        }
    }

    fn end(self, complete: bool, error: Option<ErrorCode>) {
        let Self { run, acquire, first_row, rows, bytes, nulls, sampler } = self;
        let total = run.asked.elapsed();
        let columns = sampler.filter(|_| complete).map(|sampler| sampler.summaries()).unwrap_or_default();
        let first_row = first_row.of(total);
        run.end(End { acquire, first_row, total, rows, bytes, complete, nulls, columns, error });
    }
}

impl Stream for Measured {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.batches.poll_next_unpin(cx);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                if let Some(seen) = &mut self.seen {
                    seen.add(batch);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let code = error.code();
                self.end(false, Some(code));
            }
            Poll::Ready(None) => self.end(true, None),
            Poll::Pending => {
                if let Some(Seen { run, first_row, .. }) = &mut self.seen {
                    first_row.waits(|| run.asked.elapsed());
                }
            }
        }
        next
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.end(false, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_needs_no_list_and_no_more_are_kept_than_may_be() {
        let template = FragmentTemplate {
            source: "crm".into(),
            kind: "sqlite",
            objects: Arc::new([]),
            text: "SELECT 1".into(),
            fingerprint: 1,
            passing: vec!["a".to_owned()],
            shape: FragmentShape::default(),
        };
        let template = Arc::new(template);
        let mut runs = Arc::new(FragmentRuns::default());
        let run = |runs: &Arc<FragmentRuns>| {
            FragmentRun::begin(Arc::clone(runs), Arc::clone(&template), &FragmentFacts::default(), false)
        };
        let rows = |n| WireRows { rows: n, bytes: 9 * n, nulls: vec![n], ..WireRows::default() };
        run(&runs).wire_rows(&rows(3));
        let (one, others) = runs.take();
        let one = one.unwrap();
        assert!(others.is_empty() && others.capacity() == 0);
        assert_eq!((one.rows, one.bytes, one.nulls.as_slice(), one.complete), (3, 27, &[3][..], true));
        assert_eq!((one.acquire, one.first_row), (Duration::ZERO, Some(one.total)));
        (0..1_000).for_each(|n| run(&runs).wire_rows(&rows(n)));
        let (one, others) = runs.take();
        let kept: Vec<u64> = one.iter().chain(&others).map(|record| record.rows).collect();
        assert!(kept.len() == RUNS_MAX && kept.is_sorted(), "{}", kept.len());
        assert!(matches!(runs.take(), (None, others) if others.is_empty()));
        // A single run needs no copy, and a run that goes on is not waited for.
        assert_eq!(runs.single().map(<[_]>::len), Some(0));
        run(&runs).wire_rows(&rows(3));
        let left = run(&runs);
        assert_eq!(runs.single().map(|one| one[0].rows), Some(3));
        left.wire_rows(&rows(4));
        assert_eq!(runs.single().map(<[_]>::len), Some(1));
        run(&runs).wire_rows(&rows(5));
        assert!(runs.single().is_none());
        let began = SystemTime::UNIX_EPOCH;
        let (runs_of_next, at) = (Arc::get_mut(&mut runs).unwrap(), Instant::now());
        runs_of_next.begin((began, at));
        assert_eq!(runs.single().map(<[_]>::len), Some(0), "the next statement begins with none");
        run(&runs).wire_rows(&rows(6));
        let one = runs.single().unwrap();
        assert!(one[0].began >= began && one[0].began <= began + at.elapsed());
    }
}
