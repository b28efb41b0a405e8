//! A fragment as a table that plans scan, and what the planner may ask of it.

use crate::leaf::{ExpectedRows, GovernedExec};
use crate::remote::{CompiledFragment, Expected, FragmentExec, SourcePlanning};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as EngineResult;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use querygate_driver_api::boxed_scan;
use querygate_driver_api::planning::settings_for;
use querygate_driver_api::relation::Relation;
use querygate_pg_catalog::LeafToken;
use querygate_rules::estimate::TableEstimate;
use querygate_types::PlannerSetting;
use std::any::Any;
use std::sync::Arc;

/// A fragment as a table of one statement. Governed: its policies are inside.
#[derive(Debug)]
pub struct FragmentTable {
    token: LeafToken,
    restricted: bool,
    /// What it is expected to deliver.
    size: TableEstimate,
    compiled: CompiledFragment,
}

impl FragmentTable {
    pub(super) fn new(token: LeafToken, restricted: bool, size: TableEstimate, compiled: CompiledFragment) -> Self {
        Self { token, restricted, size, compiled }
    }

    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }

    pub(crate) fn size(&self) -> &TableEstimate {
        &self.size
    }

    fn settings(&self) -> Vec<PlannerSetting> {
        settings_for(self.compiled.driver.as_ref(), &self.compiled.fragment)
    }

    /// Whether its source gives a row for each group of rows.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        gives_groups(&self.compiled.fragment.relation)
    }

    /// Whether it may leave out rows of the tables that it reads.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        !gives_all_rows(&self.compiled.fragment.relation)
    }

    /// Whether both ask the same source the same, with the same values and for the same reader.
    #[must_use]
    pub fn gives_the_same(&self, other: &Self) -> bool {
        let (own, others) = (&self.compiled, &other.compiled);
        self.token == other.token
            && self.restricted == other.restricted
            && std::ptr::addr_eq(Arc::as_ptr(&own.driver), Arc::as_ptr(&others.driver))
            && own.source == others.source
            && own.fragment.gives_the_same(&others.fragment)
            && own.values == others.values
            && own.open == others.open
            && own.columns == others.columns
            && own.schema == others.schema
    }
}

fn gives_groups(relation: &Relation) -> bool {
    match relation {
        Relation::Aggregate { .. } | Relation::Distinct { .. } => true,
        Relation::Filter { input, .. }
        | Relation::Project { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. }
        | Relation::Window { input, .. }
        | Relation::Fence { input } => gives_groups(input),
        Relation::Scan { .. }
        | Relation::Join { .. }
        | Relation::SetOperation { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => false,
    }
}

/// Whether it gives a row for each row of the one table that it reads.
fn gives_all_rows(relation: &Relation) -> bool {
    match relation {
        Relation::Scan { .. } => true,
        Relation::Project { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Window { input, .. }
        | Relation::Fence { input } => gives_all_rows(input),
        Relation::Filter { .. }
        | Relation::Limit { .. }
        | Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Distinct { .. }
        | Relation::SetOperation { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => false,
    }
}

impl FragmentTable {
    fn scanned<'a>(
        &'a self,
        state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        _filters: &'a [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'a, EngineResult<Arc<dyn ExecutionPlan>>> {
        Box::pin(async move {
            let mut compiled = self.compiled.clone();
            let told = state.config().get_extension::<SourcePlanning>();
            compiled.setting = told.map(|told| told.0).filter(|setting| self.settings().contains(setting));
            compiled.expected = Arc::new(Expected::of(&self.size).unless_all(state));
            if let Some(indices) = projection {
                compiled.columns = indices.iter().filter_map(|i| self.compiled.columns.get(*i).cloned()).collect();
                compiled.schema = Arc::new(self.compiled.schema.project(indices)?);
            }
            let leaf = governed_fragment(self.token.clone(), compiled, limit, self.restricted);
            let leaf: Arc<dyn ExecutionPlan> = Arc::new(leaf.expecting(ExpectedRows::of(&self.size)));
            Ok(leaf)
        })
    }
}

impl TableProvider for FragmentTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.compiled.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    boxed_scan!(scanned);
}

/// Settings that the planner of the source behind a scan takes for it; empty where it is no fragment.
#[must_use]
pub fn source_settings(scan: &TableScan) -> Vec<PlannerSetting> {
    let Ok(provider) = source_as_provider(&scan.source) else { return Vec::new() };
    let any: &dyn Any = provider.as_ref();
    any.downcast_ref::<FragmentTable>().map(FragmentTable::settings).unwrap_or_default()
}

/// The governed leaf of a fragment. `restricted`: row policies are inside.
pub(super) fn governed_fragment(
    token: LeafToken,
    compiled: CompiledFragment,
    fetch: Option<usize>,
    restricted: bool,
) -> GovernedExec {
    let source = Arc::clone(&compiled.source);
    let note = format!("source={source}{}", if restricted { ", row policies inside" } else { "" });
    GovernedExec::fragment(token, source, note.into(), Arc::new(FragmentExec::new(compiled)), fetch)
}
