//! One transaction, as the gate drives it.

use super::cells::{Cells, batch, stored};
use super::driver::Shared;
use super::language::LockWord;
use super::open_transaction::{OpenTransaction, StepError, has_columns};
use super::prepared_transactions::{prepare, settle};
use super::reading::Reading;
use super::store::{Column, State};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream::iter;
use futures::{StreamExt, TryStreamExt};
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{
    Applied, ChangeOp, ChangeSet, CommitError, Fate, GlobalId, Isolation, NativeChange, PrepareError, Rows, Savepoints,
    SourceTransaction, TargetColumn, TxMark, Violation,
};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows that are changed before others get their turn.
const ROWS_AT_ONCE: usize = 256;
/// How long the end of another transaction is waited for that holds a row. It is short: who waits for each other does so in vain.
const PATIENCE: Duration = Duration::from_millis(200);

/// A transaction, which is rolled back where it is dropped.
#[derive(Debug)]
pub(super) struct MemoryTransaction {
    shared: Arc<Shared>,
    /// `None`: it has ended.
    open: Option<OpenTransaction>,
    isolation: Isolation,
    savepoints: Savepoints<usize>,
    /// Under which it is kept. It is not this transaction's any more then.
    prepared: Option<GlobalId>,
}

impl Drop for MemoryTransaction {
    fn drop(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.rollback(&mut self.shared.state());
            self.shared.ended.notify_waiters();
        }
    }
}

impl MemoryTransaction {
    pub(super) fn begin(shared: Arc<Shared>, isolation: Isolation) -> Self {
        let open = Some(OpenTransaction::begin(&mut shared.state()));
        Self { shared, open, isolation, savepoints: Savepoints::default(), prepared: None }
    }

    /// One step, which waits a little for a row that somebody else holds.
    async fn step<T>(
        &mut self,
        context: &ExecuteContext,
        patience: Duration,
        mut step: impl FnMut(&mut OpenTransaction, &mut State) -> Result<T, StepError>,
    ) -> Result<Result<T, ()>> {
        let until = Instant::now() + patience;
        loop {
            let shared = Arc::clone(&self.shared);
            let ended = shared.ended.notified();
            let open = self.open.as_mut().ok_or_else(|| Error::internal("a transaction that has ended was used"))?;
            open.stands()?;
            let stopped = step(open, &mut shared.state());
            match stopped {
                Ok(done) => return Ok(Ok(done)),
                Err(StepError::Refused(error)) => return Err(error),
                Err(StepError::Held) => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Err(()));
            }
            tokio::select! {
                biased;
                error = context.over() => return Err(error),
                () = ended => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    async fn changed(
        &mut self,
        change: &NativeChange,
        rows: &RecordBatch,
        context: &ExecuteContext,
    ) -> Result<Applied> {
        let plan = Plan::of(change, &self.shared)?;
        let mut applied = Applied::default();
        let mut kept: Vec<Cells> = Vec::new();
        for row in 0..rows.num_rows() {
            if row % ROWS_AT_ONCE == 0 {
                tokio::task::yield_now().await;
                plan.check_size(&self.shared)?;
                if context.cancel.is_cancelled() || context.deadline.is_some_and(|deadline| Instant::now() >= deadline)
                {
                    return Err(context.over().await);
                }
            }
            let values = plan.values(rows, row)?;
            let done = self.step(context, PATIENCE, |open, state| plan.apply(open, state, &values)).await?;
            let done = done.map_err(|()| Violation::Serialization.error())?;
            applied.count += u64::from(done.is_some());
            kept.extend(done);
        }
        if !plan.give.is_empty() && !kept.is_empty() {
            let types: Vec<_> = change.statement.output.iter().map(|(output, _)| output.value_type).collect();
            applied.keep(batch(&kept, &plan.give, &types, &change.statement.schema)?)?;
        }
        Ok(applied)
    }

    /// The rows of a locked read, all of them held.
    async fn held(&mut self, mut reading: Reading, wait: LockWord, context: &ExecuteContext) -> Result<Reading> {
        let patience = match wait {
            LockWord::Wait => PATIENCE,
            LockWord::Nowait | LockWord::SkipLocked => Duration::ZERO,
        };
        let rows = std::mem::take(&mut reading.rows);
        for (row, cells) in rows.into_iter().filter(|(_, cells)| reading.passes(cells)).collect::<Vec<_>>() {
            let table = Arc::clone(&reading.table);
            match (self.step(context, patience, |open, state| open.hold(state, &table, row)).await?, wait) {
                (Ok(()), _) => reading.rows.push((row, cells)),
                (Err(()), LockWord::Wait) => return Err(Violation::Serialization.error()),
                (Err(()), LockWord::Nowait) => return Err(Violation::Locked.error()),
                (Err(()), LockWord::SkipLocked) => {}
            }
        }
        Ok(reading)
    }

    fn settled(&self, fate: Fate) {
        if let Some(id) = &self.prepared {
            settle(&mut self.shared.state(), id, fate);
            self.shared.ended.notify_waiters();
        }
    }
}

/// What a change does to each of its rows.
struct Plan {
    op: ChangeOp,
    table: Arc<str>,
    /// The table's columns, of which all this is.
    shape: Arc<[Column]>,
    /// Places of the change's columns, those of the key first.
    places: Vec<usize>,
    columns: Vec<TargetColumn>,
    key: usize,
    empty: Cells,
    give: Vec<usize>,
}

impl Plan {
    fn of(change: &NativeChange, shared: &Shared) -> Result<Self> {
        let missing = || Error::new(ErrorCode::SourceSchemaChanged, "a column is not in the source any more");
        let state = shared.state();
        let (table, found) = state.tables.get_key_value(change.shape.table.name()).ok_or_else(missing)?;
        let columns: Vec<TargetColumn> = change.shape.columns().cloned().collect();
        let place = |name: &str| found.place(name).ok_or_else(missing);
        let key = change.shape.key.len();
        let places = columns.iter().map(|column| place(column.name.as_str())).collect::<Result<Vec<_>>>()?;
        let is_primary = found.has_primary && found.keys.first().is_some_and(|own| places.iter().take(key).eq(own));
        if change.shape.op != ChangeOp::Insert && !is_primary {
            return Err(Error::internal("a change does not name the key of its table"));
        }
        let give =
            change.shape.returning.iter().map(|column| place(column.name.as_str())).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            op: change.shape.op,
            table: Arc::clone(table),
            shape: Arc::clone(&found.columns),
            places,
            key,
            empty: found.columns.iter().map(|column| Value::Null(column.value_type)).collect(),
            columns,
            give,
        })
    }

