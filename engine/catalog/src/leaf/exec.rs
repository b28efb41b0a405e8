//! The opaque plan node of a governed table. It has no visible children: nothing outside can move, merge or print
//! what it does inside, and its properties tell nothing that the policy alone makes true.

use super::estimate::ExpectedRows;
use super::keys::{keys_of, remap_by_name, uncast, without_casts};
use super::recipe::Recorded;
use super::renewal::Origin;
use crate::metrics::FileLeaf;
use crate::remote::FragmentExec;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalSortExpr, conjunction};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr, PlanProperties,
    execution_plan::reset_plan_states,
};
use querygate_pg_catalog::LeafToken;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A governed table in a physical plan.
#[derive(Debug, Clone)]
pub struct GovernedExec {
    token: LeafToken,
    /// SQL name of the table.
    table: Arc<str>,
    source: Arc<str>,
    /// What the leaf says of itself in EXPLAIN; names only what the reader may see.
    note: Arc<str>,
    /// What the source is given and what stays above it, policy included: for operators.
    native: Arc<[String]>,
    inner: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// Unmasked output columns: the ones a dynamic filter or a sort may look at.
    open_columns: Arc<BTreeSet<String>>,
    fetch: Option<usize>,
    /// Whether the raw leaf holds rows that the reader may not see.
    pub(super) hides: bool,
    /// How many of its parts are read at once, where they are given as one stream: their cut depends on hidden rows.
    pub(super) in_order: Option<usize>,
    /// Whether the raw leaf takes no keys of joins.
    closed: bool,
    /// What learning gets of the files under it; `None`: there are none.
    reads: Option<Arc<FileLeaf>>,
    /// What another process would plan the same from; `None`: it is not asked for.
    recorded: Option<Recorded>,
    /// What another run of the same plan makes the leaf from; `None`: it is planned for one run.
    origin: Option<Origin>,
    pub(super) expected: Option<ExpectedRows>,
    /// Columns of which no two rows have the same values; `None`: no such are known.
    key: Option<Arc<[String]>>,
    /// Of a counted run.
    pub(super) counts: ExecutionPlanMetricsSet,
}

/// Stands for the table's name in a leaf that has no one table.
pub(super) const FRAGMENT: &str = "fragment";

