//! Catalog relations as DataFusion tables: a provider and a leaf of their own type, so that a plan's verifier can tell
//! them from anything else. Rows are built when first read.

use super::layout;
use super::objects::Objects;
use super::rows;
use super::session::SessionVars;
use crate::image::CatalogImage;
use crate::token::LeafToken;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// One principal's `pg_catalog` and `information_schema` for one metadata snapshot. Build it once and share it.
pub struct PgCatalog {
    token: LeafToken,
    pub(crate) objects: Objects,
    kept: Mutex<HashMap<(&'static str, &'static str), RecordBatch>>,
    pub(crate) comments: OnceLock<Comments>,
}

/// Comment texts by object, catalog and column.
pub(crate) type Comments = HashMap<(u32, u32, i32), String>;

impl std::fmt::Debug for PgCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PgCatalog")
    }
}

impl PgCatalog {
    /// Gives out object ids; rows come later. `image`: what the token's principal may see.
    #[must_use]
    pub fn new(token: LeafToken, image: CatalogImage) -> Arc<Self> {
        Arc::new(Self {
            token,
            objects: Objects::new(image, rows::exists),
            kept: Mutex::default(),
            comments: OnceLock::new(),
        })
    }

    /// What it was built from.
    #[must_use]
    pub fn image(&self) -> &CatalogImage {
        &self.objects.image
    }

    /// `pg_class.oid` of a visible relation, for RowDescription.
    #[must_use]
    pub fn relation_oid(&self, schema: &str, name: &str) -> Option<u32> {
        self.objects.relation_in(schema, name).map(|r| r.oid)
    }

    /// `pg_attribute.attnum` of a column, for RowDescription.
    #[must_use]
    pub fn attribute_number(&self, schema: &str, relation: &str, column: &str) -> Option<i16> {
        let relation = self.objects.relation_in(schema, relation)?;
        relation.columns.iter().find(|c| c.name == column).map(|c| c.attnum)
    }

    /// `pg_type.oid` of an enum by its name and labels, with NUL between. Several of one name differ by their labels.
    #[must_use]
    pub fn enum_oid(&self, described: &str) -> Option<u32> {
        let (name, labels) = described.split_once('\0')?;
        let labels = || labels.split('\0');
        let is_it = |e: &&super::objects::EnumObject| {
            e.name.starts_with(name) && e.labels.iter().map(|(_, label)| label.as_str()).eq(labels())
        };
        self.objects.enums.iter().find(is_it).map(|e| e.oid)
    }

    /// `pg_attribute.atttypmod` of a column; −1 for none.
    #[must_use]
    pub fn type_modifier(&self, schema: &str, relation: &str, column: &str) -> i32 {
        let columns = self.objects.relation_in(schema, relation).map_or(&[][..], |relation| &relation.columns);
        columns.iter().find(|c| c.name == column).map_or(-1, |c| c.typmod)
    }

    /// Names of a visible relation's columns, in their order.
    #[must_use]
    pub fn column_names(&self, schema: &str, relation: &str) -> Option<Vec<String>> {
        let relation = self.objects.relation_in(schema, relation)?;
        Some(relation.columns.iter().map(|column| column.name.clone()).collect())
    }

    /// Whether a visible relation, of those of PostgreSQL's own too, is a table and no view. `None`: there is no such relation.
    #[must_use]
    pub fn is_table(&self, schema: &str, relation: &str) -> Option<bool> {
        self.objects.relation_in(schema, relation).map(|relation| matches!(relation.kind, 'r' | 'm' | 'f'))
    }

    /// `pg_class.oid` of one of PostgreSQL's own relations that exists here.
    #[must_use]
    pub fn system_oid(schema: &str, name: &str) -> Option<u32> {
        layout::layout(schema, name).filter(|l| rows::exists(l.schema, l.name)).map(|l| l.oid)
    }

    /// The provider of `pg_catalog` or `information_schema`; `None` for any other name.
    #[must_use]
    pub fn schema_provider(self: &Arc<Self>, schema: &str) -> Option<Arc<dyn SchemaProvider>> {
        let schema = ["pg_catalog", "information_schema"].into_iter().find(|name| *name == schema)?;
        Some(Arc::new(SystemSchema { catalog: Arc::clone(self), schema }))
    }

