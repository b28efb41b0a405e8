//! The plan node: DataFusion's join of the rows that have no equal one, and what NULL means for NOT IN around it.

use super::null_observer::{Content, NullObserverExec, ObservedContent};
use arrow::array::RecordBatch;
use arrow::compute::{filter_record_batch, is_not_null};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{JoinType, NullEquality, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, OrderingRequirements};
use datafusion::physical_plan::distribution_requirements::InputDistributionRequirements;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{ChildFilterDescription, FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricValue, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::{StreamExt, stream};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The rows whose value is in none of a subquery's: none at all where one of these is NULL, and none whose own value is NULL, but all where
/// the subquery has no rows.
///
/// DataFusion's join for this collects the rows around the subquery. This one collects the subquery's, and gives the others in their order.
#[derive(Debug)]
pub struct NullAwareAntiJoinExec {
    /// Collects the subquery's rows, behind a [`NullObserverExec`].
    join: HashJoinExec,
    members: Arc<dyn ExecutionPlan>,
    found: Arc<ObservedContent>,
    metrics: ExecutionPlanMetricsSet,
}

impl NullAwareAntiJoinExec {
    /// Whether it can stand in the place of a join of DataFusion's: one for NOT IN that computes nothing else beside.
    #[must_use]
    pub fn replaces(join: &HashJoinExec) -> bool {
        join.null_aware
            && *join.join_type() == JoinType::LeftAnti
            && join.null_equality() == NullEquality::NullEqualsNothing
            && join.on().len() == 1
            && join.filter().is_none()
            && join.projection.is_none()
    }

    /// `members`: the subquery's rows, of which `member` is compared with the `value` of the `rows`.
    ///
    /// # Errors
    /// The engine's: both cannot be compared.
    pub fn over(
        members: Arc<dyn ExecutionPlan>,
        member: Arc<dyn PhysicalExpr>,
        rows: Arc<dyn ExecutionPlan>,
        value: Arc<dyn PhysicalExpr>,
    ) -> Result<Self> {
        let found = Arc::new(ObservedContent::default());
        let observer = NullObserverExec::new(members, Arc::clone(&member), Arc::clone(&found));
        let members = Arc::clone(observer.input());
        let join = HashJoinExec::try_new(
            Arc::new(observer),
            rows,
            vec![(member, value)],
            None,
            &JoinType::RightAnti,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        Ok(Self { join, members, found, metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl NullAwareAntiJoinExec {
    /// The rows around the subquery, which are streamed.
    #[must_use]
    pub fn rows(&self) -> &Arc<dyn ExecutionPlan> {
        self.join.right()
    }
}

impl DisplayAs for NullAwareAntiJoinExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                let on = self.join.on().iter().map(|(member, value)| format!("({member}, {value})"));
                write!(f, "NullAwareAntiJoinExec: on=[{}]", on.collect::<Vec<_>>().join(", "))
            }
            DisplayFormatType::TreeRender => self.join.fmt_as(format, f),
        }
    }
}

impl ExecutionPlan for NullAwareAntiJoinExec {
    fn name(&self) -> &'static str {
        "NullAwareAntiJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.join.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.join.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.join.maintains_input_order()
    }

    /// The subquery's rows, and those around it.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.members, self.join.right()]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let ([(member, value)], Ok([members, rows])) = (self.join.on(), <[_; 2]>::try_from(children)) else {
            return internal_err!("NOT IN has two inputs and one value");
        };
        Ok(Arc::new(Self::over(members, Arc::clone(member), rows, Arc::clone(value))?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.join.apply_expressions(f)
    }

    /// What is asked of its rows is asked of those that it streams, if no two of their columns have one name.
    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let schema = self.schema();
        let names: HashSet<&String> = schema.fields().iter().map(|field| field.name()).collect();
        let none = ChildFilterDescription::all_unsupported(&filters);
        let rows = if names.len() == schema.fields().len() {
            ChildFilterDescription::from_child(&filters, self.rows())?
        } else {
            none.clone()
        };
        Ok(FilterDescription::new().with_child(none).with_child(rows))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let [(_, value)] = self.join.on() else { return internal_err!("NOT IN has one value") };
        let rows = self.join.execute(partition, context)?;
        let (schema, value, found) = (rows.schema(), Arc::clone(value), Arc::clone(&self.found));
        let given = MetricBuilder::new(&self.metrics).output_rows(partition);
        let rows = stream::try_unfold((rows, value, found, given), |(mut rows, value, found, given)| async move {
            let Some(batch) = rows.next().await.transpose()? else { return Ok(None) };
            let batch = match found.content()? {
                Content::Nothing => batch,
                Content::Values => with_value(batch, &value)?,
                // The rest need not be read.
                Content::Null => return Ok(None),
            };
            given.add(batch.num_rows());
            Ok(Some((batch, (rows, value, found, given))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// The join's own figures, but for its count of rows: some of those are dropped here.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut all = self.metrics.clone_inner();
        let of_join = self.join.metrics().into_iter().flat_map(|join| join.iter().cloned().collect::<Vec<_>>());
        of_join
            .filter(|metric| !matches!(metric.value(), MetricValue::OutputRows(_)))
            .for_each(|metric| all.push(metric));
        Some(all)
    }
}

/// The rows whose value is not NULL.
fn with_value(batch: RecordBatch, value: &Arc<dyn PhysicalExpr>) -> Result<RecordBatch> {
    let values = value.evaluate(&batch)?.into_array(batch.num_rows())?;
    if values.logical_null_count() == 0 {
        return Ok(batch);
    }
    Ok(filter_record_batch(&batch, &is_not_null(&values)?)?)
}
