//! Tables whose rows are made when they are scanned: the gate's own (schema `querygate`). Holds no data of a source.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use querygate_driver_api::boxed_scan;
use querygate_driver_api::execution::BatchStream;
use querygate_pg_catalog::LeafToken;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Makes the rows that one principal may see, at the time of the scan.
pub type LiveRows = Arc<dyn Fn() -> querygate_types::Result<RecordBatch> + Send + Sync>;

/// Makes the rows that one principal may see of those that are asked for, while they are read.
pub trait FoundRows: Send + Sync {
    /// `wanted`: of these columns, the values of which one is asked for. Other rows may come, too: they are tested again.
    ///
    /// # Errors
    /// What keeps the reader from them.
    fn find(&self, wanted: &WantedTexts, context: &Arc<TaskContext>) -> querygate_types::Result<BatchStream>;
}

/// Columns of texts, and the values of which each must have one.
pub type WantedTexts = BTreeMap<&'static str, BTreeSet<String>>;

/// Where the rows of a table come from.
#[derive(Clone)]
enum Source {
    Whole(LiveRows),
    /// Those of some values in these columns are found without the others.
    Found(&'static [&'static str], Arc<dyn FoundRows>),
}

/// A table of the gate's own, for one reader.
pub struct LiveTable {
    token: LeafToken,
    name: &'static str,
    schema: SchemaRef,
    source: Source,
}

impl LiveTable {
    /// `rows` must give batches of exactly `schema`, and only what the token's principal may see.
    #[must_use]
    pub fn new(token: LeafToken, name: &'static str, schema: SchemaRef, rows: LiveRows) -> Self {
        Self { token, name, schema, source: Source::Whole(rows) }
    }

    /// As [`new`](Self::new), of rows that are found by values of columns of texts (Utf8).
    #[must_use]
    pub fn found(
        token: LeafToken,
        name: &'static str,
        schema: SchemaRef,
        by: &'static [&'static str],
        rows: Arc<dyn FoundRows>,
    ) -> Self {
        Self { token, name, schema, source: Source::Found(by, rows) }
    }

    fn by(&self) -> &'static [&'static str] {
        match &self.source {
            Source::Whole(_) => &[],
            Source::Found(by, _) => by,
        }
    }

    /// Whose rows it shows.
    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LiveTable {
    fn scanned<'a>(
        &'a self,
        _state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        filters: &'a [Expr],
        _limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
        Box::pin(async move {
            let schema = match projection {
                Some(indices) => Arc::new(self.schema.project(indices)?),
                None => Arc::clone(&self.schema),
            };
            let properties = PlanProperties::new(
                EquivalenceProperties::new(schema),
                Partitioning::UnknownPartitioning(1),
                EmissionType::Final,
                Boundedness::Bounded,
            );
            Ok(Arc::new(LiveExec {
                token: self.token.clone(),
                name: self.name,
                source: self.source.clone(),
                wanted: all_wanted(filters, self.by()),
                projection: projection.cloned(),
                properties: Arc::new(properties),
            }) as Arc<dyn ExecutionPlan>)
        })
    }
}

impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let says = |filter: &&Expr| match wanted(filter, self.by()) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(says).collect())
    }

    boxed_scan!(scanned);
}

/// Scan of a [`LiveTable`].
pub struct LiveExec {
    token: LeafToken,
    name: &'static str,
    source: Source,
    wanted: WantedTexts,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl LiveExec {
    /// Whose rows it reads.
    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }

    /// Its table's name in schema `querygate`.
    #[must_use]
    pub fn table(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for LiveExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveExec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DisplayAs for LiveExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemScan: querygate.{}", self.name)?;
        if self.wanted.is_empty() {
            return Ok(());
        }
        let by: Vec<&str> = self.wanted.keys().copied().collect();
        write!(f, ", by {}", by.join(", "))
    }
}

