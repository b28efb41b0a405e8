//! Changes to a schema, on connections of their own by a user of their own. Nothing that was sent is sent again. Knows no policy.

mod error;
mod obstacles;
mod print;
mod store;
mod transaction;
mod xa;

use crate::connect::pool::Pool;
use crate::connect::session::Flavor;
use crate::driver::MysqlDriver;
use async_trait::async_trait;
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
    Begin, ChangeOp, ChangeShape, Fate, GateId, GlobalId, Isolation, Lock, LockStrength, LockWait, Locking,
    NativeChange, Prepare, Settled, Transaction, TxMark, WriteCapabilities, Writer,
};
use querygate_types::{Error, Result};
use std::sync::Arc;
use transaction::MysqlTransaction;

/// Its REPEATABLE READ changes rows that the transaction does not see, and says nothing.
const CAPABILITIES: WriteCapabilities = WriteCapabilities {
    isolation: &[Isolation::ReadCommitted, Isolation::Serializable],
    locking: Locking::Rows,
    savepoints: true,
    tells_fate: false,
    prepare: Prepare::No,
};
/// Of a source whose transactions begin as XA transactions where they may become parts.
const DISTRIBUTED: WriteCapabilities = WriteCapabilities { prepare: Prepare::Prepared, ..CAPABILITIES };

impl MysqlDriver {
    fn writers(&self) -> Result<&Arc<Pool>> {
        self.writing().ok_or_else(|| Error::internal("a source that is only read was to be changed"))
    }

    fn prepared_at(&self) -> Result<&Arc<Pool>> {
        if self.is_distributed() { self.writers() } else { Err(distributed::unsupported()) }
    }
}

#[async_trait]
impl Writer for MysqlDriver {
    fn capabilities(&self) -> &WriteCapabilities {
        if self.is_distributed() { &DISTRIBUTED } else { &CAPABILITIES }
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        let encoding = self.read_as(column, value_type)?;
        store::keeps(&column.native_type, value_type)?;
        Ok(encoding)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        let invalid = |error: Error| Refusal::new(RefusalReason::Invalid, error.cause().unwrap_or(error.message()));
        shape.check().map_err(invalid)?;
        shape.columns().try_for_each(|column| store::keeps(&column.native_type, column.value_type))?;
        let change = shape.printed(print::text(shape, 1, self.flavor())?);
        if !shape.returning.is_empty() {
            match (shape.op, self.flavor()) {
                (ChangeOp::Insert, Some(Flavor::MariaDb)) => self.rendering().returned(shape).map(drop)?,
                // The server gives nothing back by itself.
                (ChangeOp::Insert, Some(Flavor::MySql) | None) | (ChangeOp::Update | ChangeOp::Delete, _) => {
                    self.rendering().rendered(&print::found(&change, 1)?).map(drop)?;
                }
            }
        }
        Ok(Arc::new(change))
    }

    fn render_locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        lockable(fragment)?;
        let statement = self.render(fragment)?;
        let strength = match (lock.strength, self.flavor()) {
            (LockStrength::Update, _) => "FOR UPDATE",
            (LockStrength::Share, Some(Flavor::MySql)) => "FOR SHARE",
            (LockStrength::Share, Some(Flavor::MariaDb) | None) => "LOCK IN SHARE MODE",
        };
        let wait = match lock.wait {
            LockWait::Wait => "",
            LockWait::NoWait => " NOWAIT",
            LockWait::SkipLocked => " SKIP LOCKED",
        };
        let text = format!("{} {strength}{wait}", statement.text);
        Ok(Arc::new(NativeStatement { text: text.into(), ..NativeStatement::clone(&statement) }))
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        CAPABILITIES.admit(begin)?;
        let begin = Begin { global: begin.global.filter(|_| self.is_distributed()), ..begin };
        let begun = MysqlTransaction::begin(self.writers()?, self.rendering(), begin, context).await?;
        Ok(Transaction::new(Box::new(begun)))
    }

    async fn obstacles(&self, table: &RemoteTable) -> Result<Vec<String>> {
        obstacles::of(self.writers()?, self.schema(), &table.table, &table.primary_key).await
    }

    async fn fate_of(&self, _mark: &TxMark) -> Result<Option<Fate>> {
        Ok(None)
    }

    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        if self.is_distributed() { xa::obstacles(self.writers()?).await } else { Ok(Vec::new()) }
    }

    async fn prepared(&self, gate: GateId, context: &ExecuteContext) -> Result<Vec<GlobalId>> {
        xa::of(self.prepared_at()?, gate, context).await
    }

    async fn settle(&self, id: &GlobalId, fate: Fate, context: &ExecuteContext) -> Result<Settled> {
        xa::settle(self.prepared_at()?, id, fate, context).await
    }
}
