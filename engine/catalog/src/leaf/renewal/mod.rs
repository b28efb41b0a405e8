//! A governed leaf for another run of a kept plan. What its source is asked is the same but for the statement's values. A table that is
//! no driver's may have other files and rows now: where it reads the same ones, and the values of the leaf stand where others may, its scan
//! is made anew; else the leaf is planned again.

mod conditions;
mod listing;

pub(super) use conditions::takes_other_values;

use super::exec::{GovernedExec, bottom_of};
use super::table::GovernedTable;
use crate::arguments::{Arguments, is_open};
use crate::remote::{FragmentExec, RenewFilter};
use conditions::RunConditions;
use datafusion::catalog::Session;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::filter_pushdown::{ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties};
use std::any::Any;
use std::sync::Arc;

/// What a leaf of a plan that is kept was planned from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// `None`: a fragment, which knows its values.
    table: Option<Arc<PlannedTable>>,
    /// Filters of joins that it took, over its own columns.
    taken: Vec<Arc<dyn PhysicalExpr>>,
}

/// A scan with its parameters open.
#[derive(Debug)]
pub(super) struct PlannedTable {
    pub(super) table: GovernedTable,
    pub(super) projection: Option<Vec<usize>>,
    pub(super) filters: Vec<Expr>,
    pub(super) limit: Option<usize>,
    /// Those that a driver's table was given, the policy's among them.
    pub(super) given: Vec<Expr>,
    /// Whether all parameters stand in them.
    pub(super) inside: bool,
    /// Whether the leaf is another run's with that run's values in the places of its own.
    pub(super) in_place: bool,
}

impl Origin {
    pub(super) fn fragment() -> Self {
        Self { table: None, taken: Vec::new() }
    }

    pub(super) fn table(planned: PlannedTable) -> Self {
        Self { table: Some(Arc::new(planned)), taken: Vec::new() }
    }

    pub(super) fn taking(&self, taken: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { table: self.table.clone(), taken: self.taken.iter().cloned().chain(taken).collect() }
    }
}

impl GovernedExec {
    /// Whether the leaf knows what it was planned from.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        self.origin().is_some()
    }

    /// The leaf for another run: nothing that runs is shared with this one. `fresh`: the filters of this run's joins. `may_plan`: whether
    /// the leaf may be planned again, which may take long. `None`: the statement is to be planned.
    pub async fn renewed(
        &self,
        state: &dyn Session,
        arguments: &Arguments,
        fresh: &RenewFilter<'_>,
        may_plan: bool,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let origin = self.origin()?;
        let conditions = RunConditions { arguments, fresh };
        let bottom = bottom_of(self.inner());
        let leaf = match (bottom.downcast_ref::<FragmentExec>(), &origin.table) {
            (Some(fragment), None) => self.refilled(fragment.renewed(arguments, fresh)?, &conditions)?,
            (Some(fragment), Some(planned)) if planned.inside => {
                let fragment = fragment.renewed(arguments, fresh)?;
                self.refilled(planned.expecting(state, fragment, arguments)?, &conditions)?
            }
            (_, Some(planned)) => match self.rescanned(planned, &bottom, &conditions).await {
                Some(leaf) => leaf,
                None if may_plan => self.replanned(planned, &origin.taken, state, arguments, fresh).await?,
                None => return None,
            },
            (None, None) => return None,
        };
        Some(Arc::new(leaf))
    }

    /// This leaf over another fragment of the same columns.
    fn refilled(&self, fragment: FragmentExec, conditions: &RunConditions<'_>) -> Option<Self> {
        Some(self.with_same_properties(over(self.inner(), Arc::new(fragment), conditions)?))
    }

    /// This leaf over its scan made anew. `None`: other values make another leaf, or its table reads something else by now.
    async fn rescanned(
        &self,
        planned: &PlannedTable,
        scan: &Arc<dyn ExecutionPlan>,
        conditions: &RunConditions<'_>,
    ) -> Option<Self> {
        let has_values = planned.filters.iter().any(is_open);
        if has_values && !planned.in_place {
            return None;
        }
        let rescan = planned.table.rescan.as_ref()?;
        let scan = rescan.again(scan, &|kept| conditions.of(kept), has_values).await?;
        let leaf = self.with_same_properties(over(self.inner(), scan, conditions)?);
        if !has_values {
            return Some(leaf);
        }
        let filters = conditions.arguments.all_filled(&planned.filters).ok()?;
        Some(leaf.recorded_as(None).expecting(planned.table.expected_rows(&filters, planned.limit)))
    }

    async fn replanned(
        &self,
        planned: &PlannedTable,
        taken: &[Arc<dyn PhysicalExpr>],
        state: &dyn Session,
        arguments: &Arguments,
        fresh: &RenewFilter<'_>,
    ) -> Option<Self> {
        let filters = arguments.all_filled(&planned.filters).ok()?;
        // What fails here fails in the same way when the statement is planned.
        let leaf =
            planned.table.plan_again(state, planned.projection.as_ref(), &filters, planned.limit, self).await.ok()?;
        let narrowed = offered(&leaf, taken, state, fresh)?;
        let leaf = match &narrowed {
            Some(narrowed) => (narrowed.as_ref() as &dyn Any).downcast_ref::<Self>()?,
            None => &leaf,
        };
        is_alike(leaf.properties(), self.properties()).then(|| leaf.keeping(Arc::clone(self.properties())))
    }
}

