//! One transaction on a connection of its own.

mod xa_branch;

use super::error::from_change;
use super::{print, store};
use crate::compile::capabilities::MysqlCapabilities;
use crate::connect::pool::{Lease, Pool};
use crate::connect::session::Flavor;
use crate::error::error_number;
use crate::wire::bind::{self, add};
use crate::wire::decode::Decoder;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{
    Applied, Begin, ChangeOp, ChangeSet, CommitError, Fate, GlobalId, NativeChange, PrepareError, Rows, ServerStop,
    SourceTransaction, StatementGuard, TxMark, Violation,
};
use querygate_types::{Error, ErrorCode, Result, limits};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::{AssertSqlSafe, Executor};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use xa_branch::XaBranch;

/// How long a statement has that only begins or ends something.
const ANSWER: Duration = Duration::from_secs(10);
/// Rows that are read back at a time.
const FOUND_AT_ONCE: usize = 50;
/// What a session reads by, and that it stores nothing else than it is given.
const STRICT: &str = "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
     ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 1, unique_checks = 1";
/// Other engines undo nothing.
pub(super) const HAS_TRANSACTIONS: &str = "SELECT 1 FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
     WHERE t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ? AND e.TRANSACTIONS = 'YES'";

/// A transaction that may write.
pub(super) struct MysqlTransaction {
    lease: Lease,
    running: StatementGuard<MysqlStop>,
    rendering: MysqlCapabilities,
    /// Tables that were found to be undone with the transaction.
    known: HashSet<TableRef>,
    /// A result was dropped before its end, and what the server said of the rest was not read.
    has_unread_rows: bool,
    xa: Option<XaBranch>,
}

/// A connection at its server.
#[derive(Clone)]
struct MysqlStop {
    pool: Arc<Pool>,
    id: u64,
}

type Ran<T> = std::result::Result<T, sqlx::Error>;

#[async_trait]
impl ServerStop for MysqlStop {
    type Failure = sqlx::Error;

    async fn stop(&self) {
        self.pool.kill(self.id).await;
    }

    async fn abandon(&self) {
        self.pool.end(self.id).await;
    }

    fn is_stopped(failure: &sqlx::Error) -> bool {
        error_number(failure) == Some(1317)
    }
}

impl fmt::Debug for MysqlTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlTransaction").field("id", &self.running.server().id).finish_non_exhaustive()
    }
}

impl MysqlTransaction {
    /// # Errors
    /// 08001, 08006: no connection; 25006: the server takes no changes; 57014.
    pub(super) async fn begin(
        pool: &Arc<Pool>,
        rendering: MysqlCapabilities,
        begin: Begin,
        context: &ExecuteContext,
    ) -> Result<Self> {
        let mut lease = pool.lease(context.deadline, &context.cancel).await?;
        let id = lease.session.id;
        let mut running = StatementGuard::new(MysqlStop { pool: Arc::clone(pool), id });
        // Not REPEATABLE READ, whose locks on gaps between rows would be on rows that the writer may not see.
        let level = begin.isolation.sql();
        let xa = begin.global.filter(|_| lease.session.keeps_prepared).map(XaBranch::begun);
        let text = match &xa {
            None => format!("{STRICT}; SET TRANSACTION ISOLATION LEVEL {level}; START TRANSACTION READ WRITE"),
            Some(xa) => {
                format!("{STRICT}; SET TRANSACTION ISOLATION LEVEL {level}, READ WRITE; XA START {}", xa.literal())
            }
        };
        let begun =
            running.watch(context, lease.session.connection.execute(sqlx::raw_sql(AssertSqlSafe(text)))).await?;
        begun.map_err(|error| from_change(&error))?;
        Ok(Self { lease, running, rendering, known: HashSet::new(), has_unread_rows: false, xa })
    }

    fn failed(&mut self, error: &sqlx::Error) -> Error {
        // A deadlock ends the whole transaction, and whatever is no word of the server's may have.
        self.running.keeps_savepoints &= error_number(error).is_some_and(|number| number != 1213);
        from_change(error)
    }

