//! Who changes a source: what it can, how it prints changes, and the transactions in which they happen.

use super::change::{ChangeShape, NativeChange};
use super::distributed::{GateId, GlobalId, Prepare, Settled, unsupported};
use super::lock::Lock;
use super::row_update::RowUpdate;
use super::transaction::{Begin, Fate, Isolation, Transaction, TxMark};
use crate::capability::{Refusal, RefusalReason};
use crate::execution::{ExecuteContext, NativeStatement};
use crate::fragment::Fragment;
use crate::relation::Encoding;
use crate::remote::{RemoteColumn, RemoteTable};
use crate::value::ValueType;
use async_trait::async_trait;
use querygate_types::{Error, ErrorCode, Result};
use std::fmt;
use std::sync::Arc;

/// How a source keeps writers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Locking {
    /// Row by row; a locked read waits, fails or skips as it is asked to.
    Rows,
    /// One writer at a time, from begin to end: no row is ever locked by somebody else.
    Source,
    /// Writers do not wait: of two that change or lock a row at a time, one fails (40001), at its commit at the latest. A locked read is a
    /// plain one until then.
    Conflicts,
}

/// What a source's transactions can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCapabilities {
    /// Levels that may be asked for.
    pub isolation: &'static [Isolation],
    /// How rows are kept from others.
    pub locking: Locking,
    /// A part of a transaction can be undone.
    pub savepoints: bool,
    /// Whether a transaction has a mark, and its fate can be asked for.
    pub tells_fate: bool,
    /// What it contributes to a transaction of several sources.
    pub prepare: Prepare,
}

/// A source that can be changed.
#[async_trait]
pub trait Writer: Send + Sync + fmt::Debug {
    /// What its transactions can, which does not change.
    fn capabilities(&self) -> &WriteCapabilities;

    /// Whether it takes new rows and nothing else: no row is ever found, locked or changed in its transactions, so that it has no key,
    /// and what it stores is what it is given.
    fn only_inserts(&self) -> bool {
        false
    }

    /// In which form values of a type are stored in a column, such that reading gives each of them back as it is. Single values that
    /// the column cannot hold so are refused when they are applied (22xxx), never changed.
    ///
    /// # Errors
    /// The column does not keep values of the type.
    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal>;

    /// Prints a change. Pure, so the result can be cached for as long as the table's description holds.
    ///
    /// # Errors
    /// Why the source may not be given this change.
    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal>;

    /// As [`Driver::render`](crate::driver::Driver::render), with a lock on each row that it gives. For [`Transaction::query`] only.
    ///
    /// # Errors
    /// As `render`; the fragment has another shape than [`lockable`](super::lock::lockable) takes.
    fn render_locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal>;

    /// Prints the update of one row with its lock. For [`Transaction::update_row`] only.
    ///
    /// # Errors
    /// As `render_locked`; the source does both in two statements, or would cast a value on its way.
    fn render_row_update(&self, _update: &RowUpdate) -> Result<Arc<NativeStatement>, Refusal> {
        Err(Refusal::new(RefusalReason::Operator, "the source locks a row and changes it in two statements"))
    }

    /// Begins a transaction, on a connection of its own. Waits for it until cancel or deadline.
    ///
    /// # Errors
    /// 08001: the source cannot be reached; 55P03: another writer does not end; 0A000: it has no such isolation; 57014.
    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction>;

    /// What in the source itself stands against changes of a table, as far as it can be known before one is tried: rights that the
    /// writing login lacks, a server that takes no changes. In words for operators. Empty by default: a source without logins.
    ///
    /// # Errors
    /// 08001: the source cannot be reached.
    async fn obstacles(&self, _table: &RemoteTable) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// What became of a transaction whose answer was lost. `None`: it is not known, or not yet.
    ///
    /// # Errors
    /// 08001: the source cannot be reached.
    async fn fate_of(&self, mark: &TxMark) -> Result<Option<Fate>>;

    /// What in the source stands against its part in a transaction of several, in words for operators. Empty by default: there is
    /// nothing, or [`Prepare::No`].
    ///
    /// # Errors
    /// 08001: the source cannot be reached.
    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// The parts of a gate that are prepared in the source, and were not settled. Those of transactions that are on their way are among
    /// them, and perhaps those of other sources on the same server.
    ///
    /// # Errors
    /// 08001: the source cannot be reached; 0A000: it prepares nothing; 42501: its login may not ask; 57014.
    async fn prepared(&self, _gate: GateId, _context: &ExecuteContext) -> Result<Vec<GlobalId>> {
        Err(unsupported())
    }

    /// Ends a prepared part as was decided. Can be repeated.
    ///
    /// # Errors
    /// As [`prepared`](Self::prepared). It is not known then whether it has ended.
    async fn settle(&self, _id: &GlobalId, _fate: Fate, _context: &ExecuteContext) -> Result<Settled> {
        Err(unsupported())
    }

    /// What became of the part that was to leave a marker. If it has not committed until now, it never will: a marker of the other fate is
    /// there then. Waits where it is about to commit.
    ///
    /// # Errors
    /// 08001: the source cannot be reached; 0A000: it leaves no markers; 55P03, 40001: something is in the way now; 57014.
    async fn marker_fate(&self, _id: &GlobalId, _context: &ExecuteContext) -> Result<Fate> {
        Err(unsupported())
    }

    /// Removes the marker of a part. For a part that has ended: one that is still open could commit again without the marker that
    /// [`marker_fate`](Self::marker_fate) left. Can be repeated.
    ///
    /// # Errors
    /// As there.
    async fn forget_marker(&self, _id: &GlobalId, _context: &ExecuteContext) -> Result<()> {
        Err(unsupported())
    }
}

impl WriteCapabilities {
    /// # Errors
    /// 0A000: the source has no such level.
    pub fn admit(&self, begin: Begin) -> Result<()> {
        if self.isolation.contains(&begin.isolation) {
            return Ok(());
        }
        let text = format!("source has no isolation level {}", begin.isolation.sql().to_lowercase());
        Err(Error::new(ErrorCode::FeatureNotSupported, text))
    }
}
