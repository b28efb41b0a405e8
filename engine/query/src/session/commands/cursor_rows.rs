//! Where a cursor stands among its rows, and the rows that a scrollable one keeps to go back to. Knows no session.

use crate::errors::{Stage, translate};
use crate::run::interrupt::Interrupt;
use crate::sql::classify::Walk;
use arrow::array::UInt32Array;
use arrow::compute::take;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::StreamExt;
use querygate_query_api::outcome::BatchStream;
use querygate_resources::bytes::{Compacted, compact};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// A cursor's rows, as far as they are read, and its place among them.
pub(in crate::session) struct Reading {
    /// `None`: read to its end.
    stream: Option<BatchStream>,
    store: Store,
    /// Rows up to the current one, with it; behind the last row: all.
    passed: u64,
    after: bool,
}

enum Store {
    /// Forward only: what is left of a batch.
    Passing(Option<RecordBatch>),
    Kept(Kept),
}

/// All rows that were read.
struct Kept {
    batches: Vec<RecordBatch>,
    /// Rows up to the end of each batch.
    ends: Vec<u64>,
    memory: MemoryReservation,
}

/// Bytes that a kept batch may cost beside its rows before it is copied.
const SLACK_BYTES: usize = 4_096;

/// What is left of a FETCH once the cursor stands where its rows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) struct Stretch {
    pub(in crate::session) back: bool,
    pub(in crate::session) rows: u64,
}

impl Reading {
    pub(in crate::session) fn forward_only(stream: BatchStream) -> Self {
        Self { stream: Some(stream), store: Store::Passing(None), passed: 0, after: false }
    }

    /// Keeps its rows, in memory of this pool.
    pub(in crate::session) fn scrolling(stream: BatchStream, pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("cursor").register(pool);
        let store = Store::Kept(Kept { batches: Vec::new(), ends: Vec::new(), memory });
        Self { stream: Some(stream), store, passed: 0, after: false }
    }

    pub(in crate::session) const fn scrolls(&self) -> bool {
        matches!(self.store, Store::Kept(_))
    }

    const fn is_on_row(&self) -> bool {
        self.passed > 0 && !self.after
    }

    /// Whether the cursor can go there.
    ///
    /// # Errors
    /// 55000: it would have to go back, and keeps no rows.
    pub(in crate::session) fn admits(&self, walk: Walk) -> Result<()> {
        if self.scrolls() {
            return Ok(());
        }
        let stays = |row: u64| row > self.passed || (row == self.passed && !self.after);
        let forward = match walk {
            Walk::Forward(Some(0)) | Walk::Backward(Some(0)) | Walk::Relative(0) => !self.is_on_row(),
            Walk::Forward(_) => true,
            Walk::Backward(_) => false,
            Walk::Absolute(row) => u64::try_from(row).is_ok_and(|row| stays(row.saturating_sub(1))),
            Walk::Relative(rows) => rows > 0,
        };
        if forward { Ok(()) } else { Err(forward_only()) }
    }

    /// Goes to where the rows of a walk begin.
    pub(in crate::session) async fn set_out(&mut self, walk: Walk, interrupt: &Interrupt) -> Result<Stretch> {
        self.admits(walk)?;
        let stretch = |back, rows: Option<u64>| Stretch { back, rows: rows.unwrap_or(u64::MAX) };
        match walk {
            Walk::Forward(Some(0)) | Walk::Backward(Some(0)) | Walk::Relative(0) => {
                let here = u64::from(self.is_on_row());
                self.passed -= here;
                Ok(stretch(false, Some(here)))
            }
            Walk::Forward(rows) => Ok(stretch(false, rows)),
            Walk::Backward(rows) => Ok(stretch(true, rows)),
            Walk::Absolute(0) => {
                self.go_to(0, interrupt).await?;
                Ok(stretch(false, Some(0)))
            }
            Walk::Absolute(row) if row > 0 => {
                self.go_to(row.unsigned_abs() - 1, interrupt).await?;
                Ok(stretch(false, Some(1)))
            }
            Walk::Absolute(row) => {
                while self.forward(u64::MAX, interrupt).await?.is_some() {}
                self.go_back(row.unsigned_abs() - 1);
                Ok(stretch(true, Some(1)))
            }
            Walk::Relative(rows) if rows > 0 => {
                if !self.after {
                    self.go_to(self.passed.saturating_add(rows.unsigned_abs() - 1), interrupt).await?;
                }
                Ok(stretch(false, Some(1)))
            }
            Walk::Relative(rows) => {
                self.go_back(rows.unsigned_abs() - 1);
                Ok(stretch(true, Some(1)))
            }
        }
    }

