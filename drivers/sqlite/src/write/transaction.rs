//! One transaction on the writing connection.

use super::error::from_change;
use super::{alterations, marker, print, store};
use crate::bind::{add, arguments};
use crate::decode::Decoder;
use crate::error::from_sqlx;
use crate::pool::{Interrupt, Lease};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{
    Alterations, Applied, ChangeSet, ChangeShape, CommitError, GlobalId, NativeChange, Rows, SourceTransaction,
    TargetColumn, TxMark, Violation,
};
use querygate_types::{Error, ErrorCode, Result, limits};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;

/// A transaction that holds the database's lock for writing.
#[derive(Debug)]
pub(super) struct SqliteTransaction {
    lease: Lease,
    /// SQLite ends the whole transaction by itself when a change is stopped in its middle, or when storage fails.
    keeps_savepoints: bool,
    /// Whether the operator has made a table for its markers.
    can_mark: bool,
}

/// What is read from the source while a result is given.
struct Reading<'a> {
    rows: BoxStream<'a, sqlx::Result<SqliteRow>>,
    decoder: Decoder,
    interrupt: Arc<Interrupt>,
    context: ExecuteContext,
    ended: bool,
}

impl SqliteTransaction {
    pub(super) const fn new(lease: Lease, can_mark: bool) -> Self {
        Self { lease, keeps_savepoints: true, can_mark }
    }

    /// Runs a statement of our own words, which ends at once.
    async fn run(&mut self, text: String) -> Result<()> {
        self.lease.reader.interrupt.arm(None);
        let ran = self.lease.reader.connection.execute(AssertSqlSafe(text)).await;
        ran.map(drop).map_err(|error| self.failed(&error))
    }

    fn failed(&mut self, error: &sqlx::Error) -> Error {
        let refusal = from_change(error);
        // Whatever is not listed may have ended the transaction.
        self.keeps_savepoints &= matches!(
            refusal.code(),
            ErrorCode::UniqueViolation
                | ErrorCode::NotNullViolation
                | ErrorCode::ForeignKeyViolation
                | ErrorCode::CheckViolation
                | ErrorCode::GeneratedAlways
                | ErrorCode::DataException
                | ErrorCode::SourceSchemaChanged
        );
        refusal
    }

    /// Changes some rows: all that one statement takes, or the last.
    async fn chunk(
        &mut self,
        change: &NativeChange,
        text: Arc<str>,
        kept: bool,
        values: SqliteArguments,
        context: &ExecuteContext,
        applied: &mut Applied,
    ) -> Result<()> {
        let interrupt = Arc::clone(&self.lease.reader.interrupt);
        interrupt.arm(None);
        let query = sqlx::query_with(AssertSqlSafe(text), values).persistent(kept);
        let connection = &mut self.lease.reader.connection;
        let ran = async {
            if change.shape.returning.is_empty() {
                return query.execute(connection).await.map(|done| (done.rows_affected(), Vec::new()));
            }
            let rows = query.fetch_all(connection).await?;
            Ok((u64::try_from(rows.len()).unwrap_or(u64::MAX), rows))
        };
        let ran = {
            let mut ran = std::pin::pin!(ran);
            tokio::select! {
                biased;
                ran = &mut ran => ran,
                error = context.over() => {
                    interrupt.stop();
                    // Nothing runs any more when the caller hears of it.
                    drop(ran.await);
                    self.keeps_savepoints = false;
                    return Err(error);
                }
            }
        };
        let (count, rows) = ran.map_err(|error| self.failed(&error))?;
        applied.count += count;
        if !rows.is_empty() {
            let mut decoder = Decoder::new(&change.statement, rows.len());
            rows.iter().try_for_each(|row| decoder.push(row))?;
            applied.keep(decoder.finish()?)?;
        }
        Ok(())
    }

    async fn changed(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        let at_once = print::rows_at_once(&change.shape);
        let refused = |refusal: querygate_driver_api::capability::Refusal| Error::internal(refusal);
        let full: Arc<str> = print::text(&change.shape, at_once).map_err(refused)?.into();
        let mut applied = Applied::default();
        let mut first = 0;
        while first < rows.len() {
            let count = at_once.min(rows.len() - first);
            let kept = count == at_once;
            let text =
                if kept { Arc::clone(&full) } else { print::text(&change.shape, count).map_err(refused)?.into() };
            let values = bound(change, rows, first, count)?;
            if context.cancel.is_cancelled() {
                return Err(querygate_driver_api::execution::ending::canceled());
            }
            self.chunk(change, text, kept, values, context, &mut applied).await?;
            first += count;
        }
        Ok(applied)
    }
}

