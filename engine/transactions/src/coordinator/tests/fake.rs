//! A source in memory that prepares, leaves markers, loses answers and goes away as a test wants it.

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::future::BoxFuture;
use querygate_driver_api::aggregate::AggregateExpr;
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::{Encoding, Relation};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::scalar::{Held, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    Applied, Begin, ChangeSet, ChangeShape, CommitError, Fate, GateId, GlobalId, Isolation, Lock, Locking,
    NativeChange, Prepare, PrepareError, Rows, Settled, SourceTransaction, Transaction, TxMark, Violation,
    WriteCapabilities, Writer,
};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong, as long as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fails {
    /// The prepare is refused.
    Prepare,
    /// It is prepared, and its answer is lost.
    PrepareLost,
    /// The answer of a commit is lost before it reaches the source.
    CommitLostBefore,
    /// The answer of a commit is lost after it.
    CommitLostAfter,
    /// The marker cannot be written.
    Marker,
    /// Nothing that is asked in the background is answered.
    Away,
    /// An operator has not made what it needs.
    Hindered,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) prepared: BTreeSet<GlobalId>,
    /// Numbers of transactions whose changes are there.
    pub(super) stored: BTreeSet<u64>,
    pub(super) markers: BTreeMap<GlobalId, bool>,
    pub(super) fails: BTreeSet<Fails>,
}

#[derive(Debug)]
pub(super) struct Fake {
    capabilities: WriteCapabilities,
    store: Arc<Mutex<Store>>,
}

impl Fake {
    pub(super) fn new(prepare: Prepare) -> Arc<Self> {
        let capabilities = WriteCapabilities {
            isolation: &[Isolation::ReadCommitted],
            locking: Locking::Rows,
            savepoints: true,
            tells_fate: false,
            prepare,
        };
        Arc::new(Self { capabilities, store: Arc::default() })
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(super) fn fails(&self, how: Fails) {
        self.store().fails.insert(how);
    }

    pub(super) fn works(&self) {
        self.store().fails.clear();
    }

    fn answers(&self) -> Result<MutexGuard<'_, Store>> {
        let store = self.store();
        if store.fails.contains(&Fails::Away) { Err(away()) } else { Ok(store) }
    }
}

fn away() -> Error {
    Error::new(ErrorCode::SourceUnavailable, "source cannot be reached")
}

fn none<T>() -> Result<T, Refusal> {
    Err(Refusal::new(RefusalReason::Invalid, "a source of transactions alone"))
}

impl Capabilities for Fake {
    fn operator(&self, _: &Relation, _: &ColumnTypes) -> Result<(), Refusal> {
        none()
    }

    fn scalar(&self, _: &ScalarExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        none()
    }

    fn aggregate(&self, _: &AggregateExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        none()
    }

    fn window(&self, _: &querygate_driver_api::aggregate::WindowExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        none()
    }

    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        0
    }
}

#[async_trait]
impl Driver for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        self
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        Ok(Vec::new())
    }

    async fn describe(&self, _: &TableRef) -> Result<RemoteTable> {
        Err(away())
    }

    fn read_as(&self, _: &RemoteColumn, _: ValueType) -> Result<Encoding, Refusal> {
        none()
    }

    async fn statistics(&self, _: &TableRef) -> Result<TableStatistics> {
        Err(away())
    }

    fn render(&self, _: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        none()
    }

    fn accepts(&self, _: &NativeStatement, _: &[Value]) -> Result<(), Refusal> {
        none()
    }

    fn run<'a>(&'a self, _: &'a Arc<NativeStatement>, _: &'a [Value], _: Ask<'a>) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async { Err(away()) })
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl Writer for Fake {
    fn capabilities(&self) -> &WriteCapabilities {
        &self.capabilities
    }

    fn writable_as(&self, _: &RemoteColumn, _: ValueType) -> Result<Encoding, Refusal> {
        none()
    }

    fn render_change(&self, _: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        none()
    }

    fn render_locked(&self, _: &Fragment, _: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        none()
    }

    async fn begin(&self, begin: Begin, _: &ExecuteContext) -> Result<Transaction> {
        let id = begin.global.ok_or_else(|| Error::internal("no id"))?;
        let store = Arc::clone(&self.store);
        Ok(Transaction::new(Box::new(FakeTransaction { id, store, marks: false })))
    }

    async fn fate_of(&self, _: &TxMark) -> Result<Option<Fate>> {
        Ok(None)
    }

    async fn distributed_obstacles(&self) -> Result<Vec<String>> {
        let hindered = self.store().fails.contains(&Fails::Hindered);
        Ok(if hindered { vec!["its table of markers is missing".to_owned()] } else { Vec::new() })
    }

    async fn prepared(&self, gate: GateId, _: &ExecuteContext) -> Result<Vec<GlobalId>> {
        Ok(self.answers()?.prepared.iter().filter(|id| id.gate == gate).copied().collect())
    }

    async fn settle(&self, id: &GlobalId, fate: Fate, _: &ExecuteContext) -> Result<Settled> {
        let mut store = self.answers()?;
        if !store.prepared.remove(id) {
            return Ok(Settled::Absent);
        }
        if fate == Fate::Committed {
            store.stored.insert(id.number);
        }
        Ok(Settled::Done)
    }

    async fn marker_fate(&self, id: &GlobalId, _: &ExecuteContext) -> Result<Fate> {
        let commits = *self.answers()?.markers.entry(*id).or_insert(false);
        Ok(if commits { Fate::Committed } else { Fate::RolledBack })
    }

    async fn forget_marker(&self, id: &GlobalId, _: &ExecuteContext) -> Result<()> {
        self.answers()?.markers.remove(id);
        Ok(())
    }
}

