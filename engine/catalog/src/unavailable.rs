//! A table that cannot be read: its source is down or unfit, or a rule about its rows cannot be applied. Every scan fails
//! with the reason.

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use querygate_types::Error;
use std::sync::Arc;

/// Stands in for a table of a source that cannot be reached.
#[derive(Debug)]
pub struct UnavailableTable {
    schema: SchemaRef,
    error: Error,
}

impl UnavailableTable {
    /// `error` names the source and carries a hint; every scan fails with it.
    #[must_use]
    pub fn new(schema: SchemaRef, error: Error) -> Self {
        Self { schema, error }
    }

    /// Why it cannot be read.
    pub(crate) fn error(&self) -> &Error {
        &self.error
    }
}

#[async_trait]
impl TableProvider for UnavailableTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::External(Box::new(self.error.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::prelude::SessionContext;
    use querygate_types::ErrorCode;

    /// It is described like the table, so that statements bind; what reads it fails with the reason.
    #[tokio::test]
    async fn it_binds_and_fails_when_it_is_planned() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)]));
        let error = Error::new(ErrorCode::SourceUnavailable, "source crm is down");
        let context = SessionContext::new();
        context.register_table("t", Arc::new(UnavailableTable::new(schema, error))).unwrap();
        let bound = context.sql("SELECT a + 1 FROM t").await.unwrap();
        let failed = bound.create_physical_plan().await.unwrap_err();
        let mut root: &DataFusionError = &failed;
        while let DataFusionError::Context(_, inner) = root {
            root = inner;
        }
        let DataFusionError::External(cause) = root else { panic!("{failed}") };
        assert_eq!(cause.downcast_ref::<Error>().unwrap().code(), ErrorCode::SourceUnavailable);
    }
}
