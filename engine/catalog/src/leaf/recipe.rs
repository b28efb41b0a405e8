//! What a governed leaf over files is planned from, as values: another process that is given them plans the same leaf, with policy
//! and masks inside. Decides nothing of who may read what.

use super::columns::{ColumnMask, TextReading};
use super::exec::{GovernedExec, bottom_of, replace_bottom};
use super::table::{ColumnOrigin, GovernedColumn, GovernedTable, LeafPolicy};
use crate::deployment::SourceTable;
use crate::expressions::columns_of;
use arrow::datatypes::{Field, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as PlanResult, Statistics, internal_err};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_pg_catalog::LeafToken;
use querygate_policy::Mask;
use querygate_types::{Error, Result};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How the files of a table are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFormat {
    Parquet,
    /// `encoding`: its name in the WHATWG's Encoding Standard.
    Csv {
        delimiter: u8,
        quote: u8,
        header: bool,
        null: String,
        encoding: String,
    },
    Ndjson,
    Json,
}

/// The table over files behind a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFiles {
    /// A file, a folder or a glob, relative to the source.
    pub pattern: String,
    pub format: FileFormat,
    /// The provider's columns.
    pub schema: SchemaRef,
    /// What the files call a column, where that differs.
    pub column_map: BTreeMap<String, String>,
}

/// Says which table over files a provider is; in a session's configuration where leaves are recorded. The error says why it is
/// none that others can read.
#[derive(Clone)]
pub struct FilesOf(pub Arc<FindFiles>);

/// Finds the table over files behind a provider.
pub type FindFiles = dyn Fn(&dyn TableProvider) -> std::result::Result<TableFiles, &'static str> + Send + Sync;

/// What a leaf is planned from.
#[derive(Debug, Clone)]
pub struct LeafRecipe {
    /// SQL name of the table.
    pub table: Arc<str>,
    /// Name of the source.
    pub source: Arc<str>,
    pub files: TableFiles,
    /// Columns that it gives, in their order.
    pub columns: Vec<RecipeColumn>,
    /// The row policy over the provider's columns, ANDed.
    pub policy: Vec<Expr>,
    /// Whether the policy hides any row.
    pub restricts: bool,
    /// The reader's own conditions that stand beside the policy.
    pub filters: Vec<Expr>,
    /// Columns that they read: the reader sees them unmasked, whether they are given or not.
    pub open: BTreeSet<String>,
    pub limit: Option<usize>,
}

/// One column of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipeColumn {
    /// Name, type as stored, metadata for doors.
    pub field: Field,
    pub origin: RecipeOrigin,
    pub mask: Option<Mask>,
}

/// Where a column's values come from: an index in the provider's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipeOrigin {
    Raw(usize),
    Text(usize, TextReading),
}

/// A recipe, or why there is none.
pub(super) type Recorded = std::result::Result<Arc<LeafRecipe>, &'static str>;

