//! Changes to a database: one writing connection beside the readers, whose transactions wait for each other. Knows no policy.

mod alterations;
mod error;
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
use querygate_driver_api::write::lock::lockable;
use querygate_driver_api::write::{
    Begin, ChangeShape, Fate, Isolation, Lock, Locking, NativeChange, Transaction, TxMark, Violation,
    WriteCapabilities, Writer,
};
use querygate_types::{Error, Result};
use sqlx::Executor;
use std::sync::Arc;
use transaction::SqliteTransaction;

/// Writers run one after the other, so every level is the highest.
const CAPABILITIES: WriteCapabilities = WriteCapabilities {
    isolation: &[Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable],
    locking: Locking::Source,
    savepoints: true,
    tells_fate: false,
    prepare: querygate_driver_api::write::Prepare::No,
};

#[async_trait]
impl Writer for SqliteDriver {
    fn capabilities(&self) -> &WriteCapabilities {
        &CAPABILITIES
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
        let writers = self.writers().ok_or_else(|| Error::internal("a source that is only read was to be changed"))?;
        let wait = self.options().busy_timeout;
        let turn = tokio::time::timeout(wait, writers.lease(context.deadline, &context.cancel)).await;
        let mut lease = turn.map_err(|_| Violation::Locked.error())??;
        begun(&mut lease, context).await?;
        Ok(Transaction::new(Box::new(SqliteTransaction::new(lease))))
    }

    async fn fate_of(&self, _mark: &TxMark) -> Result<Option<Fate>> {
        Ok(None)
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
