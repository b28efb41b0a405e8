//! The leaf that runs a fragment at its source. Prints native text with numbered parameters, never a value.

use super::keys::{Narrowing, is_key, narrowed};
use super::open::OpenParameters;
use super::plain::PlainScans;
use super::read_tables::{NamedTable, row_key, tables};
use super::source_error::{named, placed};
use super::worth::Expected;
use crate::arguments::Arguments;
use crate::metrics::{FragmentFacts, FragmentRun, FragmentRuns};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, ExecuteContext, NativeStatement, Room, SnapshotShare};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::value::Value;
use querygate_resources::Holder;
use querygate_resources::memory::{Ahead, ChargedRoom};
use querygate_rules::estimate::TableEstimate;
use querygate_types::limits::KEY_LIST_MAX;
use querygate_types::{Error, ErrorCode, PlannerSetting};
use std::fmt;
use std::sync::Arc;

/// A compiled fragment with its values: everything that a run needs.
#[derive(Debug, Clone)]
pub(crate) struct CompiledFragment {
    pub driver: Arc<dyn Driver>,
    pub source: Arc<str>,
    pub fragment: Arc<Fragment>,
    pub statement: Arc<NativeStatement>,
    pub values: Arc<[Value]>,
    /// For each output column: where it is among the delivered ones, and the type to cast to, if another.
    pub columns: Arc<[(usize, Option<DataType>)]>,
    /// What comes out.
    pub schema: SchemaRef,
    /// For the books.
    pub(crate) known: Arc<FragmentFacts>,
    /// Whether it is a part of what its template says.
    pub(crate) part: bool,
    /// What it reads of a snapshot that the source keeps.
    pub(crate) share: Option<SnapshotShare>,
    /// The setting of its source's planner, of those that it takes for this fragment.
    pub(crate) setting: Option<PlannerSetting>,
    /// Whether it finds rows by their key, so that its source may keep one plan for all values.
    pub(crate) by_key: bool,
    /// Whether its columns are the statement's own: what a policy reads besides has no name for a client.
    pub(crate) names_columns: bool,
    /// The tables that it reads and that its reader has a name for.
    pub(crate) reads: Arc<[NamedTable]>,
    /// What it gives without keys.
    pub(crate) expected: Arc<Expected>,
    /// Where its values come from, where other values may take their place.
    pub(crate) open: Option<Arc<OpenParameters>>,
}

/// The setting of the sources' planners for the fragments of one plan, as an extension of the state that plans it. A source that
/// does not take it, or has nothing to decide, plans as ever.
#[derive(Debug, Clone, Copy)]
pub struct SourcePlanning(pub PlannerSetting);

/// That the fragments of a plan are given the keys of joins also where that is not expected to pay, as an extension of the state that
/// plans it.
#[derive(Debug, Clone, Copy)]
pub struct AllKeys;

impl CompiledFragment {
    /// Runs the fragment. Dropping the stream ends the source's own query.
    ///
    /// # Errors
    /// What the source says, in our codes.
    pub(crate) async fn start(
        &self,
        context: ExecuteContext,
        holder: Option<&Arc<Holder>>,
    ) -> querygate_types::Result<querygate_driver_api::execution::BatchStream> {
        let context = ExecuteContext { by_key: self.by_key, ..context };
        self.executed(&self.statement, &self.values, context, holder).await
    }

    /// As [`CompiledFragment::start`], for the rows that can meet the other side of a join. What the source has no words for is
    /// fetched and left to the join.
    async fn start_narrowed(
        &self,
        filters: &[Arc<dyn PhysicalExpr>],
        context: ExecuteContext,
        holder: Option<&Arc<Holder>>,
    ) -> querygate_types::Result<querygate_driver_api::execution::BatchStream> {
        let known = filters.iter().filter_map(current).reduce(Narrowing::and);
        let columns = match known {
            Some(Narrowing::Never) => return Ok(futures::stream::empty().boxed()),
            Some(Narrowing::Columns(columns)) => columns,
            None => return self.start(context, holder).await,
        };
        let places: Vec<usize> = self.columns.iter().map(|(place, _)| *place).collect();
        let columns = self.expected.worth(columns, &places);
        let room = self.driver.capabilities().parameters_max();
        let Some((fragment, values)) = narrowed(&self.fragment, &self.values, &places, &columns, room) else {
            return self.start(context, holder).await;
        };
        let Ok(statement) = self.driver.render(&fragment) else { return self.start(context, holder).await };
        if self.driver.accepts(&statement, &values).is_err() {
            return self.start(context, holder).await;
        }
        self.executed(&statement, &values, context, holder).await
    }

