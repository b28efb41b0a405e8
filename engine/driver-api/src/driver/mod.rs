//! The driver trait: what every kind of source offers to the gate. Knows fragments and values; rows are Arrow batches, or
//! messages of PostgreSQL's protocol where a source has them.

mod notice;

pub use notice::SchemaNotice;

use crate::advice::IndexAdvice;
use crate::capability::{Capabilities, Refusal, RefusalReason, refuse};
use crate::execution::{Answer, Ask, NativeStatement, SnapshotAnswer};
use crate::fragment::Fragment;
use crate::identifier::TableRef;
use crate::pool::PoolStatus;
use crate::relation::Encoding;
use crate::remote::{LookedFor, RemoteColumn, RemoteTable, TableStatistics};
use crate::value::{Value, ValueType};
use crate::write::Writer;
use async_trait::async_trait;
use futures::future::BoxFuture;
use querygate_types::{Error, PlannerSetting, Result};
use std::fmt;
use std::sync::Arc;

/// A source of data behind the gate.
#[async_trait]
pub trait Driver: Send + Sync + fmt::Debug {
    /// Kind of source, as configuration names it (`sqlite`).
    fn kind(&self) -> &'static str;

    /// What may be pushed.
    fn capabilities(&self) -> &dyn Capabilities;

    /// Every table and view that can be read.
    async fn tables(&self) -> Result<Vec<TableRef>>;

    /// One table as it is now.
    ///
    /// # Errors
    /// 42P01 if there is none.
    async fn describe(&self, table: &TableRef) -> Result<RemoteTable>;

    /// In which form a column of this source would be read as the type that metadata wants, if at all.
    ///
    /// # Errors
    /// The stored form has no reading as that type.
    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal>;

    /// As [`read_as`](Self::read_as), with NULL in place of what is no value of that type.
    ///
    /// # Errors
    /// The stored form has no such reading.
    fn read_or_null(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        self.read_as(column, wanted)?;
        refuse(RefusalReason::Encoding, "what is no value of a column's type stays an error in this source")
    }

    /// Whether every value that a column of this type can hold reads as that type. Where not, reading a row may fail, so a row
    /// that a policy hides must not be read by a reader's own choice.
    fn reads_surely(&self, _value_type: ValueType) -> bool {
        false
    }

    /// What the source knows of its size and values; cheap, may be stale.
    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics>;

    /// Compiles a fragment. Pure, so the result can be cached for as long as the table descriptions hold.
    ///
    /// # Errors
    /// Why the source may not be given this fragment.
    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal>;

    /// Whether these values can be bound with equal results. Asked before [`run`](Self::run), while another plan is
    /// possible; `run` refuses with 0A000 what this refuses.
    ///
    /// # Errors
    /// Why not; holds no value.
    fn accepts(&self, statement: &NativeStatement, values: &[Value]) -> Result<(), Refusal>;

    /// Runs a statement of this driver in the form that is asked for. Only look-ups may be declined: they are then to be run as
    /// [`Ask::Batches`]. Each form is a future of its own, so that a look-up does not pay for the size of the others.
    ///
    /// Cancel and deadline of batches reach the source's own query and give 57014.
    ///
    /// # Errors
    /// The source's. 0A000: the values cannot be bound, or a setting is not among
    /// [`planner_settings`](Self::planner_settings).
    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>>;

    /// Settings of its planner that it takes for one execution ([`ExecuteContext::setting`](crate::execution::ExecuteContext::setting)).
    fn planner_settings(&self) -> &'static [PlannerSetting] {
        &[]
    }

    /// Whether look-ups are ever answered. Asked once where a statement is compiled: what is kept for its runs depends on it.
    fn looks_up(&self) -> bool {
        false
    }

    /// Keeps a snapshot for executions of a statement that each give a part of its rows ([`ExecuteContext::share`](crate::execution::ExecuteContext::share)).
    ///
    /// # Errors
    /// The source's.
    async fn keep(&self, _statement: &NativeStatement) -> Result<SnapshotAnswer> {
        Ok(SnapshotAnswer::Unsupported)
    }

    /// Whether the source answers.
    ///
    /// # Errors
    /// 08001 if not.
    async fn health(&self) -> Result<()>;

    /// Its connections, in numbers. `None`: it has none to count.
    fn pool(&self) -> Option<PoolStatus> {
        None
    }

    /// Why it cannot be reached, as its last attempt to connect tells: nothing is asked for this. `None`: it can, or none was made.
    fn away(&self) -> Option<Error> {
        None
    }

    /// Where to say that its tables may have changed. `None`: they have no schema that could.
    fn schema_notice(&self) -> Option<&SchemaNotice> {
        None
    }

    /// Whether a description of a table tells of what some of its rows hold, so that two of the same table may differ.
    fn samples(&self) -> bool {
        false
    }

    /// Looks for columns of these names, which a description did not show though the table may have them. Only a source that
    /// [`samples`](Self::samples) has such.
    ///
    /// # Errors
    /// As for a description.
    async fn look_for(&self, _table: &TableRef, _names: &[String]) -> Result<LookedFor> {
        Ok(LookedFor { columns: Vec::new(), complete: true })
    }

    /// Advice on its indexes. `None`: it cannot be advised.
    fn index_advice(&self) -> Option<&dyn IndexAdvice> {
        None
    }

    /// Who changes its tables. `None`: it is only read.
    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}
