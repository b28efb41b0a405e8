//! The provider of a governed table: its contract with the optimizer is the barrier.

use super::barrier::is_leak_proof;
use super::mask::ColumnMask;
use super::related::RelatedKeys;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraints, Result, not_impl_err};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use querygate_policy::Permit;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Which snapshot and principal a leaf was made for. Verification compares it with the session's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeafToken {
    /// Version of the gate's state: metadata, facts and sources together.
    pub state_version: u64,
    /// Fingerprint of everything about the principal that policy may depend on.
    pub principal: u64,
}

/// One column that the reader sees.
#[derive(Debug, Clone)]
pub struct GovernedColumn {
    /// Output field: name, type as stored (a mask changes it to text), metadata for doors.
    pub field: Field,
    /// Index in the raw provider's schema.
    pub raw_index: usize,
    pub mask: Option<ColumnMask>,
}

/// The row policy of a leaf, over raw columns.
#[derive(Debug, Clone, Default)]
pub struct LeafPolicy {
    /// ANDed. Evaluated only here, so they may name columns that the reader does not see.
    pub conjuncts: Vec<Expr>,
    /// Key sets of other objects.
    pub related: Vec<RelatedKeys>,
}

impl LeafPolicy {
    /// Whether any row may be hidden.
    #[must_use]
    pub fn restricts(&self) -> bool {
        !self.conjuncts.is_empty() || !self.related.is_empty()
    }
}

/// A table as one principal may see it.
#[derive(Debug)]
pub struct GovernedTable {
    pub(super) token: LeafToken,
    pub(super) name: Arc<str>,
    pub(super) source: Arc<str>,
    pub(super) raw: Arc<dyn TableProvider>,
    pub(super) columns: Vec<GovernedColumn>,
    pub(super) schema: SchemaRef,
    pub(super) policy: LeafPolicy,
    pub(super) open_columns: Arc<BTreeSet<String>>,
    constraints: Option<Constraints>,
}

impl GovernedTable {
    /// Puts a policy around a raw provider. The permit proves that policy allowed this principal to read the object.
    #[must_use]
    pub fn new(
        _permit: &Permit,
        token: LeafToken,
        name: &str,
        source: &str,
        raw: Arc<dyn TableProvider>,
        columns: Vec<GovernedColumn>,
        policy: LeafPolicy,
    ) -> Self {
        let fields: Vec<Field> = columns
            .iter()
            .map(|column| match &column.mask {
                None => column.field.clone(),
                Some(_) => column
                    .field
                    .clone()
                    .with_data_type(ColumnMask::output_type(column.field.data_type()))
                    .with_metadata(HashMap::new())
                    .with_nullable(true),
            })
            .collect();
        let open_columns = columns
            .iter()
            .filter(|column| column.mask.is_none())
            .map(|column| column.field.name().clone())
            .collect::<BTreeSet<_>>();
        Self {
            token,
            name: name.into(),
            source: source.into(),
            raw,
            columns,
            schema: Arc::new(Schema::new(fields)),
            policy,
            open_columns: Arc::new(open_columns),
            constraints: None,
        }
    }

    /// Declares keys that hold among all rows of the raw table, so that they hold among the visible ones.
    #[must_use]
    pub fn with_constraints(mut self, constraints: Constraints) -> Self {
        self.constraints = Some(constraints);
        self
    }

    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }

    /// Name of the source that holds the rows.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SQL name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ungoverned provider. For the federation rule, which takes the policy along.
    #[must_use]
    pub fn raw(&self) -> &Arc<dyn TableProvider> {
        &self.raw
    }

    #[must_use]
    pub fn columns(&self) -> &[GovernedColumn] {
        &self.columns
    }

    #[must_use]
    pub fn policy(&self) -> &LeafPolicy {
        &self.policy
    }

    /// Whether a conjunct may run beside the policy.
    pub(super) fn admits(&self, conjunct: &Expr) -> bool {
        is_leak_proof(conjunct, &|column| self.open_columns.contains(column))
    }
}

#[async_trait]
impl TableProvider for GovernedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.constraints.as_ref()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|conjunct| {
                if self.admits(conjunct) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.plan(state, projection, filters, limit).await
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        _input: Arc<dyn ExecutionPlan>,
        _op: datafusion::logical_expr::dml::InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        not_impl_err!("a governed table is not written through its provider")
    }
}