    async fn executed(
        &self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
        holder: Option<&Arc<Holder>>,
    ) -> querygate_types::Result<querygate_driver_api::execution::BatchStream> {
        let context = ExecuteContext { setting: self.setting, ..context };
        let batches = match holder {
            Some(holder) => holder.run(&self.source, &self.driver, statement, values, context).await,
            None => self.driver.run(statement, values, Ask::Batches(context)).await.and_then(Answer::batches),
        };
        batches.map(|batches| self.shaped(batches)).map_err(|error| heard(self, error))
    }

    pub(crate) fn run(&self, runs: Arc<FragmentRuns>, narrowed: bool) -> FragmentRun {
        let template = self.known.template(&self.driver, &self.source, &self.fragment, &self.statement);
        FragmentRun::begin(runs, template, &self.known, narrowed || self.part)
    }

    fn shaped(
        &self,
        batches: querygate_driver_api::execution::BatchStream,
    ) -> querygate_driver_api::execution::BatchStream {
        let compiled = self.clone();
        let shaped = move |batch: querygate_types::Result<RecordBatch>| {
            shape(&batch.map_err(|error| heard(&compiled, error))?, &compiled.columns, &compiled.schema)
        };
        batches.map(shaped).boxed()
    }

    /// Whether keys of this column of the plan may become a condition of the fragment.
    fn takes_keys(&self, column: usize) -> bool {
        let place = self.columns.get(column).map(|(place, _)| *place);
        place.and_then(|place| self.fragment.output.get(place)).is_some_and(|output| is_key(output.value_type))
    }
}

/// The source's failure as readers get it. One that may come of changed tables gets them looked at.
pub(crate) fn heard(compiled: &CompiledFragment, error: Error) -> Error {
    let changed = matches!(error.code(), ErrorCode::SourceSchemaChanged | ErrorCode::DataException);
    if let Some(notice) = compiled.driver.schema_notice().filter(|_| changed) {
        notice.give();
    }
    let refused = changed || error.code() == ErrorCode::SourceError || error.column().is_some();
    if refused {
        let tables = tables(&compiled.fragment).into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let cause = error.cause();
        tracing::warn!(source = &*compiled.source, tables, %error, cause, "a source refused to be read");
    }
    let place = error.column().filter(|_| compiled.names_columns);
    let column = place.and_then(|place| compiled.fragment.output.get(place));
    let key = place.and_then(|place| row_key(&compiled.fragment, &compiled.reads, place, error.cells()));
    let reads: &[NamedTable] = if refused { &compiled.reads } else { &[] };
    let tables: Vec<String> = reads.iter().map(|read| read.name.clone()).collect();
    placed(column.map(|column| column.name.as_str()), key.as_deref(), &tables, named(&compiled.source, error))
}

fn current(filter: &Arc<dyn PhysicalExpr>) -> Option<Narrowing> {
    let dynamic = filter.downcast_ref::<DynamicFilterPhysicalExpr>()?;
    dynamic.current().ok().map(|expr| Narrowing::of(&expr))
}

pub(crate) fn shape(
    batch: &RecordBatch,
    columns: &[(usize, Option<DataType>)],
    schema: &SchemaRef,
) -> querygate_types::Result<RecordBatch> {
    let arrays = columns
        .iter()
        .map(|(index, cast)| {
            let column = batch.columns().get(*index).ok_or_else(|| Error::internal("a fragment lacks a column"))?;
            match cast {
                None => Ok(Arc::clone(column)),
                Some(target) => arrow::compute::cast_with_options(column, target, &CHECKED).map_err(|_| out_of_range()),
            }
        })
        .collect::<querygate_types::Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(Error::internal)
}

const CHECKED: arrow::compute::CastOptions<'static> =
    arrow::compute::CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

fn out_of_range() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "value is out of range")
}

/// The filter of a run that stands where this one of a kept plan does, over the same columns. `None`: it is not known.
pub type RenewFilter<'a> = dyn Fn(&Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> + Send + Sync + 'a;

/// A fragment as a plan leaf.
#[derive(Debug)]
pub(crate) struct FragmentExec {
    compiled: CompiledFragment,
    /// Dynamic filters over the output: filled by a join before it asks for the first row.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
}

