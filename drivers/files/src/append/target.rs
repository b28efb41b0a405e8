//! A table of files as a driver that takes new rows. Its rows are read by the table's provider: no fragment is ever run here.

use super::pending::example;
use super::transaction::AppendTransaction;
use super::unique::UniqueSet;
use crate::config::FileFormat;
use crate::table::FileTable;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectMeta;
use querygate_driver_api::aggregate::{AggregateExpr, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason, refuse, unsupported};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::{Encoding, Relation};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::scalar::{Held, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    Begin, ChangeOp, ChangeShape, Fate, Isolation, Lock, Locking, NativeChange, Transaction, TxMark, WriteCapabilities,
    Writer,
};
use querygate_types::{Error, ErrorCode, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// New rows change no other row, so that transactions do not meet.
const CAPABILITIES: WriteCapabilities = WriteCapabilities {
    isolation: &[Isolation::ReadCommitted],
    locking: Locking::Conflicts,
    savepoints: true,
    tells_fate: false,
    prepare: querygate_driver_api::write::Prepare::No,
};

const READ_ELSEWHERE: &str = "rows of files are not read by their driver";

/// A table that new rows are added to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppendTarget {
    table: Arc<FileTable>,
    name: TableRef,
    /// As the files call them, with the types in which values are given.
    columns: Arc<[(Identifier, ValueType)]>,
    /// Sets of these that no two rows share.
    unique: Arc<[UniqueSet]>,
}

/// Nothing is pushed.
#[derive(Debug)]
struct Nothing;

impl AppendTarget {
    /// A table by its name and its stored columns, with sets of them that no two rows are to share: new rows are kept so. One that
    /// names another column is left out.
    ///
    /// # Errors
    /// A name that is none.
    pub fn new(
        table: Arc<FileTable>,
        name: &str,
        columns: &[(String, ValueType)],
        unique: &[Vec<String>],
    ) -> Result<Self> {
        let column = |(name, value_type): &(String, ValueType)| Ok((Identifier::new(name.as_str())?, *value_type));
        let columns: Arc<[_]> = columns.iter().map(column).collect::<Result<Vec<_>>>()?.into();
        let find = |name: &String| columns.iter().find(|(own, _)| own.as_str() == name).cloned();
        let sets = unique.iter().filter(|set| !set.is_empty());
        let unique = sets.filter_map(|set| set.iter().map(find).collect()).collect();
        Ok(Self { table, name: TableRef::new([name])?, columns, unique })
    }

    pub(super) fn unique(&self) -> &[UniqueSet] {
        &self.unique
    }

    pub(super) const fn table(&self) -> &Arc<FileTable> {
        &self.table
    }

    pub(super) const fn name(&self) -> &TableRef {
        &self.name
    }

    /// The folder that new files are put into.
    ///
    /// # Errors
    /// 0A000: why this table takes none.
    pub(super) async fn admits(&self) -> Result<PathBuf> {
        let (table, pattern) = (&self.table, &self.table.pattern);
        if table.format != FileFormat::Parquet {
            return Err(unchangeable("only tables of Parquet files take new rows"));
        }
        let Some(root) = table.shared.root() else {
            return Err(unchangeable("only files in a local folder take new rows"));
        };
        let folder = pattern.base().parts().fold(root, |path, part| path.join(part.as_ref()));
        let kind = tokio::fs::metadata(&folder).await;
        if !kind.is_ok_and(|kind| kind.is_dir()) {
            return Err(unchangeable("it is one file, to which nothing is added; a folder of files takes new rows"));
        }
        if !pattern.matches(&example(table), &table.format) {
            return Err(unchangeable("the pattern of its files would not find a new one"));
        }
        let listed = table.listed_or_none().await?;
        if listed.iter().any(|meta| !pattern.partitions(&meta.location).is_empty()) {
            return Err(unchangeable("its files are in folders that are named by values"));
        }
        Ok(folder)
    }