    /// Stands on a row, counted from the first; before it, or behind the last one if there are fewer.
    async fn go_to(&mut self, row: u64, interrupt: &Interrupt) -> Result<()> {
        if row < self.passed || (row == self.passed && self.after) {
            (self.passed, self.after) = (row, false);
        }
        while self.passed < row {
            if self.forward(row - self.passed, interrupt).await?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// A number of rows back, at most before the first.
    fn go_back(&mut self, rows: u64) {
        if rows > 0 {
            self.passed = (self.passed + u64::from(self.after)).saturating_sub(rows);
            self.after = false;
        }
    }

    /// Reads the first rows, so that the statement's reads have begun.
    pub(in crate::session) async fn begin(&mut self, interrupt: &Interrupt) -> Result<()> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        let first = interrupt.within(async { stream.next().await.transpose() }).await?;
        self.stream = first.map(|first| futures::stream::iter([Ok(first)]).chain(stream).boxed());
        Ok(())
    }

    /// Reads all that is left, into memory of this pool, which it gives back as the cursor passes the rows.
    ///
    /// # Errors
    /// 53200: more than the pool has.
    pub(in crate::session) async fn read_ahead(
        &mut self,
        pool: &Arc<dyn MemoryPool>,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let whole = MemoryConsumer::new("cursor").register(pool);
        let mut batches = Vec::new();
        while let Some(batch) = interrupt.within(async { stream.next().await.transpose() }).await? {
            let Compacted { batch, held: bytes, .. } = compact(batch, SLACK_BYTES).map_err(Error::internal)?;
            whole.try_grow(bytes).map_err(|error| translate(&error, Stage::Execute))?;
            batches.push((batch, whole.split(bytes)));
        }
        self.stream = Some(futures::stream::iter(batches).map(|(batch, _memory)| Ok(batch)).boxed());
        Ok(())
    }

    /// Some of the next rows, `wanted` at most. `None`: there are no more, or none is wanted.
    pub(in crate::session) async fn forward(
        &mut self,
        wanted: u64,
        interrupt: &Interrupt,
    ) -> Result<Option<RecordBatch>> {
        if self.after || wanted == 0 {
            return Ok(None);
        }
        let Some(batch) = self.ahead(interrupt).await? else {
            self.after = true;
            return Ok(None);
        };
        let rows = usize::try_from(wanted).unwrap_or(usize::MAX).min(batch.num_rows());
        if let Store::Passing(rest) = &mut self.store
            && rows < batch.num_rows()
        {
            *rest = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        self.passed += rows as u64;
        Ok(Some(batch.slice(0, rows)))
    }

    /// Some of the rows before the current one, the nearest first, `wanted` at most.
    pub(in crate::session) fn backward(&mut self, wanted: u64) -> Result<Option<RecordBatch>> {
        let Store::Kept(kept) = &self.store else { return Err(forward_only()) };
        if wanted == 0 {
            return Ok(None);
        }
        let before = if self.after { self.passed } else { self.passed.saturating_sub(1) };
        (self.passed, self.after) = (0, false);
        let Some(batch) = kept.until(before, wanted)? else { return Ok(None) };
        self.passed = before + 1 - batch.num_rows() as u64;
        Ok(Some(batch))
    }

    /// The rows behind the current one that are at hand; where there are none, a batch is read.
    async fn ahead(&mut self, interrupt: &Interrupt) -> Result<Option<RecordBatch>> {
        let at_hand = match &mut self.store {
            Store::Passing(rest) => rest.take(),
            Store::Kept(kept) => kept.behind(self.passed),
        };
        if at_hand.is_some() {
            return Ok(at_hand);
        }
        while let Some(stream) = self.stream.as_mut() {
            match interrupt.within(async { stream.next().await.transpose() }).await? {
                None => self.stream = None,
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    return match &mut self.store {
                        Store::Passing(_) => Ok(Some(batch)),
                        Store::Kept(kept) => kept.keep(&batch).map(Some),
                    };
                }
            }
        }
        Ok(None)
    }
}

impl Kept {
    fn rows(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    fn keep(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let Compacted { batch, held: bytes, .. } = compact(batch.clone(), SLACK_BYTES).map_err(Error::internal)?;
        self.memory.try_grow(bytes).map_err(|error| translate(&error, Stage::Execute))?;
        self.ends.push(self.rows() + batch.num_rows() as u64);
        self.batches.push(batch.clone());
        Ok(batch)
    }

    /// The batch of a row, counted from zero, and the rows before it.
    fn batch_of(&self, row: u64) -> Option<(&RecordBatch, u64)> {
        let at = self.ends.partition_point(|end| *end <= row);
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.batches.get(at).map(|batch| (batch, start))
    }

    /// Rows of one batch behind a number of rows.
    fn behind(&self, passed: u64) -> Option<RecordBatch> {
        let (batch, start) = self.batch_of(passed)?;
        let offset = usize::try_from(passed - start).ok()?;
        Some(batch.slice(offset, batch.num_rows() - offset))
    }

    /// Rows of one batch up to a row, counted from one, the last first.
    fn until(&self, row: u64, wanted: u64) -> Result<Option<RecordBatch>> {
        let Some((batch, start)) = row.checked_sub(1).and_then(|last| self.batch_of(last)) else { return Ok(None) };
        let rows = wanted.min(row - start);
        let places = (row - start - rows..row - start).rev();
        let places: Vec<u32> = places.map(|place| u32::try_from(place).unwrap_or(u32::MAX)).collect();
        picked(batch, &UInt32Array::from(places)).map(Some)
    }
}

fn picked(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| take(column, rows, None).map_err(Error::internal));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect::<Result<_>>()?, &options)
        .map_err(Error::internal)
}