    async fn run(&mut self, text: String) -> Result<()> {
        self.verify_open().await?;
        self.running.is_running = true;
        let ran = tokio::time::timeout(ANSWER, self.lease.session.connection.execute(AssertSqlSafe(text))).await;
        let Ok(ran) = ran else {
            self.running.keeps_savepoints = false;
            return Err(crate::error::unreachable("source does not answer"));
        };
        self.running.is_running = false;
        ran.map(drop).map_err(|error| self.failed(&error))
    }

    /// Whether the transaction is still there after a result that was not read to its end: in its rest, the server may have ended it,
    /// and would store what comes next at once.
    async fn verify_open(&mut self) -> Result<()> {
        if !self.has_unread_rows {
            return Ok(());
        }
        let lost = || Error::new(ErrorCode::SourceLost, "source ended the transaction");
        if self.lease.session.flavor != Flavor::MariaDb {
            self.running.keeps_savepoints = false;
            return Err(lost().with_cause("a result was not read to its end"));
        }
        let there = sqlx::raw_sql("SELECT @@in_transaction").fetch_one(&mut self.lease.session.connection);
        let there = tokio::time::timeout(ANSWER, there).await.map_err(|_| lost())?;
        let there = there.map_err(|error| self.failed(&error))?;
        if crate::wire::binary::text(&there, 0)?.as_deref() != Some("1") {
            self.running.keeps_savepoints = false;
            return Err(lost());
        }
        self.has_unread_rows = false;
        Ok(())
    }

    async fn enter(&mut self, table: &TableRef, context: &ExecuteContext) -> Result<()> {
        self.verify_open().await?;
        if self.known.contains(table) {
            return Ok(());
        }
        let schema = table.schema().unwrap_or(&self.rendering.schema).to_owned();
        let asked = sqlx::query(HAS_TRANSACTIONS).bind(schema).bind(table.name().to_owned());
        let found = self.running.watch(context, asked.fetch_optional(&mut self.lease.session.connection)).await?;
        if found.map_err(|error| self.failed(&error))?.is_none() {
            let text = "source keeps the table in a way that undoes nothing";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text));
        }
        self.known.insert(table.clone());
        Ok(())
    }

    async fn changed(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<u64> {
        let at_once = print::rows_at_once(&change.shape);
        let flavor = Some(self.lease.session.flavor);
        let text = |rows| print::text(&change.shape, rows, flavor).map(Arc::<str>::from).map_err(Error::internal);
        let (full, mut first, mut count) = (text(at_once)?, 0, 0);
        while first < rows.len() {
            let part = at_once.min(rows.len() - first);
            let kept = part == at_once;
            let text = if kept { Arc::clone(&full) } else { text(part)? };
            let values = bound(change, rows, first, part)?;
            let query = sqlx::query_with(AssertSqlSafe(text), values).persistent(kept);
            let ran = self.running.watch(context, query.execute(&mut self.lease.session.connection)).await?;
            count += ran.map_err(|error| self.failed(&error))?.rows_affected();
            first += part;
        }
        Ok(count)
    }

    /// Inserts rows, and gives each as it is stored, with the key that the server gives it.
    async fn inserted(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        let at_once = print::rows_at_once(&change.shape);
        let returned = self.rendering.returned(&change.shape).map_err(Error::internal)?;
        let flavor = Some(self.lease.session.flavor);
        let mut applied = Applied::default();
        for first in (0..rows.len()).step_by(at_once) {
            let part = at_once.min(rows.len() - first);
            let text = print::text(&change.shape, part, flavor).map_err(Error::internal)?;
            let values = bound(change, rows, first, part)?;
            let query =
                sqlx::query_with(AssertSqlSafe(format!("{text}{returned}")), values).persistent(part == at_once);
            let stored = self.running.watch(context, query.fetch_all(&mut self.lease.session.connection)).await?;
            let stored = stored.map_err(|error| self.failed(&error))?;
            let mut decoder = Decoder::new(&change.statement, stored.len());
            stored.iter().try_for_each(|row| decoder.push(row))?;
            applied.count += stored.len() as u64;
            applied.keep(decoder.finish()?)?;
        }
        Ok(applied)
    }

    /// The rows of a set as they are stored, by their key.
    async fn found(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        let mut applied = Applied::default();
        let keys = change.shape.key.len();
        let mut printed: Option<(usize, NativeStatement)> = None;
        for first in (0..rows.len()).step_by(FOUND_AT_ONCE) {
            let part = FOUND_AT_ONCE.min(rows.len() - first);
            let (_, statement) = match printed.take().filter(|(rows, _)| *rows == part) {
                Some(known) => printed.insert(known),
                None => {
                    let fragment = print::found(change, part).map_err(Error::internal)?;
                    printed.insert((part, self.rendering.rendered(&fragment).map_err(Error::internal)?))
                }
            };
            let mut values = Vec::with_capacity(part * keys);
            for row in first..first + part {
                for column in rows.rows().columns().iter().take(keys) {
                    values.push(Value::from_array(column.as_ref(), row)?);
                }
            }
            let arguments = bind::arguments(statement, &values).map_err(Error::internal)?;
            let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&statement.text)), arguments);
            let query = query.persistent(part == FOUND_AT_ONCE);
            let found = self.running.watch(context, query.fetch_all(&mut self.lease.session.connection)).await?;
            let found = found.map_err(|error| self.failed(&error))?;
            if !found.is_empty() {
                let mut decoder = Decoder::new(statement, found.len());
                found.iter().try_for_each(|row| decoder.push(row))?;
                applied.keep(decoder.finish()?)?;
            }
        }
        Ok(applied)
    }
}

