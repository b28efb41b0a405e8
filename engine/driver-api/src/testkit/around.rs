//! A driver around a driver, its writer and its transactions: what one does not say itself, the inner one answers. Knows no source.
//!
//! A driver that changes some answers implements [`DriverAround`], and the other two where it changes those of changes.

mod write;

pub use write::{TransactionAround, WriterAround};

use crate::capability::{Capabilities, Refusal};
use crate::driver::Driver;
use crate::execution::{Answer, Ask, NativeStatement, SnapshotAnswer};
use crate::fragment::Fragment;
use crate::identifier::TableRef;
use crate::pool::PoolStatus;
use crate::relation::Encoding;
use crate::remote::{RemoteColumn, RemoteTable, TableStatistics};
use crate::value::{Value, ValueType};
use crate::write::Writer;
use async_trait::async_trait;
use futures::future::BoxFuture;
use querygate_types::{Error, PlannerSetting, Result};
use std::fmt;
use std::sync::Arc;

/// A driver around another one. Each method is that of [`Driver`].
#[async_trait]
pub trait DriverAround: Send + Sync + fmt::Debug {
    /// The other one.
    fn inner(&self) -> &dyn Driver;

    /// As [`Driver::describe`].
    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        self.inner().describe(table).await
    }

    /// As [`Driver::render`].
    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        self.inner().render(fragment)
    }

    /// As [`Driver::run`].
    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        self.inner().run(statement, values, ask)
    }

    /// As [`Driver::planner_settings`]; none, unless it is said that they are passed on.
    fn planner_settings(&self) -> &'static [PlannerSetting] {
        &[]
    }

    /// As [`Driver::writer`].
    fn writer(&self) -> Option<&dyn Writer> {
        self.inner().writer()
    }
}

#[async_trait]
impl<T: DriverAround> Driver for T {
    fn kind(&self) -> &'static str {
        self.inner().kind()
    }

    fn capabilities(&self) -> &dyn Capabilities {
        self.inner().capabilities()
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        self.inner().tables().await
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        DriverAround::describe(self, table).await
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        self.inner().read_as(column, wanted)
    }

    fn reads_surely(&self, value_type: ValueType) -> bool {
        self.inner().reads_surely(value_type)
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        self.inner().statistics(table).await
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        DriverAround::render(self, fragment)
    }

    fn accepts(&self, statement: &NativeStatement, values: &[Value]) -> Result<(), Refusal> {
        self.inner().accepts(statement, values)
    }

    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        DriverAround::run(self, statement, values, ask)
    }

    fn planner_settings(&self) -> &'static [PlannerSetting] {
        DriverAround::planner_settings(self)
    }

    async fn keep(&self, statement: &NativeStatement) -> Result<SnapshotAnswer> {
        self.inner().keep(statement).await
    }

    async fn health(&self) -> Result<()> {
        self.inner().health().await
    }

    fn pool(&self) -> Option<PoolStatus> {
        self.inner().pool()
    }

    fn away(&self) -> Option<Error> {
        self.inner().away()
    }

    fn writer(&self) -> Option<&dyn Writer> {
        DriverAround::writer(self)
    }
}