    /// A relation by name.
    #[must_use]
    pub fn table(self: &Arc<Self>, schema: &str, name: &str) -> Option<Arc<SystemTable>> {
        let layout = layout::layout(schema, name).filter(|l| rows::exists(l.schema, l.name))?;
        Some(Arc::new(SystemTable { catalog: Arc::clone(self), layout }))
    }

    /// All relations with their rows, as a session with `vars` sees them.
    pub fn tables(
        &self,
        vars: &SessionVars,
    ) -> querygate_types::Result<Vec<(&'static str, &'static str, RecordBatch)>> {
        let existing = layout::layouts().iter().filter(|l| rows::exists(l.schema, l.name));
        existing.map(|l| Ok((l.schema, l.name, self.batch(l, vars)?))).collect()
    }

    /// Rows of a relation: kept after the first call unless they depend on the session.
    pub(crate) fn batch(
        &self,
        layout: &'static layout::Layout,
        vars: &SessionVars,
    ) -> querygate_types::Result<RecordBatch> {
        let key = (layout.schema, layout.name);
        let keep = !rows::of_session(layout.schema, layout.name);
        if keep
            && let Ok(kept) = self.kept.lock()
            && let Some(batch) = kept.get(&key)
        {
            return Ok(batch.clone());
        }
        let built = rows::build(&self.objects, vars, layout.schema, layout.name)?;
        let batch = built.ok_or_else(|| querygate_types::Error::internal(format!("{} does not exist", layout.name)))?;
        if keep && let Ok(mut kept) = self.kept.lock() {
            kept.insert(key, batch.clone());
        }
        Ok(batch)
    }
}

#[derive(Debug)]
struct SystemSchema {
    catalog: Arc<PgCatalog>,
    schema: &'static str,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        let all = layout::layouts().iter().filter(|l| l.schema == self.schema && rows::exists(l.schema, l.name));
        all.map(|l| l.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.catalog.table(self.schema, name).map(|t| t as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        rows::exists(self.schema, name)
    }
}

/// A relation of `pg_catalog` or `information_schema`. A plan's verifier recognizes it by `Any` downcast.
#[derive(Debug, Clone)]
pub struct SystemTable {
    catalog: Arc<PgCatalog>,
    layout: &'static layout::Layout,
}

impl SystemTable {
    /// Whose catalog it belongs to.
    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.catalog.token
    }

    /// Whether its rows tell of the session. Others are the same as long as the catalog is.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        rows::of_session(self.layout.schema, self.layout.name)
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.layout.arrow)
    }

    fn table_type(&self) -> TableType {
        if self.layout.kind == 'v' { TableType::View } else { TableType::Base }
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.layout.arrow.project(columns)?),
            None => Arc::clone(&self.layout.arrow),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Arc::new(SystemTableExec {
            table: self.clone(),
            projection: projection.cloned(),
            limit,
            properties: Arc::new(properties),
        }))
    }
}

/// The leaf that reads a [`SystemTable`]. It has no children and reads nothing but the catalog's own rows.
#[derive(Debug, Clone)]
pub struct SystemTableExec {
    table: SystemTable,
    projection: Option<Vec<usize>>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl SystemTableExec {
    /// Whose catalog it reads.
    #[must_use]
    pub fn token(&self) -> &LeafToken {
        self.table.token()
    }
}

impl DisplayAs for SystemTableExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SystemTableExec: {}.{}", self.table.layout.schema, self.table.layout.name)
    }
}

impl ExecutionPlan for SystemTableExec {
    fn name(&self) -> &'static str {
        "SystemTableExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a catalog relation has no children") }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a catalog relation has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a catalog relation has one partition");
        }
        let extensions = &context.session_config().options().extensions;
        let vars = extensions.get::<SessionVars>().cloned().unwrap_or_default();
        let batch = self.table.catalog.batch(self.table.layout, &vars);
        let batch = batch.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let rows = self.limit.map_or(batch.num_rows(), |limit| limit.min(batch.num_rows()));
        let schema = Arc::clone(self.properties.eq_properties.schema());
        let stream = MemoryStream::try_new(vec![batch.slice(0, rows)], schema, self.projection.clone())?;
        Ok(Box::pin(stream))
    }
}
