//! A table with the names of the columns that its reader may not read, for `hidden_columns = "denied"`: statements find these as they do
//! in PostgreSQL, and a statement that reads one is refused. It has no rows: once names are looked up, the governed table takes its place.

use crate::arrow_types::arrow_field;
use crate::deployment::SourceTable;
use crate::leaf::GovernedTable;
use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Constraints, Result, internal_err};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use querygate_metadata::model::{Field, Object};
use querygate_policy::ReadDecision;
use std::collections::HashMap;
use std::sync::Arc;

/// In the metadata of a field that its reader may not read: the SQL name of its table.
const DENIED: &str = "querygate_denied";

/// A table as statements name it.
#[derive(Debug)]
pub struct NamedTable {
    table: Arc<GovernedTable>,
    schema: SchemaRef,
    constraints: Option<Constraints>,
}

impl NamedTable {
    /// `None`: its reader may read all its columns.
    pub(crate) fn of(
        table: &Arc<GovernedTable>,
        object: &Object,
        source: &SourceTable,
        decision: &ReadDecision,
    ) -> Option<Arc<Self>> {
        let served = table.schema();
        let stored = source.provider.schema();
        let fields = object.fields.values().filter(|field| !field.phantom).filter_map(|field| {
            if let Ok(own) = served.field_with_name(&field.name) {
                return Some(own.clone());
            }
            let is_there = !field.stored() || stored.column_with_name(&field.name).is_some();
            (is_there && decision.hidden_fields().contains(&field.name)).then(|| denied(field, table.name()))
        });
        let fields: Vec<ArrowField> = fields.collect();
        if fields.len() <= served.fields().len() {
            return None;
        }
        let schema = Arc::new(Schema::new(fields));
        let constraints = table.constraints().and_then(|own| moved(own, &served, &schema));
        Some(Arc::new(Self { table: Arc::clone(table), schema, constraints }))
    }

    /// What its reader may read of it.
    #[must_use]
    pub fn table(&self) -> &Arc<GovernedTable> {
        &self.table
    }

    /// Names of all columns, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }
}

/// The table whose reader may not read a field.
#[must_use]
pub fn denied_table(field: &ArrowField) -> Option<&str> {
    field.metadata().get(DENIED).map(String::as_str)
}

fn denied(field: &Field, table: &str) -> ArrowField {
    let metadata = HashMap::from([(DENIED.to_owned(), table.to_owned())]);
    arrow_field(field).with_nullable(true).with_metadata(metadata)
}

/// Keys of the governed table, by the places that their columns have here.
fn moved(own: &Constraints, from: &Schema, to: &Schema) -> Option<Constraints> {
    let place = |at: &usize| to.index_of(from.fields().get(*at)?.name()).ok();
    let keys = own.iter().map(|constraint| match constraint {
        Constraint::PrimaryKey(places) => {
            Some(Constraint::PrimaryKey(places.iter().map(place).collect::<Option<_>>()?))
        }
        Constraint::Unique(places) => Some(Constraint::Unique(places.iter().map(place).collect::<Option<_>>()?)),
    });
    Some(Constraints::new_unverified(keys.collect::<Option<Vec<_>>>()?))
}

#[async_trait]
impl TableProvider for NamedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.constraints.as_ref()
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
        internal_err!("names of columns have no rows")
    }
}