/// Values in the order of the statement's placeholders.
fn bound(change: &NativeChange, rows: &ChangeSet, first: usize, count: usize) -> Result<MySqlArguments> {
    let mut arguments = MySqlArguments::default();
    let (keys, shape) = (change.shape.key.len(), &change.shape);
    let columns: Vec<_> = shape.columns().enumerate().collect();
    let (key, assigned) = columns.split_at(keys);
    for row in first..first + count {
        let is_insert = shape.op == ChangeOp::Insert;
        let order = if is_insert { [key, assigned] } else { [assigned, key] };
        for (place, column) in order.into_iter().flatten() {
            let array = rows.rows().columns().get(*place).ok_or_else(|| Error::internal("row of another width"))?;
            let sent = store::cell(column, &Value::from_array(array.as_ref(), row)?)?;
            let times = if is_insert || *place >= keys { 1 } else { print::times_bound(column) };
            for _ in 0..times {
                add(&mut arguments, sent.clone()).map_err(|_| Error::internal("value cannot be bound"))?;
            }
        }
    }
    Ok(arguments)
}

#[async_trait]
impl SourceTransaction for MysqlTransaction {
    async fn query<'a>(
        &'a mut self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<Rows<'a>> {
        Fragment::check_values(&statement.parameters, values)?;
        let arguments = bind::arguments(statement, values).map_err(|refusal| {
            Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
        })?;
        self.verify_open().await?;
        let decoder = Decoder::new(statement, context.batch_rows.max(1));
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&statement.text)), arguments).persistent(false);
        let Self { lease, running, has_unread_rows, .. } = self;
        // Until it is read to its end.
        *has_unread_rows = true;
        let rows = query.fetch(&mut lease.session.connection);
        let reading = Reading { rows, running, has_unread_rows, decoder, context, ended: false };
        Ok(try_unfold(reading, |mut reading| async move {
            let batch = reading.batch().await?;
            Ok(batch.map(|batch| (batch, reading)))
        })
        .boxed())
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.enter(&change.shape.table, context).await?;
        let wants = !change.shape.returning.is_empty();
        if wants && change.shape.op == ChangeOp::Insert && self.lease.session.flavor == Flavor::MariaDb {
            return self.inserted(change, rows, context).await;
        }
        if wants && rows.rows().columns().iter().take(change.shape.key.len()).any(|key| key.null_count() > 0) {
            let text = "source does not tell the keys that it gives";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text));
        }
        let before = wants && change.shape.op == ChangeOp::Delete;
        let mut applied = if before { self.found(change, rows, context).await? } else { Applied::default() };
        let count = self.changed(change, rows, context).await?;
        if wants && !before {
            applied = self.found(change, rows, context).await?;
        }
        applied.count = count;
        Ok(applied)
    }

    async fn load(&mut self, change: &NativeChange, mut rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        self.enter(&change.shape.table, context).await?;
        let mut count = 0;
        while let Some(batch) = context.next_of(&mut rows).await? {
            for first in (0..batch.num_rows()).step_by(limits::BATCH_ROWS) {
                let part = batch.slice(first, limits::BATCH_ROWS.min(batch.num_rows() - first));
                let part = ChangeSet::new(&change.shape, part)?;
                let loaded = self.changed(change, &part, context).await?;
                if u64::try_from(part.len()).ok() != Some(loaded) {
                    return Err(Violation::Serialization.error());
                }
                count += loaded;
            }
        }
        Ok(count)
    }

    async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.run(format!("SAVEPOINT s{id}")).await
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        self.run(format!("ROLLBACK TO SAVEPOINT s{id}")).await
    }

    async fn release(&mut self, id: u32) -> Result<()> {
        self.run(format!("RELEASE SAVEPOINT s{id}")).await
    }

    fn keeps_savepoints(&self) -> bool {
        self.running.keeps_savepoints
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        if let Err(error) = self.verify_open().await {
            self.rollback().await;
            return Err(CommitError::RolledBack(error));
        }
        let text = self.xa.as_ref().map_or_else(|| "COMMIT".to_owned(), XaBranch::commit);
        let committed = self.lease.session.connection.execute(sqlx::raw_sql(AssertSqlSafe(text))).await;
        let Err(error) = committed else {
            self.lease.release(true);
            return Ok(());
        };
        let refusal = from_change(&error);
        if error_number(&error).is_some() && refusal.code() != ErrorCode::SourceLost {
            self.rollback().await;
            return Err(CommitError::RolledBack(refusal));
        }
        Err(CommitError::unknown(&refusal, None))
    }

    async fn rollback(mut self: Box<Self>) {
        if self.running.is_running {
            // Its connection is being ended, and closed here.
            return;
        }
        let clean = match self.xa {
            None => {
                let undone = self.lease.session.connection.execute("ROLLBACK");
                matches!(tokio::time::timeout(ANSWER, undone).await, Ok(Ok(_)))
            }
            Some(_) => matches!(tokio::time::timeout(ANSWER, self.undo_xa()).await, Ok(true)),
        };
        self.lease.release(clean);
    }

    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        self.keep(id).await
    }

    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        self.end_kept(Fate::Committed).await
    }

    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        self.end_kept(Fate::RolledBack).await.map_err(|error| error.error().clone())
    }
}

