//! Changes to a database, on connections of their own by a user of their own. Nothing that was sent is sent again, but what was lost with
//! its connection before its transaction had begun. Knows no policy.

mod alterations;
mod cell;
mod encode;
mod error;
mod fate;
mod form;
mod obstacles;
mod pipeline;
mod prepared_transactions;
mod print;
mod reading;
mod row_update;
mod stop;
mod transaction;
mod values;

use crate::connect::pool::Pool;
use crate::driver::PostgresDriver;
use async_trait::async_trait;
use form::Form;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::distributed;
use querygate_driver_api::write::lock::lockable;
use querygate_driver_api::write::{
    Begin, ChangeShape, Fate, GateId, GlobalId, Isolation, Lock, LockStrength, LockWait, Locking, NativeChange,
    Prepare, RowUpdate, Settled, Transaction, TxMark, WriteCapabilities, Writer,
};
use querygate_types::{Error, Result};
use std::sync::Arc;
use transaction::PostgresTransaction;

const CAPABILITIES: WriteCapabilities = WriteCapabilities {
    isolation: &[Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable],
    locking: Locking::Rows,
    savepoints: true,
    tells_fate: true,
    prepare: Prepare::No,
};
/// Of a source whose server was configured to keep prepared transactions.
const DISTRIBUTED: WriteCapabilities = WriteCapabilities { prepare: Prepare::Prepared, ..CAPABILITIES };

impl PostgresDriver {
    fn writers(&self) -> Result<&Arc<Pool>> {
        self.writing().ok_or_else(|| Error::internal("a source that is only read was to be changed"))
    }

    fn prepared_at(&self) -> Result<&Arc<Pool>> {
        if self.is_distributed() { self.writers() } else { Err(distributed::unsupported()) }
    }

    /// A read whose rows are locked.
    fn locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        let statement = self.render(fragment)?;
        let strength = match lock.strength {
            LockStrength::Update => "UPDATE",
            LockStrength::Share => "SHARE",
        };
        let wait = match lock.wait {
            LockWait::Wait => "",
            LockWait::NoWait => " NOWAIT",
            LockWait::SkipLocked => " SKIP LOCKED",
        };
        // The whole statement is one block over one table; blocks of its conditions lock nothing.
        let text = format!("{} FOR {strength}{wait}", statement.text);
        Ok(Arc::new(NativeStatement { text: text.into(), ..NativeStatement::clone(&statement) }))
    }
}

#[async_trait]
impl Writer for PostgresDriver {
    fn capabilities(&self) -> &WriteCapabilities {
        if self.is_distributed() { &DISTRIBUTED } else { &CAPABILITIES }
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        let encoding = self.read_as(column, value_type)?;
        Form::of(&column.native_type, value_type)?;
        Ok(encoding)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        let invalid = |error: Error| Refusal::new(RefusalReason::Invalid, error.cause().unwrap_or(error.message()));
        shape.check().map_err(invalid)?;
        print::text(shape).map(|text| Arc::new(shape.printed(text)))
    }

    fn render_locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        lockable(fragment)?;
        self.locked(fragment, lock)
    }

    fn render_row_update(&self, update: &RowUpdate) -> Result<Arc<NativeStatement>, Refusal> {
        let lock = Lock { strength: LockStrength::Update, wait: LockWait::Wait };
        row_update::statement(update, &*self.locked(&update.locked, lock)?).map(Arc::new)
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        CAPABILITIES.admit(begin)?;
        let begun = PostgresTransaction::begin(self.writers()?, begin, self.is_distributed(), context).await?;
        Ok(Transaction::new(Box::new(begun)))
    }

    async fn obstacles(&self, table: &RemoteTable) -> Result<Vec<String>> {
        obstacles::of(self.writers()?, &table.table).await
    }

    async fn fate_of(&self, mark: &TxMark) -> Result<Option<Fate>> {
        fate::of(self.writers()?, mark).await
    }

    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        if self.is_distributed() { prepared_transactions::obstacles(self.writers()?).await } else { Ok(Vec::new()) }
    }

    async fn prepared(&self, gate: GateId, context: &ExecuteContext) -> Result<Vec<GlobalId>> {
        prepared_transactions::of(self.prepared_at()?, gate, context).await
    }

    async fn settle(&self, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
        prepared_transactions::settle(self.prepared_at()?, id, fate, context).await
    }
}
