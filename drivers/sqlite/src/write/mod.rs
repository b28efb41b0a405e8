//! Changes to a database: one writing connection beside the readers, whose transactions wait for each other. Knows no policy.

mod alterations;
mod error;
mod marker;
mod print;
mod store;
mod transaction;

use crate::driver::SqliteDriver;
use crate::pool::Lease;
use async_trait::async_trait;
use error::from_change;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ending::{canceled, timed_out, until};
use querygate_driver_api::execution::{ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::RemoteColumn;
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::distributed;
use querygate_driver_api::write::lock::lockable;
use querygate_driver_api::write::{
    Begin, ChangeShape, Fate, GlobalId, Isolation, Lock, Locking, NativeChange, Prepare, Transaction, TxMark,
    Violation, WriteCapabilities, Writer,
};
use querygate_types::{Error, Result};
use sqlx::Executor;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use transaction::SqliteTransaction;

/// Writers run one after the other, so every level is the highest.
const CAPABILITIES: WriteCapabilities = WriteCapabilities {
    isolation: &[Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable],
    locking: Locking::Source,
    savepoints: true,
    tells_fate: false,
    prepare: Prepare::No,
};
/// Of a database with a table for markers.
const DISTRIBUTED: WriteCapabilities = WriteCapabilities { prepare: Prepare::Marker, ..CAPABILITIES };

impl SqliteDriver {
    /// The writing connection, with the database's lock.
    async fn turn(&self, context: &ExecuteContext) -> Result<Lease> {
        let writers = self.writers().ok_or_else(|| Error::internal("a source that is only read was to be changed"))?;
        let wait = self.options().busy_timeout;
        let turn = tokio::time::timeout(wait, writers.lease(context.deadline, &context.cancel)).await;
        let mut lease = turn.map_err(|_| Violation::Locked.error())??;
        begun(&mut lease, context).await?;
        Ok(lease)
    }

    async fn marking(&self, context: &ExecuteContext) -> Result<Lease> {
        if self.options().distributed { self.turn(context).await } else { Err(distributed::unsupported()) }
    }
}

#[async_trait]
impl Writer for SqliteDriver {
    fn capabilities(&self) -> &WriteCapabilities {
        if self.options().distributed { &DISTRIBUTED } else { &CAPABILITIES }
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        let encoding = self.read_as(column, value_type)?;
        store::keeps(&column.native_type, value_type, encoding)?;
        Ok(encoding)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        shape
            .check()
            .map_err(|error| Refusal::new(RefusalReason::Invalid, error.cause().unwrap_or(error.message())))?;
        shape.columns().try_for_each(|column| store::keeps(&column.native_type, column.value_type, column.encoding))?;
        print::text(shape, 1).map(|text| Arc::new(shape.printed(text)))
    }

    fn render_locked(&self, fragment: &Fragment, _lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        // Whoever has begun has locked everything.
        lockable(fragment)?;
        self.render(fragment)
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        CAPABILITIES.admit(begin)?;
        let lease = self.turn(context).await?;
        Ok(Transaction::new(Box::new(SqliteTransaction::new(lease, self.options().distributed))))
    }

    async fn fate_of(&self, _mark: &TxMark) -> Result<Option<Fate>> {
        Ok(None)
    }

    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        if !self.options().distributed || self.writers().is_none() {
            return Ok(Vec::new());
        }
        // Who asks may have the one writer.
        let mut lease = self.readers().lease(None, &CancellationToken::new()).await?;
        let found = marker::obstacle(&mut lease.reader.connection).await;
        lease.release(found.is_ok()).await;
        Ok(found?.map(str::to_owned).into_iter().collect())
    }

    async fn marker_fate(&self, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
        marker::fate(self.marking(context).await?, id).await
    }

    async fn forget_marker(&self, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
        marker::forget(self.marking(context).await?, id).await
    }
}

/// Takes the database's one lock for writing, which other processes may hold. A connection that still waits for it is closed.
async fn begun(lease: &mut Lease, context: &ExecuteContext) -> Result<()> {
    let begin = lease.reader.connection.execute("BEGIN IMMEDIATE");
    tokio::select! {
        biased;
        begun = begin => begun.map(drop).map_err(|error| from_change(&error)),
        () = context.cancel.cancelled() => Err(canceled()),
        () = until(context.deadline) => Err(timed_out()),
    }
}
