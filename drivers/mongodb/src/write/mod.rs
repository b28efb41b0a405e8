//! Changes to a database, in transactions of their own by a user of their own. Nothing that was sent is sent again, but for a commit whose
//! outcome is unknown. Knows no policy.

mod error;
mod locks;
mod marker;
mod obstacles;
mod print;
mod reading;
mod stages;
mod store;
mod transaction;

use crate::connect::pool::Pool;
use crate::documents::bind::LOCKS;
use crate::driver::MongoDriver;
use async_trait::async_trait;
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::distributed::{self, MARKER_TABLE};
use querygate_driver_api::write::lock::lockable;
use querygate_driver_api::write::{
    Begin, ChangeShape, Fate, GlobalId, Isolation, Lock, LockWait, Locking, NativeChange, Prepare, Transaction, TxMark,
    WriteCapabilities, Writer,
};
use querygate_types::{Error, Result};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use transaction::MongoTransaction;

/// A transaction sees one moment, which is more than READ COMMITTED asks for, and less than SERIALIZABLE does.
const CAPABILITIES: WriteCapabilities = WriteCapabilities {
    isolation: &[Isolation::ReadCommitted, Isolation::RepeatableRead],
    locking: Locking::Conflicts,
    savepoints: false,
    tells_fate: false,
    prepare: Prepare::No,
};
/// Of a database with a collection for markers.
const DISTRIBUTED: WriteCapabilities = WriteCapabilities { prepare: Prepare::Marker, ..CAPABILITIES };

impl MongoDriver {
    fn written(&self) -> Result<&Arc<Pool>> {
        self.writing().ok_or_else(|| Error::internal("a source that is only read was to be changed"))
    }

    fn marked(&self) -> Result<&Arc<Pool>> {
        if self.is_distributed() { self.written() } else { Err(distributed::unsupported()) }
    }
}

#[async_trait]
impl Writer for MongoDriver {
    fn capabilities(&self) -> &WriteCapabilities {
        if self.is_distributed() { &DISTRIBUTED } else { &CAPABILITIES }
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        store::keeps(&column.native_type, value_type)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        let invalid = |error: Error| Refusal::new(RefusalReason::Invalid, error.cause().unwrap_or(error.message()));
        shape.check().map_err(invalid)?;
        for column in shape.columns() {
            if store::keeps(&column.native_type, column.value_type)? != column.encoding {
                return refuse(RefusalReason::Encoding, "a field is not stored in the form in which it is read");
            }
        }
        let text = print::command(shape, self.owned(&shape.table)?)?;
        Ok(Arc::new(shape.printed(text)))
    }

    fn render_locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        lockable(fragment)?;
        match lock.wait {
            LockWait::Wait => {}
            LockWait::NoWait | LockWait::SkipLocked => {
                return refuse(RefusalReason::Operator, "the source does not tell which rows others have locked");
            }
        }
        let statement = self.render(fragment)?;
        let open = statement.text.strip_suffix('}');
        let open = open.ok_or_else(|| Refusal::new(RefusalReason::Invalid, "statement is not one of this source"))?;
        let text = format!("{open},\"{LOCKS}\":true}}");
        Ok(Arc::new(NativeStatement { text: text.into(), ..NativeStatement::clone(&statement) }))
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        CAPABILITIES.admit(begin)?;
        let begun = MongoTransaction::begin(self.written()?, self.is_distributed(), context).await?;
        Ok(Transaction::new(Box::new(begun)))
    }

    async fn obstacles(&self, table: &RemoteTable) -> Result<Vec<String>> {
        obstacles::of(self.written()?, self.database(), self.collection(&table.table)?).await
    }

    async fn fate_of(&self, _mark: &TxMark) -> Result<Option<Fate>> {
        Ok(None)
    }

    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        if !self.is_distributed() {
            return Ok(Vec::new());
        }
        let pool = self.written()?;
        let lease = pool.lease(None, &CancellationToken::new()).await?;
        if !marker::is_there(&lease).await? {
            return Ok(vec!["it has no collection querygate_commits for markers".to_owned()]);
        }
        drop(lease);
        let found = obstacles::of(pool, self.database(), MARKER_TABLE).await?;
        Ok(found.into_iter().map(|obstacle| format!("its collection querygate_commits: {obstacle}")).collect())
    }

    async fn marker_fate(&self, id: &GlobalId, context: &ExecuteContext) -> Result<Fate> {
        marker::fate(self.marked()?, id, context).await
    }

    async fn forget_marker(&self, id: &GlobalId, context: &ExecuteContext) -> Result<()> {
        marker::forget(self.marked()?, id, context).await
    }
}
