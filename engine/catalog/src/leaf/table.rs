//! The provider of a governed table: its contract with the optimizer is the barrier.

use super::columns::{ColumnMask, FormulaColumn, TextReading};
use super::leak_proof::is_leak_proof;
use super::named_scan::with_places_unnamed;
use super::related::RelatedKeys;
use crate::deployment::SourceTable;
use crate::rescan::Rescan;
use crate::unavailable::UnavailableTable;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraints, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use querygate_driver_api::boxed_scan;
use querygate_pg_catalog::LeafToken;
use querygate_policy::{Permit, RowFilter};
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// One column that the reader sees.
#[derive(Debug, Clone)]
pub struct GovernedColumn {
    /// Output field: name, type as stored (a mask changes it to text), metadata for doors.
    pub field: Field,
    pub origin: ColumnOrigin,
    pub mask: Option<ColumnMask>,
}

/// Where a column's values come from.
#[derive(Debug, Clone)]
pub enum ColumnOrigin {
    /// Index in the raw provider's schema.
    Raw(usize),
    /// Index of the texts that it is read from.
    Text(usize, TextReading),
    Formula(FormulaColumn),
}

impl GovernedColumn {
    /// Whether the reader sees the stored value itself, so that a source may judge conditions on it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.mask.is_none() && matches!(self.origin, ColumnOrigin::Raw(_))
    }

    /// Whether it is that column of the raw provider, unmasked.
    #[must_use]
    pub fn is_raw(&self, index: usize) -> bool {
        self.mask.is_none() && matches!(self.origin, ColumnOrigin::Raw(raw) if raw == index)
    }

    /// Indexes of the raw provider's columns that it is made from.
    pub(super) fn reads(&self) -> impl Iterator<Item = usize> + '_ {
        let (raw, inputs) = match &self.origin {
            ColumnOrigin::Raw(index) | ColumnOrigin::Text(index, _) => (Some(*index), [].as_slice()),
            ColumnOrigin::Formula(formula) => (None, formula.inputs.as_slice()),
        };
        raw.into_iter().chain(inputs.iter().map(|(index, _)| *index))
    }
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
    pub(super) rescan: Option<Rescan>,
    pub(super) columns: Vec<GovernedColumn>,
    pub(super) schema: SchemaRef,
    pub(super) policy: LeafPolicy,
    pub(super) open_columns: Arc<BTreeSet<String>>,
    /// Whether errors may name the table and its columns to the reader; not of keys that only a policy reads.
    pub(super) is_told: bool,
    constraints: Option<Constraints>,
    /// What a statement that names the table reads: the table itself, if there is nothing to say of its columns.
    named_plan: Option<LogicalPlan>,
}

impl GovernedTable {
    /// Puts a policy around the rows of `object`. The permit proves that policy allowed this principal to read it, and is
    /// good for that object only, without the fields that it hides, with its masks, and under some row policy where it has
    /// one.
    ///
    /// # Errors
    /// Internal: the permit does not cover what was asked for.
    pub fn new(
        permit: &Permit,
        token: LeafToken,
        object: &str,
        name: &str,
        source: &SourceTable,
        columns: Vec<GovernedColumn>,
        policy: LeafPolicy,
    ) -> querygate_types::Result<Self> {
        if permit.object() != object {
            return Err(Error::internal(format!("a permit for {} was used for {object}", permit.object())));
        }
        columns.iter().try_for_each(|column| covers(permit, source, column))?;
        if restricts(permit.row_filter()) && !policy.restricts() {
            return Err(Error::internal(format!("{object} lost the row policy of its permit")));
        }
        Ok(Self::around(token, name, source, columns, policy))
    }

    /// The keys `select` of `object`, which the row policy of the permit's own object asks for. They never leave that
    /// object's leaf.
    ///
    /// # Errors
    /// Internal: the permit's policy does not read these keys, or its condition on them is gone, or the source has none.
    pub(crate) fn keys(
        permit: &Permit,
        token: LeafToken,
        object: &str,
        select: &str,
        source: &SourceTable,
        policy: LeafPolicy,
    ) -> querygate_types::Result<Self> {
        let conditions = permit.row_filter().keys_of(object, select);
        if conditions.is_empty() {
            let text = format!("the policy of {} does not read {select} of {object}", permit.object());
            return Err(Error::internal(text));
        }
        if conditions.into_iter().all(restricts) && !policy.restricts() {
            return Err(Error::internal(format!("keys of {object} lost their condition")));
        }
        let schema = source.provider.schema();
        let raw_index =
            schema.index_of(select).map_err(|_| Error::internal("a related object lacks its key column"))?;
        let column =
            GovernedColumn { field: schema.field(raw_index).clone(), origin: ColumnOrigin::Raw(raw_index), mask: None };
        Ok(Self { is_told: false, ..Self::around(token, object, source, vec![column], policy) })
    }