    fn check_size(&self, shared: &Shared) -> Result<()> {
        if self.op == ChangeOp::Delete || shared.state().bytes <= shared.bytes_max {
            return Ok(());
        }
        Err(Error::new(ErrorCode::DiskFull, "the source's memory is full"))
    }

    fn values(&self, rows: &RecordBatch, row: usize) -> Result<Vec<Value>> {
        let value = |(column, array): (&TargetColumn, &arrow::array::ArrayRef)| {
            stored(Value::from_array(array.as_ref(), row)?, column.value_type)
        };
        self.columns.iter().zip(rows.columns()).map(value).collect()
    }

    /// The row as it is stored then, or as it was where it is gone. `None`: there is no such row.
    fn apply(
        &self,
        open: &mut OpenTransaction,
        state: &mut State,
        values: &[Value],
    ) -> Result<Option<Cells>, StepError> {
        if !state.tables.get(&self.table).is_some_and(|table| has_columns(table, &self.shape)) {
            // The table got other columns since the change was begun.
            return Err(Violation::Serialization.into());
        }
        let with = |cells: &Cells| {
            let mut cells = cells.to_vec();
            for (place, value) in self.places.iter().zip(values) {
                if let Some(cell) = cells.get_mut(*place) {
                    *cell = value.clone();
                }
            }
            Cells::from(cells)
        };
        if self.op == ChangeOp::Insert {
            let cells = with(&self.empty);
            open.insert(state, &self.table, Arc::clone(&cells))?;
            return Ok(Some(cells));
        }
        let key = values.get(..self.key).unwrap_or_default();
        let Some(row) = open.find(state, &self.table, key)? else { return Ok(None) };
        let seen = state.tables.get(&self.table).and_then(|table| table.rows.get(&row)?.seen(open.view()).cloned());
        let Some(before) = seen else { return Ok(None) };
        let next = (self.op == ChangeOp::Update).then(|| with(&before));
        open.change(state, &self.table, row, next.clone())?;
        Ok(Some(next.unwrap_or(before)))
    }
}

#[async_trait]
impl SourceTransaction for MemoryTransaction {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        let open = self.open.as_mut().ok_or_else(|| Error::internal("a transaction that has ended was used"))?;
        let mut reading = Reading::of(&self.shared.state(), open.view(), statement, values)?;
        open.read.extend(reading.tables.iter().cloned());
        if let Some(wait) = reading.hold() {
            reading = self.held(reading, wait, &context).await?;
        }
        let parts: Vec<Vec<_>> = reading.rows.chunks(context.batch_rows.max(1)).map(<[_]>::to_vec).collect();
        let reading = Arc::new(reading);
        let batches = iter(parts).then(move |rows| {
            let (context, reading) = (context.clone(), Arc::clone(&reading));
            async move {
                tokio::select! {
                    biased;
                    error = context.over() => Err(error),
                    () = tokio::task::yield_now() => reading.batch(&rows),
                }
            }
        });
        Ok(batches.try_filter_map(|batch| async { Ok(batch) }).boxed())
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.changed(change, rows.rows(), context).await
    }

    async fn load(&mut self, change: &NativeChange, mut rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        let mut count = 0;
        while let Some(batch) = context.next_of(&mut rows).await? {
            for first in (0..batch.num_rows()).step_by(limits::BATCH_ROWS) {
                let part = batch.slice(first, limits::BATCH_ROWS.min(batch.num_rows() - first));
                count += self.changed(change, &part, context).await?.count;
            }
        }
        Ok(count)
    }

    async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.savepoints.set(id, self.open.as_ref().map_or(0, OpenTransaction::done));
        Ok(())
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        let done = self.savepoints.back_to(id)?;
        if let Some(open) = self.open.as_mut() {
            open.undo(&mut self.shared.state(), done);
            self.shared.ended.notify_waiters();
            open.stands()?;
        }
        Ok(())
    }

    async fn release(&mut self, id: u32) -> Result<()> {
        self.savepoints.release(id)
    }

    fn keeps_savepoints(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let committed = open.commit(&mut self.shared.state(), self.isolation == Isolation::Serializable);
        self.shared.ended.notify_waiters();
        committed.map_err(CommitError::RolledBack)
    }

    async fn rollback(self: Box<Self>) {}

    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        let Some(open) = self.open.take() else {
            return Err(PrepareError::Refused(Error::internal("a transaction that has ended was used")));
        };
        let kept = prepare(&mut self.shared.state(), *id, open, self.isolation == Isolation::Serializable);
        // What is refused was undone.
        self.shared.ended.notify_waiters();
        kept.map_err(PrepareError::Refused)?;
        self.prepared = Some(*id);
        Ok(())
    }

    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        self.settled(Fate::Committed);
        Ok(())
    }

    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        self.settled(Fate::RolledBack);
        Ok(())
    }
}
