//! Temporary tables as statements of their session read them: the rows that they have when the reading begins.

use super::rows::{Chunks, count};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::future::BoxFuture;
use querygate_catalog::leaf::with_places_unnamed;
use querygate_driver_api::boxed_scan;
use querygate_pg_catalog::LeafToken;
use querygate_types::Error;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};

/// The column of a row's number, which no statement of a client can name.
pub(crate) const ROW: &str = "\u{1}temporary row";

/// The temporary tables of one session, as plans read them.
pub(crate) trait RowsReader: Send + Sync {
    /// The rows of a table.
    ///
    /// # Errors
    /// 42P01: it was dropped.
    fn rows(&self, id: u64) -> querygate_types::Result<Chunks>;

    /// The rows that the last change has touched in a table.
    ///
    /// # Errors
    /// Internal: it was another table.
    fn changed(&self, id: u64) -> querygate_types::Result<Chunks>;

    /// How many rows a table has; 0 of one that is gone.
    fn count(&self, id: u64) -> usize;
}

/// Which rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of the table.
    All,
    /// All, with the number of each behind its columns.
    Numbered,
    /// Those that the last change has touched.
    Changed,
}

/// A temporary table, of one session.
#[derive(Clone)]
pub(crate) struct TemporaryTable {
    token: LeafToken,
    name: Arc<str>,
    id: u64,
    schema: SchemaRef,
    wanted: Wanted,
    /// Gone with the session, whatever is still kept of its statements.
    tables: Weak<dyn RowsReader>,
    /// The scan as statements name it, where the planner has no operators for the columns as they are.
    named_plan: Option<LogicalPlan>,
}

impl TemporaryTable {
    /// `columns`: those of the table.
    pub(crate) fn new(
        token: LeafToken,
        (name, id): (&str, u64),
        columns: &SchemaRef,
        wanted: Wanted,
        tables: Weak<dyn RowsReader>,
    ) -> Self {
        let schema = match wanted {
            Wanted::All | Wanted::Changed => Arc::clone(columns),
            Wanted::Numbered => {
                let fields = columns.fields().iter().map(|field| field.as_ref().clone());
                Arc::new(Schema::new(fields.chain([Field::new(ROW, DataType::Int64, false)]).collect::<Vec<_>>()))
            }
        };
        Self { token, name: name.into(), id, schema, wanted, tables, named_plan: None }
    }

    /// As statements name it.
    ///
    /// # Errors
    /// Internal: the plan cannot be built.
    pub(crate) fn with_named_plan(self) -> querygate_types::Result<Arc<Self>> {
        let table = Arc::new(self);
        let provider = Arc::clone(&table) as Arc<dyn TableProvider>;
        let named_plan = with_places_unnamed(&table.name, provider).map_err(Error::internal)?;
        Ok(if named_plan.is_none() { table } else { Arc::new(Self { named_plan, ..table.as_ref().clone() }) })
    }

    /// Whether it is all rows of that table.
    pub(crate) fn is_whole(&self, id: u64) -> bool {
        self.id == id && self.wanted == Wanted::All
    }

    /// Whose session it is of.
    pub(crate) fn token(&self) -> &LeafToken {
        &self.token
    }

    fn scanned<'a>(
        &'a self,
        _state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        _filters: &'a [Expr],
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
                EmissionType::Incremental,
                Boundedness::Bounded,
            );
            Ok(Arc::new(TemporaryExec {
                token: self.token.clone(),
                name: Arc::clone(&self.name),
                id: self.id,
                whole: Arc::clone(&self.schema),
                wanted: self.wanted,
                tables: Weak::clone(&self.tables),
                projection: projection.cloned(),
                properties: Arc::new(properties),
            }) as Arc<dyn ExecutionPlan>)
        })
    }
}

impl fmt::Debug for TemporaryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryTable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TableProvider for TemporaryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.named_plan.as_ref().map(Cow::Borrowed)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    boxed_scan!(scanned);
}

/// Scan of a [`TemporaryTable`].
pub(crate) struct TemporaryExec {
    token: LeafToken,
    name: Arc<str>,
    id: u64,
    whole: SchemaRef,
    wanted: Wanted,
    tables: Weak<dyn RowsReader>,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl TemporaryExec {
    /// Whose session it reads.
    pub(crate) fn token(&self) -> &LeafToken {
        &self.token
    }

    fn rows(&self) -> querygate_types::Result<Chunks> {
        let tables =
            self.tables.upgrade().ok_or_else(|| Error::internal("a session's table was read after its end"))?;
        match self.wanted {
            Wanted::All | Wanted::Numbered => tables.rows(self.id),
            Wanted::Changed => tables.changed(self.id),
        }
    }
}

impl fmt::Debug for TemporaryExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryExec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DisplayAs for TemporaryExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TemporaryScan: pg_temp.{}", self.name)
    }
}

impl ExecutionPlan for TemporaryExec {
    fn name(&self) -> &'static str {
        "TemporaryScan"
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

    /// As many rows as there are now: a small table is then the side of a join whose keys its source is sent.
    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let (Some(tables), Wanted::All | Wanted::Numbered) = (self.tables.upgrade(), self.wanted) {
            statistics.num_rows = Precision::Inexact(tables.count(self.id));
        }
        Ok(Arc::new(statistics))
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a temporary table has one partition");
        }
        let chunks = self.rows().map_err(external)?;
        tracing::trace!(rows = count(&chunks), "a temporary table is read");
        let (whole, projection, wanted) = (Arc::clone(&self.whole), self.projection.clone(), self.wanted);
        let mut first = 0_i64;
        let batches = (0..chunks.len()).map(move |at| {
            let Some(chunk) = chunks.get(at) else { return internal_err!("a chunk is gone") };
            let begins = first;
            first = first.saturating_add(chunk.length());
            let batch = chunk.batch().map_err(external)?;
            let batch = if wanted == Wanted::Numbered { numbered(&batch, &whole, begins)? } else { batch };
            match &projection {
                Some(indices) => Ok(batch.project(indices)?),
                None => Ok(batch),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), futures::stream::iter(batches))))
    }
}

/// The rows with their numbers, from `begins` on.
fn numbered(batch: &RecordBatch, schema: &SchemaRef, begins: i64) -> Result<RecordBatch> {
    let count = batch.num_rows();
    let numbers = Int64Array::from_iter_values((begins..).take(count));
    let arrays = batch.columns().iter().map(Arc::clone).chain([Arc::new(numbers) as ArrayRef]).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