    pub(super) fn around(
        token: LeafToken,
        name: &str,
        source: &SourceTable,
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
            .filter(|column| column.is_open())
            .map(|column| column.field.name().clone())
            .collect::<BTreeSet<_>>();
        Self {
            token,
            name: name.into(),
            source: Arc::clone(&source.source),
            raw: Arc::clone(&source.provider),
            rescan: source.rescan.clone(),
            columns,
            schema: Arc::new(Schema::new(fields)),
            policy,
            open_columns: Arc::new(open_columns),
            is_told: true,
            constraints: None,
            named_plan: None,
        }
    }

    /// Declares keys that hold among all rows of the raw table, so that they hold among the visible ones.
    #[must_use]
    pub fn with_constraints(mut self, constraints: Constraints) -> Self {
        self.constraints = Some(constraints);
        self
    }

    /// This table, without its keys for the optimizer.
    #[must_use]
    pub fn without_keys(&self) -> Self {
        Self {
            token: self.token.clone(),
            name: Arc::clone(&self.name),
            source: Arc::clone(&self.source),
            raw: Arc::clone(&self.raw),
            rescan: self.rescan.clone(),
            columns: self.columns.clone(),
            schema: Arc::clone(&self.schema),
            policy: self.policy.clone(),
            open_columns: Arc::clone(&self.open_columns),
            is_told: self.is_told,
            constraints: None,
            named_plan: None,
        }
    }

    /// The table as statements name it. Numerics without a precision are cells, which the planner has no operators for: it takes them
    /// for decimals without a declared scale, as it does `x::numeric`, until the statement is bound.
    ///
    /// # Errors
    /// Internal: the plan of these casts cannot be built.
    pub(crate) fn with_named_plan(self) -> querygate_types::Result<Arc<Self>> {
        let constraints = self.constraints.clone();
        let table = Arc::new(self);
        let provider = Arc::clone(&table) as Arc<dyn TableProvider>;
        match with_places_unnamed(&table.name, provider).map_err(Error::internal)? {
            Some(named) => Ok(Arc::new(Self { constraints, named_plan: Some(named), ..table.without_keys() })),
            None => Ok(table),
        }
    }

    /// Whether both are one table as one reader sees it, with its keys or without.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        // Made with the table, and handed on to its copies alone.
        Arc::ptr_eq(&self.open_columns, &other.open_columns)
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

    /// Why nothing of it may be read, where its rules cannot be applied. What is away, or unfit, refuses its scans alone.
    pub fn refusal(&self) -> Option<&Error> {
        let error = (self.raw.as_ref() as &dyn Any).downcast_ref::<UnavailableTable>()?.error();
        (error.code() == ErrorCode::InsufficientPrivilege).then_some(error)
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

/// Whether the permit lets this column be read as it is meant to be: its own raw column, not hidden, masked if it must be.
fn covers(permit: &Permit, source: &SourceTable, column: &GovernedColumn) -> querygate_types::Result<()> {
    let name = column.field.name();
    let schema = source.provider.schema();
    let raw = |index: usize| schema.fields().get(index).map(|raw| raw.name());
    let open = |name: &String| !permit.hidden_fields().contains(name) && !permit.masks().contains_key(name);
    let own = match &column.origin {
        ColumnOrigin::Raw(index) | ColumnOrigin::Text(index, _) => raw(*index) == Some(name),
        // Its value would tell what it reads.
        ColumnOrigin::Formula(_) => column.reads().all(|index| raw(index).is_some_and(open)),
    };
    let masked = column.mask.is_some() || !permit.masks().contains_key(name);
    if own && masked && !permit.hidden_fields().contains(name) {
        Ok(())
    } else {
        Err(Error::internal(format!("a permit for {} does not cover column {name}", permit.object())))
    }
}

fn restricts(filter: &RowFilter) -> bool {
    !filter.clone().simplify().is_all()
}

impl GovernedTable {
    fn scanned<'a>(
        &'a self,
        state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
        Box::pin(self.plan(state, projection, filters, limit))
    }
}

impl TableProvider for GovernedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.constraints.as_ref()
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.named_plan.as_ref().map(Cow::Borrowed)
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

    boxed_scan!(scanned);
}

#[cfg(test)]
mod tests {
    use super::super::columns::MaskText;
    use super::*;
    use arrow::datatypes::DataType;
    use datafusion::datasource::empty::EmptyTable;
    use datafusion::prelude::{col, lit};
    use querygate_metadata::load::{LoadOptions, load_text};
    use querygate_metadata::model::{Facts, TenancyPosture};
    use querygate_policy::{CompiledPolicy, Evaluator, resolve_principal};
    use querygate_types::principal::Principal;