    fn described(&self) -> RemoteTable {
        let column = |(name, value_type): &(Identifier, ValueType)| {
            RemoteColumn::new(name.clone(), value_type.name(), Some(*value_type))
        };
        RemoteTable {
            unique: self.unique.iter().map(|set| set.iter().map(|(name, _)| name.clone()).collect()).collect(),
            ..RemoteTable::new(self.name.clone(), self.columns.iter().map(column).collect())
        }
    }
}

impl FileTable {
    /// The files of the table; none where its folder has none.
    pub(super) async fn listed_or_none(&self) -> Result<Vec<ObjectMeta>> {
        match self.files().await {
            Ok(files) => Ok(files.listed.clone()),
            Err(_) if self.has_no_file().await? => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// As the gate says it of any table.
fn unchangeable(reason: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "table cannot be changed").with_detail(format!("The reason: {reason}."))
}

impl Capabilities for Nothing {
    fn operator(&self, _: &Relation, _: &ColumnTypes) -> Result<(), Refusal> {
        unsupported(READ_ELSEWHERE)
    }

    fn scalar(&self, _: &ScalarExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        unsupported(READ_ELSEWHERE)
    }

    fn aggregate(&self, _: &AggregateExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        unsupported(READ_ELSEWHERE)
    }

    fn window(&self, _: &WindowExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        unsupported(READ_ELSEWHERE)
    }

    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        0
    }
}

#[async_trait]
impl Driver for AppendTarget {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        &Nothing
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        Ok(vec![self.name.clone()])
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        if *table != self.name {
            return Err(Error::new(ErrorCode::UndefinedTable, "table does not exist in the source"));
        }
        self.admits().await?;
        Ok(self.described())
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        match column.value_type == Some(wanted) {
            true => Ok(Encoding::Canonical),
            false => refuse(RefusalReason::Type, "the column has another type"),
        }
    }

    async fn statistics(&self, _: &TableRef) -> Result<TableStatistics> {
        Ok(TableStatistics::default())
    }

    fn render(&self, _: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        unsupported(READ_ELSEWHERE)
    }

    fn accepts(&self, _: &NativeStatement, _: &[Value]) -> Result<(), Refusal> {
        unsupported(READ_ELSEWHERE)
    }

    fn run<'a>(&'a self, _: &'a Arc<NativeStatement>, _: &'a [Value], _: Ask<'a>) -> BoxFuture<'a, Result<Answer>> {
        async { Err(Error::new(ErrorCode::FeatureNotSupported, READ_ELSEWHERE)) }.boxed()
    }

    async fn health(&self) -> Result<()> {
        self.table.shared.store().map(drop)
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl Writer for AppendTarget {
    fn capabilities(&self) -> &WriteCapabilities {
        &CAPABILITIES
    }

    fn only_inserts(&self) -> bool {
        true
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        if !value_type.is_bound() {
            return refuse(RefusalReason::Type, "lists of other things than texts are only read");
        }
        self.read_as(column, value_type)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        shape.check().map_err(|error| Refusal::invalid(&error))?;
        match shape.op {
            ChangeOp::Insert => {}
            ChangeOp::Update | ChangeOp::Delete => return unsupported("files take new rows only"),
        }
        let columns: Vec<&str> = shape.columns().map(|column| column.name.as_str()).collect();
        Ok(Arc::new(shape.printed(format!("a new file in {}: {}", self.table.pattern.base(), columns.join(", ")))))
    }

    fn render_locked(&self, _: &Fragment, _: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        unsupported("rows of files are not locked")
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        CAPABILITIES.admit(begin)?;
        if context.cancel.is_cancelled() {
            return Err(context.over().await);
        }
        Ok(Transaction::new(Box::new(AppendTransaction::begin(self.clone(), context))))
    }

    async fn fate_of(&self, _: &TxMark) -> Result<Option<Fate>> {
        Ok(None)
    }
}
