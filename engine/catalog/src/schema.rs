//! A principal's schemas. Unqualified catalog names (`pg_class`) resolve in `public` too, as Postgres' search path has it.

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An immutable schema.
#[derive(Debug)]
pub(crate) struct FixedSchema {
    tables: BTreeMap<String, Arc<dyn TableProvider>>,
    /// Asked for names that this schema does not have.
    beside: Option<Arc<dyn SchemaProvider>>,
}

impl FixedSchema {
    pub(crate) fn new(
        tables: BTreeMap<String, Arc<dyn TableProvider>>,
        beside: Option<Arc<dyn SchemaProvider>>,
    ) -> Self {
        Self { tables, beside }
    }
}

#[async_trait]
impl SchemaProvider for FixedSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.tables.get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        match &self.beside {
            Some(beside) => beside.table(name).await,
            None => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name) || self.beside.as_ref().is_some_and(|beside| beside.table_exist(name))
    }
}