impl GovernedExec {
    #[expect(clippy::too_many_arguments, reason = "the parts of one node, named at each call")]
    pub(super) fn new(
        token: LeafToken,
        table: Arc<str>,
        source: Arc<str>,
        note: Arc<str>,
        native: Arc<[String]>,
        inner: Arc<dyn ExecutionPlan>,
        open_columns: Arc<BTreeSet<String>>,
        fetch: Option<usize>,
    ) -> Self {
        let properties = properties_without_constants(&inner, false);
        Self {
            token,
            table,
            source,
            note,
            native,
            inner,
            properties,
            open_columns,
            fetch,
            hides: false,
            in_order: None,
            closed: false,
            reads: None,
            recorded: None,
            origin: None,
            expected: None,
            key: None,
            counts: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Says whether the raw leaf holds rows that the reader may not see.
    pub(super) fn hiding(self, hides: bool) -> Self {
        Self { hides, ..self }
    }

    /// Gives its parts as one stream, `at_once` of them read at a time.
    pub(super) fn in_order(self, in_order: Option<usize>) -> Self {
        let properties = properties_without_constants(&self.inner, in_order.is_some());
        Self { in_order, properties, ..self }
    }

    /// Keeps the keys of joins above the raw leaf, where they would choose which hidden rows are read.
    pub(super) fn closed(self, closed: bool) -> Self {
        Self { closed, ..self }
    }

    /// Measures the files that it reads.
    pub(super) fn reading(self, reads: Option<Arc<FileLeaf>>) -> Self {
        Self { reads, ..self }
    }

    /// Keeps what it is planned from.
    pub(super) fn recorded_as(self, recorded: Option<Recorded>) -> Self {
        Self { recorded, ..self }
    }

    pub(super) fn originating(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// This leaf with what was found out of it before.
    pub(super) fn keeping(&self, properties: Arc<PlanProperties>) -> Self {
        Self { properties, origin: None, ..self.clone() }
    }

    /// This leaf over a plan with the same properties.
    pub(super) fn with_same_properties(&self, inner: Arc<dyn ExecutionPlan>) -> Self {
        Self { inner, origin: None, ..self.clone() }
    }

    /// What it says of itself, and what the source is given.
    pub(super) fn texts(&self) -> (Arc<str>, Arc<[String]>) {
        (Arc::clone(&self.note), Arc::clone(&self.native))
    }

    pub(super) fn recorded(&self) -> Option<&Recorded> {
        self.recorded.as_ref()
    }

    /// This leaf with other words of itself, over what gives the same rows in another way.
    pub(super) fn read_elsewhere(&self, inner: Arc<dyn ExecutionPlan>, note: &str) -> Self {
        Self { note: format!("{}, {note}", self.note).into(), ..self.with_inner(inner) }.reading(None)
    }

    pub(super) fn reads(&self) -> Option<&Arc<FileLeaf>> {
        self.reads.as_ref()
    }

    pub(super) fn is_open_column(&self, name: &str) -> bool {
        self.open_columns.contains(name)
    }

    /// A leaf whose policies are inside a fragment; masked columns never are. It takes the keys of joins, and no sort.
    pub(crate) fn fragment(
        token: LeafToken,
        source: Arc<str>,
        note: Arc<str>,
        inner: Arc<dyn ExecutionPlan>,
        fetch: Option<usize>,
    ) -> Self {
        let inner: Arc<dyn ExecutionPlan> = match fetch {
            Some(fetch) => Arc::new(LocalLimitExec::new(inner, fetch)),
            None => inner,
        };
        let compiled = bottom_of(&inner);
        let is_open = compiled.downcast_ref::<FragmentExec>().is_some_and(|leaf| leaf.compiled().open.is_some());
        let native: Vec<String> = super::receipt::fragment_line(&inner).into_iter().collect();
        let columns = inner.schema().fields().iter().map(|field| field.name().clone()).collect();
        Self::new(token, FRAGMENT.into(), source, note, native.into(), inner, Arc::new(columns), fetch)
            .originating(is_open.then(Origin::fragment))
    }

    /// Which snapshot and principal the leaf was made for.
    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }

    /// SQL name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Name of the source that holds the rows.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the leaf gives to its source and what it does itself, without values. `full`: the text in the source's own
    /// language, which shows policy, so it is for operators.
    #[must_use]
    pub fn receipt(&self, full: bool) -> Vec<String> {
        let mut lines = vec![self.note.to_string()];
        if full {
            lines.extend(self.native.iter().cloned());
        }
        lines
    }

    /// This leaf over a table with a key.
    pub(super) fn keyed(self, key: Option<Arc<[String]>>) -> Self {
        Self { key, ..self }
    }

    /// Names of columns of which no two rows have the same values. `None`: no such are known.
    #[must_use]
    pub fn key(&self) -> Option<&[String]> {
        self.key.as_deref()
    }

    /// The most keys of a join that the leaf's source is worth being given while it runs; 0: none.
    #[must_use]
    pub fn keys_max(&self) -> usize {
        bottom_of(&self.inner).downcast_ref::<FragmentExec>().map_or(0, FragmentExec::keys_max)
    }

    /// The plan inside. For the gate's own receipts and for verification; never for an optimizer rule.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn ExecutionPlan> {
        &self.inner
    }

    pub(crate) fn with_inner(&self, inner: Arc<dyn ExecutionPlan>) -> Self {
        let properties = properties_without_constants(&inner, self.in_order.is_some());
        Self { inner, properties, origin: None, ..self.clone() }
    }

    fn is_open(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        expr.downcast_ref::<Column>().is_some_and(|c| self.open_columns.contains(c.name()))
    }

    /// As [`GovernedExec::is_open`], also inside of a cast that keeps each value and so cannot fail.
    fn is_open_key(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        self.is_open(uncast(expr, &self.schema()))
    }
}

impl DisplayAs for GovernedExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GovernedScan: {}", self.table)?;
        if !self.note.is_empty() {
            write!(f, ", {}", self.note)?;
        }
        if let Some(fetch) = self.fetch {
            write!(f, ", fetch={fetch}")?;
        }
        let keys = keys_of(&bottom_of(&self.inner));
        if !keys.is_empty() {
            write!(f, ", keys=[{}]", keys.join(", "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for GovernedExec {
    fn name(&self) -> &'static str {
        "GovernedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !children.is_empty() {
            return internal_err!("a governed leaf has no children");
        }
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        // A hash join looks here for a consumer of its dynamic filter and would otherwise never fill it.
        self.inner.apply(|node| {
            node.apply_expressions(f)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(TreeNodeRecursion::Continue)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = reset_plan_states(Arc::clone(&self.inner))?;
        Ok(Arc::new(self.with_inner(inner)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        super::run::opened(self, partition, &context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.counts.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        _args: &datafusion::physical_plan::statistics::StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        // Exact statistics would count hidden rows.
        Ok(Arc::new(Statistics::new_unknown(&self.schema())))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Unknown
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        match phase {
            FilterPushdownPhase::Pre => Ok(FilterPushdownPropagation::all_unsupported(result)),
            FilterPushdownPhase::Post => self.accept_dynamic_filters(result, config),
        }
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        // A source brings what it reads closer to an order by the least and greatest values of its parts, hidden ones included:
        // which of two equal visible rows comes first would tell of them.
        if self.in_order.is_some() || !order.iter().all(|sort| self.is_open(&sort.expr)) {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        let answer = self.inner.try_pushdown_sort(order)?;
        // The raw leaf may say Exact by a constant of the policy that our properties no longer show.
        Ok(match answer {
            SortOrderPushdownResult::Exact { inner } | SortOrderPushdownResult::Inexact { inner } => {
                SortOrderPushdownResult::Inexact { inner: Arc::new(self.with_inner(inner)) }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }
}

impl GovernedExec {
    /// Takes dynamic filters whose every input is a plain unmasked column, and hands them to the raw leaf inside. A fragment reads
    /// keys as values and has them in its column's own type; what evaluates the filter keeps its casts.
    fn accept_dynamic_filters(
        &self,
        result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut answer = vec![PushedDown::No; result.parent_filters.len()];
        let refuse = |answer| Ok(FilterPushdownPropagation { filters: answer, updated_node: None });
        let leaf = bottom_of(&self.inner);
        if self.closed || self.fetch.is_some() || leaf.children().len() > 1 {
            return refuse(answer);
        }
        let mut taken = Vec::new();
        let mut places = Vec::new();
        let mut exact = Vec::new();
        for (place, filter) in result.parent_filters.iter().enumerate() {
            let Some(dynamic) = filter.filter.downcast_ref::<DynamicFilterPhysicalExpr>() else { continue };
            if !dynamic.children().into_iter().all(|child| self.is_open_key(child)) {
                continue;
            }
            let keys = if leaf.name() == "Fragment" {
                without_casts(&filter.filter, &self.schema())?
            } else {
                Arc::clone(&filter.filter)
            };
            let Some(remapped) = remap_by_name(&keys, &leaf.schema())? else { continue };
            let Some(above) = remap_by_name(&filter.filter, &self.inner.schema())? else { continue };
            taken.push(ChildFilterPushdownResult { filter: remapped, child_results: Vec::new() });
            places.push(place);
            exact.push(above);
        }
        if taken.is_empty() {
            return refuse(answer);
        }
        let places_taken = places.iter().filter_map(|place| result.parent_filters.get(*place));
        let asked = places_taken.map(|offer| Arc::clone(&offer.filter)).collect();
        let origin = self.origin.as_ref().map(|origin| origin.taking(asked));
        let given = ChildPushdownResult { parent_filters: taken, self_filters: Vec::new() };
        let got = leaf.handle_child_pushdown_result(FilterPushdownPhase::Post, given, config)?;
        for (place, verdict) in places.into_iter().zip(&got.filters) {
            if let Some(slot) = answer.get_mut(place) {
                *slot = *verdict;
            }
        }
        let propagation = FilterPushdownPropagation { filters: answer, updated_node: None };
        Ok(match got.updated_node {
            Some(new_leaf) => {
                let inner = replace_bottom(&self.inner, &new_leaf)?;
                let inner = if self.hides { narrowed(inner, exact)? } else { inner };
                propagation.with_updated_node(Arc::new(self.with_inner(inner).originating(origin)) as _)
            }
            None => propagation,
        })
    }
}

/// The rows that meet the filters, whatever a source skips by them. A source skips groups of rows, and hidden rows of a group
/// decide whether it is skipped: a visible row beside them that no join asks for would raise an error above, or not.
fn narrowed(inner: Arc<dyn ExecutionPlan>, filters: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn ExecutionPlan>> {
    if bottom_of(&inner).name() == "Fragment" {
        // Its source compares each row.
        return Ok(inner);
    }
    Ok(Arc::new(FilterExec::try_new(conjunction(filters), inner)?))
}

/// The plan's properties without what the policy makes constant: partitioning and orderings stay, unless its parts become one
/// stream.
fn properties_without_constants(inner: &Arc<dyn ExecutionPlan>, one_stream: bool) -> Arc<PlanProperties> {
    let properties = inner.properties();
    let joined = one_stream && inner.output_partitioning().partition_count() != 1;
    let orderings = properties.eq_properties.oeq_class().iter().filter(|_| !joined);
    let orderings: Vec<LexOrdering> = orderings.cloned().collect();
    let schema: SchemaRef = inner.schema();
    let partitioning = if joined { Partitioning::UnknownPartitioning(1) } else { inner.output_partitioning().clone() };
    Arc::new(
        PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, orderings),
            partitioning,
            properties.emission_type,
            properties.boundedness,
        )
        .with_scheduling_type(properties.scheduling_type)
        .with_evaluation_type(properties.evaluation_type),
    )
}

/// The raw leaf under a chain of single-input nodes; a node with several inputs ends the walk.
pub(super) fn bottom_of(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let mut node = Arc::clone(plan);
    loop {
        let next = match node.children().as_slice() {
            [only] => Arc::clone(only),
            _ => return node,
        };
        node = next;
    }
}

pub(super) fn replace_bottom(
    plan: &Arc<dyn ExecutionPlan>,
    leaf: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::clone(plan)
        .transform_up(|node| {
            if node.children().is_empty() { Ok(Transformed::yes(Arc::clone(leaf))) } else { Ok(Transformed::no(node)) }
        })?
        .data)
}