impl ExecutionPlan for LiveExec {
    fn name(&self) -> &'static str {
        "SystemScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a system table has one partition");
        }
        let external = |error| DataFusionError::External(Box::new(error));
        let batches = match &self.source {
            Source::Whole(rows) => futures::stream::iter([rows()]).boxed(),
            Source::Found(_, rows) => rows.find(&self.wanted, &context).map_err(external)?,
        };
        let projection = self.projection.clone();
        let projected = move |batch: querygate_types::Result<RecordBatch>| {
            let batch = batch.map_err(external)?;
            Ok(match &projection {
                Some(indices) => batch.project(indices)?,
                None => batch,
            })
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches.map(projected))))
    }
}

/// What conjuncts ask of columns by which rows are found.
fn all_wanted(filters: &[Expr], by: &'static [&'static str]) -> WantedTexts {
    let mut all = WantedTexts::new();
    for (column, values) in filters.iter().filter_map(|filter| wanted(filter, by)) {
        match all.entry(column) {
            Entry::Vacant(vacant) => {
                vacant.insert(values);
            }
            Entry::Occupied(mut known) => known.get_mut().retain(|value| values.contains(value)),
        }
    }
    all
}

/// The column that a condition compares with constants, and these. `None`: it says something else.
fn wanted(filter: &Expr, by: &'static [&'static str]) -> Option<(&'static str, BTreeSet<String>)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (column, value) = match (known(left, by), known(right, by)) {
                (Some(column), None) => (column, text(right)?),
                (None, Some(column)) => (column, text(left)?),
                (None, None) | (Some(_), Some(_)) => return None,
            };
            Some((column, BTreeSet::from([value])))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((column, mut values), (other, more)) = (wanted(left, by)?, wanted(right, by)?);
            values.extend(more);
            (column == other).then_some((column, values))
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            Some((known(expr, by)?, list.iter().map(text).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn known(expr: &Expr, by: &'static [&'static str]) -> Option<&'static str> {
    match expr {
        Expr::Column(column) => by.iter().find(|name| **name == column.name).copied(),
        Expr::Alias(alias) => known(&alias.expr, by),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text), _) => {
            text.clone()
        }
        Expr::Alias(alias) => self::text(&alias.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array};
    use datafusion::prelude::SessionContext;
    use querygate_types::{Error, ErrorCode};
    use std::sync::atomic::{AtomicI32, Ordering};

    fn table(rows: LiveRows) -> Arc<LiveTable> {
        let schema = RecordBatch::try_from_iter(columns(0)).unwrap().schema();
        let token = LeafToken { state_version: 1, principal: 2, until_ms: None };
        Arc::new(LiveTable::new(token, "test", schema, rows))
    }

    fn columns(value: i32) -> [(&'static str, ArrayRef); 2] {
        [
            ("a", Arc::new(Int32Array::from(vec![value])) as ArrayRef),
            ("b", Arc::new(Int32Array::from(vec![-value])) as ArrayRef),
        ]
    }

    /// Rows are made when they are read, not when the statement is planned, and each time anew.
    #[tokio::test]
    async fn rows_are_made_when_they_are_read() {
        let made = Arc::new(AtomicI32::new(0));
        let counted = Arc::clone(&made);
        let table = table(Arc::new(move || {
            let value = counted.fetch_add(1, Ordering::Relaxed) + 1;
            RecordBatch::try_from_iter(columns(value)).map_err(Error::internal)
        }));
        let context = SessionContext::new();
        context.register_table("t", table).unwrap();
        let planned = context.sql("SELECT b FROM t").await.unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 0);
        for expected in [-1, -2] {
            let batches = planned.clone().collect().await.unwrap();
            assert_eq!(batches[0].column(0).as_ref(), &Int32Array::from(vec![expected]));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_made_is_an_error_with_its_code() {
        let table = table(Arc::new(|| Err(Error::new(ErrorCode::InsufficientPrivilege, "no"))));
        assert_eq!(table.token().principal, 2);
        let state = SessionContext::new().state();
        let plan = table.scan(&state, None, &[], None).await.unwrap();
        let mut rows = plan.execute(0, state.task_ctx()).unwrap();
        let Some(Err(DataFusionError::External(error))) = rows.next().await else { panic!("an error of its own") };
        assert_eq!(error.downcast_ref::<Error>().unwrap().code(), ErrorCode::InsufficientPrivilege);
        assert!(plan.execute(1, state.task_ctx()).is_err(), "one partition");
    }
}