/// A result that is being read.
struct Reading<'a> {
    rows: BoxStream<'a, Ran<MySqlRow>>,
    running: &'a mut StatementGuard<MysqlStop>,
    has_unread_rows: &'a mut bool,
    decoder: Decoder,
    context: ExecuteContext,
    ended: bool,
}

impl Reading<'_> {
    async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let batch_rows = self.context.batch_rows.max(1);
        while !self.ended && !self.decoder.is_full(batch_rows) {
            let row = tokio::select! {
                biased;
                error = self.context.over() => {
                    let rows = &mut self.rows;
                    let rest = async {
                        while let Some(row) = rows.next().await {
                            row?;
                        }
                        Ok(())
                    };
                    self.running.stop(rest).await;
                    return Err(error);
                }
                row = self.rows.next() => row,
            };
            match row {
                Some(Ok(row)) => self.decoder.push(&row)?,
                Some(Err(error)) => {
                    *self.has_unread_rows = false;
                    self.running.keeps_savepoints &= error_number(&error).is_some_and(|number| number != 1213);
                    return Err(from_change(&error));
                }
                None => {
                    *self.has_unread_rows = false;
                    self.ended = true;
                }
            }
        }
        if self.decoder.rows() == 0 { Ok(None) } else { self.decoder.finish().map(Some) }
    }
}