fn forward_only() -> Error {
    Error::new(ErrorCode::ObjectNotInPrerequisiteState, "cursor can only scan forward")
        .with_hint("Declare it with SCROLL option to enable backward scan.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::memory::Account;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::execution::memory_pool::UnboundedMemoryPool;
    use querygate_resources::memory::Owner;
    use tokio_util::sync::CancellationToken;

    /// Rows 1 to `rows`, three in a batch, with an empty batch among them.
    fn numbers(rows: i64) -> BatchStream {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let all: Vec<i64> = (1..=rows).collect();
        let mut chunks: Vec<Vec<i64>> = all.chunks(3).map(<[i64]>::to_vec).collect();
        chunks.insert(0, Vec::new());
        let batch = move |chunk: Vec<i64>| {
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(chunk))]).map_err(Error::internal)
        };
        futures::stream::iter(chunks).map(batch).boxed()
    }

    fn pool(cap: usize) -> Arc<dyn MemoryPool> {
        Account::new(Owner::Cursors, Arc::new(UnboundedMemoryPool::default()), cap)
    }

    async fn fetch(reading: &mut Reading, walk: Walk) -> Result<Vec<i64>> {
        let interrupt = Interrupt::new(CancellationToken::new(), None);
        let Stretch { back, mut rows } = reading.set_out(walk, &interrupt).await?;
        let mut found = Vec::new();
        loop {
            let batch = if back { reading.backward(rows)? } else { reading.forward(rows, &interrupt).await? };
            let Some(batch) = batch else { return Ok(found) };
            rows -= batch.num_rows() as u64;
            found.extend(batch.column(0).as_primitive::<Int64Type>().values());
        }
    }

    #[tokio::test]
    async fn rows_read_ahead_are_charged_until_they_are_passed() {
        let memory = pool(1 << 20);
        let interrupt = Interrupt::new(CancellationToken::new(), None);
        for mut reading in [Reading::forward_only(numbers(7)), Reading::scrolling(numbers(7), &memory)] {
            assert_eq!(fetch(&mut reading, Walk::Forward(Some(2))).await.unwrap(), [1, 2]);
            reading.read_ahead(&memory, &interrupt).await.unwrap();
            assert!(memory.reserved() > 0);
            assert_eq!(fetch(&mut reading, Walk::Forward(None)).await.unwrap(), [3, 4, 5, 6, 7]);
            drop(reading);
            assert_eq!(memory.reserved(), 0);
        }
        let mut reading = Reading::forward_only(numbers(7));
        let refused = reading.read_ahead(&pool(8), &interrupt).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::OutOfMemory);
    }

    /// What PostgreSQL answers for `DECLARE c SCROLL CURSOR FOR SELECT generate_series(1, 7)`.
    #[tokio::test]
    async fn a_scrollable_cursor_goes_where_postgres_goes() {
        use Walk::{Absolute, Backward, Forward, Relative};
        let mut reading = Reading::scrolling(numbers(7), &pool(1 << 20));
        let steps: &[(Walk, &[i64])] = &[
            (Forward(Some(0)), &[]),
            (Backward(Some(1)), &[]),
            (Forward(Some(2)), &[1, 2]),
            (Forward(Some(0)), &[2]),
            (Relative(0), &[2]),
            (Relative(3), &[5]),
            (Relative(-1), &[4]),
            (Backward(Some(9)), &[3, 2, 1]),
            (Forward(Some(1)), &[1]),
            (Absolute(-1), &[7]),
            (Forward(Some(1)), &[]),
            (Backward(Some(1)), &[7]),
            (Absolute(3), &[3]),
            (Absolute(-3), &[5]),
            (Absolute(99), &[]),
            (Forward(None), &[]),
            (Backward(None), &[7, 6, 5, 4, 3, 2, 1]),
            (Absolute(0), &[]),
            (Forward(None), &[1, 2, 3, 4, 5, 6, 7]),
            (Forward(Some(0)), &[]),
            (Relative(-2), &[6]),
            (Relative(-99), &[]),
            (Absolute(1), &[1]),
            (Absolute(-99), &[]),
            (Relative(1), &[1]),
            (Relative(i64::MAX), &[]),
            (Relative(i64::MIN), &[]),
            (Absolute(i64::MIN), &[]),
            (Forward(Some(3)), &[1, 2, 3]),
        ];
        for (at, (walk, rows)) in steps.iter().enumerate() {
            assert_eq!(fetch(&mut reading, *walk).await.unwrap(), *rows, "step {at}: {walk:?}");
        }
    }

    #[tokio::test]
    async fn a_forward_cursor_keeps_nothing_and_says_so() {
        use Walk::{Absolute, Backward, Forward, Relative};
        let mut reading = Reading::forward_only(numbers(7));
        assert_eq!(fetch(&mut reading, Absolute(1)).await.unwrap(), [1]);
        assert_eq!(fetch(&mut reading, Relative(2)).await.unwrap(), [3]);
        for back in
            [Backward(Some(1)), Backward(None), Absolute(3), Absolute(0), Absolute(-1), Relative(-1), Relative(0)]
        {
            let error = fetch(&mut reading, back).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::ObjectNotInPrerequisiteState, "{back:?}");
        }
        assert_eq!(fetch(&mut reading, Absolute(5)).await.unwrap(), [5]);
        assert_eq!(fetch(&mut reading, Forward(None)).await.unwrap(), [6, 7]);
        assert_eq!(fetch(&mut reading, Forward(Some(0))).await.unwrap(), [0_i64; 0]);
    }

    #[tokio::test]
    async fn kept_rows_have_a_bound() {
        let pool = pool(4_096);
        let mut reading = Reading::scrolling(numbers(3_000), &pool);
        let error = fetch(&mut reading, Walk::Absolute(-1)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::OutOfMemory);
        drop(reading);
        assert_eq!(pool.reserved(), 0);
    }

    /// A slice of a large batch costs what it holds.
    #[tokio::test]
    async fn a_slice_is_kept_without_what_it_was_cut_from() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let large = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![7; 100_000]))]).unwrap();
        let slices: Vec<Result<RecordBatch>> = (0..20).map(|n| Ok(large.slice(n * 10, 10))).collect();
        let mut reading = Reading::scrolling(futures::stream::iter(slices).boxed(), &pool(64 << 10));
        assert_eq!(fetch(&mut reading, Walk::Forward(None)).await.unwrap().len(), 200);
    }
}