#[derive(Debug)]
struct FakeTransaction {
    id: GlobalId,
    store: Arc<Mutex<Store>>,
    marks: bool,
}

#[async_trait]
impl SourceTransaction for FakeTransaction {
    async fn query<'a>(&'a mut self, _: &Arc<NativeStatement>, _: &[Value], _: ExecuteContext) -> Result<Rows<'a>> {
        Err(away())
    }

    async fn apply(&mut self, _: &NativeChange, _: &ChangeSet, _: &ExecuteContext) -> Result<Applied> {
        Err(away())
    }

    async fn load(&mut self, _: &NativeChange, _: BatchStream, _: &ExecuteContext) -> Result<u64> {
        Err(away())
    }

    async fn update_row(
        &mut self,
        _: &TableRef,
        _: &NativeStatement,
        _: &[Value],
        _: &ExecuteContext,
    ) -> Result<Option<RecordBatch>> {
        Ok(None)
    }

    async fn savepoint(&mut self, _: u32) -> Result<()> {
        Ok(())
    }

    async fn rollback_to(&mut self, _: u32) -> Result<()> {
        Ok(())
    }

    async fn release(&mut self, _: u32) -> Result<()> {
        Ok(())
    }

    fn keeps_savepoints(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        let mut store = self.store.lock().unwrap();
        if store.fails.contains(&Fails::CommitLostBefore) {
            return Err(CommitError::unknown(&away(), None));
        }
        if self.marks && store.markers.insert(self.id, true) == Some(false) {
            return Err(CommitError::RolledBack(Violation::Serialization.error()));
        }
        store.stored.insert(self.id.number);
        if store.fails.contains(&Fails::CommitLostAfter) {
            return Err(CommitError::unknown(&away(), None));
        }
        Ok(())
    }

    async fn rollback(self: Box<Self>) {}

    async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        assert_eq!(*id, self.id);
        let mut store = self.store.lock().unwrap();
        if store.fails.contains(&Fails::Prepare) {
            return Err(PrepareError::Refused(Error::new(ErrorCode::UniqueViolation, "duplicate value")));
        }
        store.prepared.insert(*id);
        if store.fails.contains(&Fails::PrepareLost) {
            return Err(PrepareError::Unknown(away()));
        }
        Ok(())
    }

    async fn commit_prepared(self: Box<Self>) -> Result<(), CommitError> {
        let mut store = self.store.lock().unwrap();
        if store.fails.contains(&Fails::CommitLostBefore) {
            return Err(CommitError::unknown(&away(), None));
        }
        assert!(store.prepared.remove(&self.id));
        store.stored.insert(self.id.number);
        if store.fails.contains(&Fails::CommitLostAfter) {
            return Err(CommitError::unknown(&away(), None));
        }
        Ok(())
    }

    async fn rollback_prepared(self: Box<Self>) -> Result<()> {
        let mut store = self.store.lock().unwrap();
        if store.fails.contains(&Fails::Away) {
            return Err(away());
        }
        store.prepared.remove(&self.id);
        Ok(())
    }

    async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        assert_eq!(*id, self.id);
        if self.store.lock().unwrap().fails.contains(&Fails::Marker) {
            return Err(away());
        }
        self.marks = true;
        Ok(())
    }
}