impl GovernedTable {
    /// What this leaf is planned from, where somebody wants to know.
    pub(super) fn record(
        &self,
        state: &dyn Session,
        output: &[&GovernedColumn],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Option<Recorded> {
        let files = state.config().get_extension::<FilesOf>()?;
        Some(self.recipe(&files, output, filters, limit).map(Arc::new))
    }

    fn recipe(
        &self,
        files: &FilesOf,
        output: &[&GovernedColumn],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> std::result::Result<LeafRecipe, &'static str> {
        let files = (files.0)(self.raw.as_ref())?;
        if !self.policy.related.is_empty() {
            return Err("its policy reads rows of other tables");
        }
        let column = |column: &&GovernedColumn| {
            let origin = match &column.origin {
                ColumnOrigin::Raw(index) => RecipeOrigin::Raw(*index),
                ColumnOrigin::Text(index, reading) => RecipeOrigin::Text(*index, *reading),
                ColumnOrigin::Formula(_) => return Err("a formula is computed in the gate"),
            };
            let mask = match &column.mask {
                None => None,
                Some(mask) => Some(mask.rule().ok_or("a mask is not one of metadata")?),
            };
            Ok(RecipeColumn { field: column.field.clone(), origin, mask })
        };
        Ok(LeafRecipe {
            table: Arc::clone(&self.name),
            source: Arc::clone(&self.source),
            files,
            columns: output.iter().map(column).collect::<std::result::Result<_, _>>()?,
            policy: self.policy.conjuncts.clone(),
            restricts: self.policy.restricts(),
            filters: filters.to_vec(),
            open: filters.iter().flat_map(columns_of).filter(|name| self.open_columns.contains(name)).collect(),
            limit,
        })
    }

    /// The table of a recipe over its files. The caller has proof that the recipe is what a gate decided: it stands for the
    /// permit that a table of the gate's own is made with.
    ///
    /// # Errors
    /// Internal: the recipe contradicts itself, or its files.
    pub fn of_recipe(token: LeafToken, recipe: &LeafRecipe, provider: Arc<dyn TableProvider>) -> Result<Self> {
        let schema = provider.schema();
        if recipe.restricts == recipe.policy.is_empty() {
            return Err(Error::internal("a recipe lost its row policy"));
        }
        let column = |column: &RecipeColumn| {
            let (index, origin) = match column.origin {
                RecipeOrigin::Raw(index) => (index, ColumnOrigin::Raw(index)),
                RecipeOrigin::Text(index, reading) => (index, ColumnOrigin::Text(index, reading)),
            };
            if schema.fields().get(index).is_none_or(|raw| raw.name() != column.field.name()) {
                return Err(Error::internal("a recipe reads a column that its files do not have"));
            }
            let mask = column.mask.clone().map(ColumnMask::of);
            Ok(GovernedColumn { field: column.field.clone(), origin, mask })
        };
        let columns = recipe.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        let masked = |name: &String| columns.iter().any(|column| column.field.name() == name && !column.is_open());
        if recipe.open.iter().any(masked) {
            return Err(Error::internal("a recipe has conditions on a column that it masks"));
        }
        let table = SourceTable::new(Arc::clone(&recipe.source), provider);
        let policy = LeafPolicy { conjuncts: recipe.policy.clone(), related: Vec::new() };
        let mut made = Self::around(token, &recipe.table, &table, columns, policy);
        made.open_columns = Arc::new(recipe.open.clone());
        Ok(made)
    }

    /// The leaf of a recipe's table.
    ///
    /// # Errors
    /// A condition of the reader that is not leak-proof; what the files' own planning says.
    pub async fn leaf(&self, state: &dyn Session, recipe: &LeafRecipe) -> PlanResult<Arc<dyn ExecutionPlan>> {
        self.plan(state, None, &recipe.filters, recipe.limit).await
    }
}

impl GovernedExec {
    /// What the leaf was planned from, or why other processes cannot plan it; `None`: it was not recorded.
    #[must_use]
    pub fn recipe(&self) -> Option<&std::result::Result<Arc<LeafRecipe>, &'static str>> {
        self.recorded()
    }

    /// The files that it reads, stream by stream. `None`: it reads none.
    #[must_use]
    pub fn file_groups(&self) -> Option<Vec<FileGroup>> {
        Some(file_scan(self.inner())?.file_groups)
    }

    /// How many of its parts are read at once, where they are given one after the other. `None`: each is a stream of its own.
    #[must_use]
    pub fn parts_at_once(&self) -> Option<usize> {
        self.in_order
    }

    /// The plan of one of its streams by itself, policy and masks included: it reads no file of another stream.
    ///
    /// # Errors
    /// Internal: there is no such stream of files.
    pub fn stream_alone(&self, stream: usize) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let Some(scan) = file_scan(self.inner()) else { return internal_err!("a leaf reads no files") };
        let Some(group) = scan.file_groups.get(stream).cloned() else {
            return internal_err!("there is no such stream");
        };
        let unknown = Statistics::new_unknown(scan.file_source.table_schema().table_schema());
        let config = FileScanConfigBuilder::from(scan)
            // One group: sibling groups take work from each other.
            .with_file_groups(vec![group])
            .with_output_partitioning(None)
            .with_statistics(unknown)
            .build();
        replace_bottom(self.inner(), &(DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>))
    }

    /// Whether a join narrows it while it runs.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        let mut narrowed = false;
        // A walk that only reads cannot fail.
        let _walked = self.inner().apply(|node| {
            node.apply_expressions(&mut |expr| {
                narrowed |= is_dynamic(expr);
                Ok(TreeNodeRecursion::Continue)
            })
        });
        narrowed
    }

    /// This leaf, whose streams are read by somebody who was given its recipe. `note`: what it says of that in EXPLAIN.
    ///
    /// # Errors
    /// Internal: the streams have other columns.
    pub fn read_by(&self, streams: Arc<dyn ExecutionPlan>, note: &str) -> Result<Self> {
        if streams.schema() != self.schema() {
            return Err(Error::internal("a leaf is read elsewhere with other columns"));
        }
        Ok(self.read_elsewhere(streams, note))
    }
}

fn file_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<FileScanConfig> {
    let leaf = bottom_of(plan);
    let any: &dyn Any = leaf.as_ref();
    let scan: &FileScanConfig = any.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref()?;
    Some(scan.clone())
}

fn is_dynamic(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut found = false;
    // A walk that only reads cannot fail.
    let _walked = expr.apply(|part| {
        found |= part.is::<DynamicFilterPhysicalExpr>();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}