/// The leaf with the filters of this run. The outer `None`: one of them is not known; the inner: it takes none.
fn offered(
    leaf: &GovernedExec,
    taken: &[Arc<dyn PhysicalExpr>],
    state: &dyn Session,
    fresh: &RenewFilter<'_>,
) -> Option<Option<Arc<dyn ExecutionPlan>>> {
    if taken.is_empty() {
        return Some(None);
    }
    let offer = |filter: &Arc<dyn PhysicalExpr>| {
        Some(ChildFilterPushdownResult { filter: fresh(filter)?, child_results: Vec::new() })
    };
    let parent_filters: Vec<_> = taken.iter().map(offer).collect::<Option<_>>()?;
    let result = ChildPushdownResult { parent_filters, self_filters: Vec::new() };
    let answer = leaf.handle_child_pushdown_result(FilterPushdownPhase::Post, result, state.config_options()).ok()?;
    // What it answers decides nothing: the nodes above are those of the kept plan, and compare all rows.
    Some(answer.updated_node)
}

impl PlannedTable {
    /// The fragment with what is expected of it with these values.
    fn expecting(&self, state: &dyn Session, fragment: FragmentExec, arguments: &Arguments) -> Option<FragmentExec> {
        if !self.given.iter().any(is_open) {
            return Some(fragment);
        }
        let given = arguments.all_filled(&self.given).ok()?;
        Some(self.table.expected(state, &fragment, &given))
    }
}

/// The nodes inside of a leaf over another scan of the same columns, with the conditions of this run. `None`: there is one among them that is
/// not known to keep nothing of a run.
fn over(
    plan: &Arc<dyn ExecutionPlan>,
    scan: Arc<dyn ExecutionPlan>,
    conditions: &RunConditions<'_>,
) -> Option<Arc<dyn ExecutionPlan>> {
    let children = plan.children();
    let only = match children.as_slice() {
        [] => return Some(scan),
        [only] => *only,
        _ => return None,
    };
    let any: &dyn Any = plan.as_ref();
    if let Some(filter) = any.downcast_ref::<FilterExec>() {
        let predicate = conditions.of(filter.predicate())?;
        if !Arc::ptr_eq(&predicate, filter.predicate()) {
            let below = over(only, scan, conditions)?;
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate).with_input(below).build();
            return Some(Arc::new(filter.ok()?));
        }
    } else if !any.is::<ProjectionExec>() && !any.is::<LocalLimitExec>() {
        return None;
    }
    let below = over(only, scan, conditions)?;
    let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    Arc::clone(plan).replace_children(vec![below], keep).ok()
}

/// Whether what stands above one leaf may stand above the other.
fn is_alike(found: &PlanProperties, kept: &PlanProperties) -> bool {
    found.eq_properties.schema() == kept.eq_properties.schema()
        && found.eq_properties.oeq_class() == kept.eq_properties.oeq_class()
        && is_same(&found.partitioning, &kept.partitioning)
        && found.emission_type == kept.emission_type
        && found.boundedness == kept.boundedness
}

/// The engine calls no two partitionings equal of which it knows only how many parts there are.
fn is_same(found: &Partitioning, kept: &Partitioning) -> bool {
    match (found, kept) {
        (Partitioning::UnknownPartitioning(found), Partitioning::UnknownPartitioning(kept)) => found == kept,
        (
            Partitioning::UnknownPartitioning(_)
            | Partitioning::RoundRobinBatch(_)
            | Partitioning::Hash(..)
            | Partitioning::Range(_),
            _,
        ) => found == kept,
    }
}