impl FragmentExec {
    #[must_use]
    pub(crate) fn new(compiled: CompiledFragment) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&compiled.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { compiled, filters: Vec::new(), properties: Arc::new(properties) }
    }

    pub(crate) fn compiled(&self) -> &CompiledFragment {
        &self.compiled
    }

    /// This fragment with what is expected of it: an estimate for each of its columns.
    pub(crate) fn expecting(&self, size: &TableEstimate, state: &dyn Session) -> Self {
        let expected = Arc::new(Expected::of(size).unless_all(state));
        Self {
            compiled: CompiledFragment { expected, ..self.compiled.clone() },
            ..self.with_filters(self.filters.clone())
        }
    }

    /// The most keys that are worth being given to the source; 0: none.
    pub(crate) fn keys_max(&self) -> usize {
        let most = |filter: &Arc<dyn PhysicalExpr>| match filter.children().as_slice() {
            [only] => {
                let column = only.downcast_ref::<Column>().and_then(|column| self.compiled.columns.get(column.index()));
                column.map_or(0, |(place, _)| self.compiled.expected.keys_max(*place))
            }
            // Keys of several columns are many for the values that each of them has.
            _ => KEY_LIST_MAX,
        };
        self.filters.iter().map(most).max().unwrap_or(0)
    }

    fn with_filters(&self, filters: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { compiled: self.compiled.clone(), filters, properties: Arc::clone(&self.properties) }
    }

    /// A leaf for another run of the same plan, with its values and the filters that its joins fill. `None`: it is to be planned.
    pub(crate) fn renewed(&self, arguments: &Arguments, fresh: &RenewFilter<'_>) -> Option<Self> {
        let compiled = self.compiled.with_arguments(arguments)?;
        let filters = self.filters.iter().map(fresh).collect::<Option<_>>()?;
        Some(Self { compiled, filters, properties: Arc::clone(&self.properties) })
    }
}

impl DisplayAs for FragmentExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Fragment: source={}, {}={}",
            self.compiled.source,
            self.compiled.driver.kind(),
            self.compiled.statement.text
        )?;
        match self.compiled.setting {
            None => Ok(()),
            Some(setting) => write!(f, ", planner={setting}"),
        }
    }
}

impl ExecutionPlan for FragmentExec {
    fn name(&self) -> &'static str {
        "Fragment"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for filter in &self.filters {
            if f(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        // The join above makes itself a new filter; the old one holds the keys of another run.
        Ok(Arc::new(self.with_filters(Vec::new())))
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let takes = |filter: &Arc<dyn PhysicalExpr>| {
            filter.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()
                && filter.children().into_iter().any(|child| {
                    child.downcast_ref::<Column>().is_some_and(|column| self.compiled.takes_keys(column.index()))
                })
        };
        let offered = result.parent_filters.iter().map(|offer| &offer.filter);
        let taken: Vec<_> = match phase {
            FilterPushdownPhase::Pre => Vec::new(),
            FilterPushdownPhase::Post => offered.filter(|filter| takes(filter)).cloned().collect(),
        };
        // Never the whole answer: the join still compares.
        let answer = FilterPushdownPropagation::all_unsupported(result);
        if taken.is_empty() {
            return Ok(answer);
        }
        let filters = self.filters.iter().cloned().chain(taken).collect();
        Ok(answer.with_updated_node(Arc::new(self.with_filters(filters)) as _))
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a fragment has no children") }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a fragment has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a fragment has one partition");
        }
        let (compiled, filters) = (self.compiled.clone(), self.filters.clone());
        let batch_rows = context.session_config().batch_size();
        let room: Arc<dyn Room> = Arc::new(ChargedRoom::new("what a source has said", context.memory_pool()));
        let share = compiled.share.clone();
        let execute = ExecuteContext { batch_rows, share, room: Some(room), ..ExecuteContext::default() };
        let plain = context.session_config().get_extension::<PlainScans>();
        let runs = context.session_config().get_extension::<FragmentRuns>();
        let holder = context.session_config().get_extension::<Holder>();
        let ahead = Ahead::new(context.memory_pool());
        let started = async move {
            let run = runs.map(|runs| compiled.run(runs, !filters.is_empty()));
            let begun = compiled.start_narrowed(&filters, execute, holder.as_ref()).await;
            let batches = FragmentRun::begun(run, begun).map_err(outside)?;
            let batches = match plain {
                Some(plain) => plain.counted(batches),
                None => batches,
            };
            let counted = move |batch: querygate_types::Result<RecordBatch>| ahead.receive(batch.map_err(outside)?);
            Ok::<_, DataFusionError>(batches.map(counted))
        };
        let stream = futures::stream::once(started).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

fn outside(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
