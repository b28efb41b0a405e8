//! What fragments did for one statement: rows, bytes and times of each run. An extension of the engine's configuration; without it
//! nothing is measured.

use super::shape::{passing, shape_of};
use crate::leaf::{FileLeaf, FileRun};
use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};
use querygate_driver_api::{BatchStream, Driver, Fragment, NativeStatement};
use querygate_query_api::telemetry::{FragmentRecord, FragmentShape, FragmentTemplate};
use querygate_types::{Error, ErrorCode, Result, WrittenRows};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// Runs that are remembered of one statement: one per outer row of an apply would be too many.
const RUNS_MAX: usize = 256;

/// Collects the runs of one statement.
#[derive(Debug, Default)]
pub struct FragmentRuns {
    records: Mutex<Vec<FragmentRecord>>,
    /// Leaves over files, which are read by several streams each.
    files: Mutex<Vec<Arc<FileRun>>>,
}

impl FragmentRuns {
    /// The runs that ended since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<FragmentRecord> {
        let mut records = std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner));
        let files = std::mem::take(&mut *self.files.lock().unwrap_or_else(PoisonError::into_inner));
        records.extend(files.iter().map(|run| run.record()));
        records
    }

    /// The run of a leaf over files that one more stream belongs to; `None`: there are too many.
    pub(crate) fn of_files(&self, leaf: &Arc<FileLeaf>, inner: &Arc<dyn ExecutionPlan>) -> Option<Arc<FileRun>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() < RUNS_MAX {
            if records.is_empty() {
                // Most statements have one.
                records.reserve_exact(1);
            }
            records.push(record);
        }
    }
}

/// Bytes of a batch's own rows, not of the buffers that it shares.
#[must_use]
pub fn batch_bytes(batch: &RecordBatch) -> u64 {
    let of = |column: &Arc<dyn Array>| column.to_data().get_slice_memory_size().unwrap_or(0) as u64;
    batch.columns().iter().map(of).sum()
}

/// What is known of a compiled fragment before it runs, shared by its runs. The template is made when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) estimated_rows: Option<u64>,
    /// Parameters whose values a policy gives.
    pub(super) policy: Vec<usize>,
    template: OnceLock<Arc<FragmentTemplate>>,
}

impl Known {
    pub(super) fn new(estimated_rows: Option<f64>, policy: Vec<usize>) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, not negative; `as` saturates"
        )]
        let estimated_rows = estimated_rows.filter(|rows| rows.is_finite()).map(|rows| rows.max(0.0) as u64);
        Self { estimated_rows, policy, template: OnceLock::new() }
    }

    /// `statement` is the fragment's own text, without keys that a join adds while it runs.
    pub(super) fn template(
        &self,
        (driver, source): (&Arc<dyn Driver>, &Arc<str>),
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

/// FNV-1a, 64 bits: the same in every build, because it is kept on disk.
pub(crate) fn fingerprint<const N: usize>(parts: [&[u8]; N]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// One run, being measured.
#[derive(Debug)]
pub(super) struct Run {
    runs: Arc<FragmentRuns>,
    template: Arc<FragmentTemplate>,
    estimated_rows: Option<u64>,
    narrowed: bool,
    began: SystemTime,
    asked: Instant,
}

impl Run {
    pub(super) fn begin(
        runs: Arc<FragmentRuns>,
        template: Arc<FragmentTemplate>,
        known: &Known,
        narrowed: bool,
    ) -> Self {
        Self {
            runs,
            template,
            estimated_rows: known.estimated_rows,
            narrowed,
            began: SystemTime::now(),
            asked: Instant::now(),
        }
    }

    fn record(&self, acquire: Duration) -> FragmentRecord {
        FragmentRecord {
            template: Arc::clone(&self.template),
            began: self.began,
            estimated_rows: self.estimated_rows,
            rows: 0,
            bytes: 0,
            acquire,
            first_row: None,
            total: Duration::ZERO,
            complete: false,
            narrowed: self.narrowed,
            nulls: vec![0; self.template.passing.len()],
            reads: None,
            error: None,
        }
    }

    /// The driver did not begin.
    pub(super) fn failed(self, error: &Error) {
        let total = self.asked.elapsed();
        self.runs.push(FragmentRecord { total, error: Some(error.code()), ..self.record(total) });
    }

    /// All its rows are here.
    pub(super) fn written(self, rows: &WrittenRows) {
        let total = self.asked.elapsed();
        let mut record = self.record(total);
        for (nulls, counted) in record.nulls.iter_mut().zip(&rows.nulls) {
            *nulls += counted;
        }
        let first_row = (rows.rows > 0).then_some(total);
        let (rows, bytes) = (rows.rows, rows.bytes);
        self.runs.push(FragmentRecord { rows, bytes, first_row, total, complete: true, ..record });
    }

    /// The driver's batches, measured.
    pub(super) fn measured(self, batches: BatchStream) -> BatchStream {
        let record = self.record(self.asked.elapsed());
        Measured { batches, run: self, record: Some(record) }.boxed()
    }
}

struct Measured {
    batches: BatchStream,
    run: Run,
    record: Option<FragmentRecord>,
}

impl Measured {
    fn end(&mut self, complete: bool, error: Option<ErrorCode>) {
        if let Some(mut record) = self.record.take() {
            (record.total, record.complete, record.error) = (self.run.asked.elapsed(), complete, error);
            self.run.runs.push(record);
        }
    }
}

impl Stream for Measured {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.batches.poll_next_unpin(cx);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                let elapsed = self.run.asked.elapsed();
                if let Some(record) = &mut self.record {
                    record.rows += batch.num_rows() as u64;
                    record.bytes += batch_bytes(batch);
                    // Arrow counts them as it makes the column.
                    for (nulls, column) in record.nulls.iter_mut().zip(batch.columns()) {
                        *nulls += column.null_count() as u64;
                    }
                    record.first_row.get_or_insert(elapsed);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let code = error.code();
                self.end(false, Some(code));
            }
            Poll::Ready(None) => self.end(true, None),
            Poll::Pending => {}
        }
        next
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.end(false, None);
    }
}
