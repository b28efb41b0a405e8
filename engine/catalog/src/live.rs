//! Tables whose rows are made when they are scanned: the gate's own (schema `querygate`). Holds no data of a source.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use querygate_pg_catalog::LeafToken;
use std::fmt;
use std::sync::Arc;

/// Makes the rows that one principal may see, at the time of the scan.
pub type LiveRows = Arc<dyn Fn() -> querygate_types::Result<RecordBatch> + Send + Sync>;

/// A table of the gate's own, for one reader.
pub struct LiveTable {
    token: LeafToken,
    name: &'static str,
    schema: SchemaRef,
    rows: LiveRows,
}

impl LiveTable {
    /// `rows` must give batches of exactly `schema`, and only what the token's principal may see.
    #[must_use]
    pub fn new(token: LeafToken, name: &'static str, schema: SchemaRef, rows: LiveRows) -> Self {
        Self { token, name, schema, rows }
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

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
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
            rows: Arc::clone(&self.rows),
            projection: projection.cloned(),
            properties: Arc::new(properties),
        }))
    }
}

/// Scan of a [`LiveTable`].
pub struct LiveExec {
    token: LeafToken,
    name: &'static str,
    rows: LiveRows,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl LiveExec {
    /// Whose rows it reads.
    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }
}

impl fmt::Debug for LiveExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveExec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DisplayAs for LiveExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemScan: querygate.{}", self.name)
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

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a system table has one partition");
        }
        let batch = (self.rows)().map_err(|e| DataFusionError::External(Box::new(e)))?;
        let batch = match &self.projection {
            Some(indices) => batch.project(indices)?,
            None => batch,
        };
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)]))))
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
        let Err(DataFusionError::External(error)) = plan.execute(0, state.task_ctx()) else {
            panic!("an error of its own")
        };
        assert_eq!(error.downcast_ref::<Error>().unwrap().code(), ErrorCode::InsufficientPrivilege);
        assert!(plan.execute(1, state.task_ctx()).is_err(), "one partition");
    }
}