fn bound(change: &NativeChange, rows: &ChangeSet, first: usize, count: usize) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    let columns: Vec<&TargetColumn> = change.shape.columns().collect();
    for row in first..first + count {
        for (column, array) in columns.iter().zip(rows.rows().columns()) {
            let value = Value::from_array(array.as_ref(), row)?;
            let stored = store::cell(column, &value)?;
            add(&mut arguments, stored).map_err(|_| Error::internal("value cannot be bound"))?;
        }
    }
    Ok(arguments)
}

#[async_trait]
impl SourceTransaction for SqliteTransaction {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        Fragment::check_values(&statement.parameters, values)?;
        let arguments = arguments(statement, values).map_err(|refusal| {
            Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
        })?;
        let interrupt = Arc::clone(&self.lease.reader.interrupt);
        interrupt.arm(None);
        let decoder = Decoder::new(statement, context.batch_rows.max(1));
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&statement.text)), arguments);
        let rows = query.fetch(&mut self.lease.reader.connection);
        let reading = Reading { rows, decoder, interrupt, context, ended: false };
        Ok(try_unfold(reading, |mut reading| async move {
            let batch = reading.batch().await?;
            Ok(batch.map(|batch| (batch, reading)))
        })
        .boxed())
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.changed(change, rows, context).await
    }

    async fn load(&mut self, change: &NativeChange, mut rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        let mut count = 0;
        let shape = ChangeShape { returning: Vec::new(), ..change.shape.clone() };
        let change = &NativeChange { shape, statement: change.statement.clone() };
        while let Some(batch) = context.next_of(&mut rows).await? {
            for first in (0..batch.num_rows()).step_by(limits::BATCH_ROWS) {
                let part = batch.slice(first, limits::BATCH_ROWS.min(batch.num_rows() - first));
                let part = ChangeSet::new(&change.shape, part)?;
                let applied = self.changed(change, &part, context).await?.count;
                if u64::try_from(part.len()).ok() != Some(applied) {
                    return Err(Violation::Serialization.error());
                }
                count += applied;
            }
        }
        Ok(count)
    }

    async fn alterations(&mut self, table: &TableRef) -> Result<Option<Alterations>> {
        self.lease.reader.interrupt.arm(None);
        let asked = alterations::of(&mut self.lease.reader.connection, table).await;
        asked.map_err(|error| self.failed(&error))?
    }

    async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.run(format!("SAVEPOINT s{id}")).await
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        self.run(format!("ROLLBACK TO s{id}")).await
    }

    async fn release(&mut self, id: u32) -> Result<()> {
        self.run(format!("RELEASE s{id}")).await
    }

    fn keeps_savepoints(&self) -> bool {
        self.keeps_savepoints
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        self.lease.reader.interrupt.arm(None);
        let committed = self.lease.reader.connection.execute("COMMIT").await;
        let Err(error) = committed else {
            let Self { lease, .. } = *self;
            lease.release(true).await;
            return Ok(());
        };
        let refusal = from_change(&error);
        let is_known = matches!(error, sqlx::Error::Database(_)) && refusal.code() != ErrorCode::SourceLost;
        if !is_known {
            return Err(CommitError::unknown(&refusal, None));
        }
        // A transaction whose commit is refused is still open.
        self.rollback().await;
        Err(CommitError::RolledBack(refusal))
    }

    async fn rollback(mut self: Box<Self>) {
        self.lease.reader.interrupt.arm(None);
        let undone = self.lease.reader.connection.execute("ROLLBACK").await;
        let Self { lease, keeps_savepoints, .. } = *self;
        // SQLite may have ended it before; then there is nothing to undo, which is an error of its own.
        if undone.is_ok() || !keeps_savepoints {
            lease.release(true).await;
        }
    }

    async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        if !self.can_mark {
            return Err(querygate_driver_api::write::distributed::unsupported());
        }
        self.lease.reader.interrupt.arm(None);
        let written = marker::write(&mut self.lease.reader.connection, id).await;
        // Whatever else it is may have ended the transaction.
        if let Err(error) = &written {
            let is_whole = matches!(error.code(), ErrorCode::SerializationFailure | ErrorCode::FeatureNotSupported);
            self.keeps_savepoints &= is_whole;
        }
        written
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.interrupt.stop();
        }
    }
}

impl Reading<'_> {
    async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let batch_rows = self.context.batch_rows.max(1);
        while !self.ended && self.decoder.rows() < batch_rows && self.decoder.bytes() < limits::BATCH_BYTES {
            let row = tokio::select! {
                biased;
                error = self.context.over() => {
                    self.interrupt.stop();
                    return Err(error);
                }
                row = self.rows.next() => row,
            };
            match row {
                Some(row) => self.decoder.push(&row.map_err(|error| from_sqlx(&error))?)?,
                None => self.ended = true,
            }
        }
        if self.decoder.rows() == 0 { Ok(None) } else { self.decoder.finish().map(Some) }
    }
}