    const STACK: &str = r#"{
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [
            {"name": "t_own", "label": "O", "sharingModel": "private", "fields": {"title": {"type": "text", "label": "T"}}},
            {"name": "t_open", "label": "P", "sharingModel": "public_read_write", "fields": {
                "title": {"type": "text", "label": "T"},
                "phone": {"type": "text", "label": "P", "maskingRule": "phone"},
                "salary": {"type": "text", "label": "S", "requiredPermissions": ["see_pay"]}}},
            {"name": "t_line", "label": "L", "sharingModel": "controlled_by_parent", "fields": {
                "parent": {"type": "master_detail", "label": "M", "reference": "t_own", "required": true}}}
        ],
        "capabilities": [{"name": "see_pay", "label": "Pay", "scope": "org"}],
        "permissions": [{"name": "all", "label": "All", "objects": {"*": {"allowRead": true}}}]
    }"#;

    fn permit(object: &str) -> Permit {
        let snapshot =
            load_text("stack.json", STACK, &LoadOptions { posture: TenancyPosture::Single, ..LoadOptions::default() })
                .unwrap();
        let policy = CompiledPolicy::compile(Arc::new(snapshot), Vec::new());
        let facts = Facts::default();
        let principal = resolve_principal(Principal::builder("ada").permission_set("all").build(), &policy, &facts, 0);
        Evaluator { policy: &policy, principal: &principal, facts: &facts, now_ms: 0 }
            .decide_read(object)
            .permit()
            .unwrap()
    }

    fn source() -> SourceTable {
        let names = ["id", "title", "phone", "salary", "owner_id", "parent"];
        let fields: Vec<Field> = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        SourceTable::new("s", Arc::new(EmptyTable::new(Arc::new(Schema::new(fields)))))
    }

    fn token() -> LeafToken {
        LeafToken { state_version: 1, principal: 1, until_ms: None }
    }

    struct Stars;

    impl MaskText for Stars {
        fn mask(&self, _: &str) -> querygate_types::Result<String> {
            Ok("***".to_owned())
        }

        fn fingerprint(&self) -> u64 {
            0
        }
    }

    /// A column read from the raw column `raw`.
    fn column(name: &str, raw: &str, masked: bool) -> GovernedColumn {
        let schema = source().provider.schema();
        let mask = masked.then(|| ColumnMask::new(Arc::new(Stars)));
        GovernedColumn {
            field: schema.field_with_name(name).unwrap().clone(),
            origin: ColumnOrigin::Raw(schema.index_of(raw).unwrap()),
            mask,
        }
    }

    fn own_rows() -> LeafPolicy {
        LeafPolicy { conjuncts: vec![col("owner_id").eq(lit("ada"))], related: Vec::new() }
    }

    #[test]
    fn a_permit_is_good_for_its_object_its_fields_and_its_rows_only() {
        let (own, open) = (permit("t_own"), permit("t_open"));
        let check = |permit: &Permit, object: &str, column: GovernedColumn, policy: LeafPolicy, good: bool| {
            let made = GovernedTable::new(permit, token(), object, "t", &source(), vec![column], policy);
            assert_eq!(made.is_ok(), good, "{object}");
        };
        check(&open, "t_open", column("title", "title", false), LeafPolicy::default(), true);
        check(&open, "t_own", column("title", "title", false), own_rows(), false);
        check(&own, "t_open", column("title", "title", false), own_rows(), false);
        check(&open, "t_open", column("salary", "salary", false), LeafPolicy::default(), false);
        check(&open, "t_open", column("title", "salary", false), LeafPolicy::default(), false);
        check(&open, "t_open", column("phone", "phone", false), LeafPolicy::default(), false);
        check(&open, "t_open", column("phone", "phone", true), LeafPolicy::default(), true);
        check(&own, "t_own", column("title", "title", false), own_rows(), true);
        check(&own, "t_own", column("title", "title", false), LeafPolicy::default(), false);
    }

    #[test]
    fn keys_are_those_that_the_permits_policy_reads_and_under_its_condition() {
        let check = |permit: &Permit, object: &str, select: &str, policy: LeafPolicy, good: bool| {
            let made = GovernedTable::keys(permit, token(), object, select, &source(), policy);
            assert_eq!(made.is_ok(), good, "{object}.{select}");
        };
        let line = permit("t_line");
        check(&line, "t_own", "id", own_rows(), true);
        check(&line, "t_own", "id", LeafPolicy::default(), false);
        check(&line, "t_own", "title", own_rows(), false);
        check(&line, "t_open", "id", own_rows(), false);
        check(&permit("t_own"), "t_own", "id", own_rows(), false);
    }
}
