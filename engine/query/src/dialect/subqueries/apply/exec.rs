//! Runs an apply: one subplan per distinct set of outer values, results remembered, rows bounded.

use super::gathered::{AT_ONCE, Gathered, LEAST};
use super::keyed::{Answers, Found, Keyed};
use super::node::{ApplyKind, ApplyNode};
use super::references::{Values, substitute};
use super::shared_results::SharedResults;
use crate::dialect::volatility::follows_from_catalog;
use crate::errors::{Stage, translate};
use arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow::compute::{cast, concat, concat_batches, take_record_batch};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::datasource::source_as_provider;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use querygate_catalog::one_input;
use querygate_catalog::remote::is_open;
use querygate_pg_catalog::SystemTable;
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rows that one run of a lateral subplan may give, and rows of one output batch.
const ROWS_MAX: usize = 1_000_000;
/// Results remembered per partition; beyond it they are forgotten and computed again.
const REMEMBERED_MAX: usize = 4_096;

/// Runs a bound plan without outer references through the whole path (settled literals stay, nested applies are expanded,
/// optimized, verified). Put one into the session's configuration: `config.set_extension(Arc::new(SubplanRunner(run)))`.
pub(crate) trait RunSubplan: Send + Sync {
    fn run(&self, plan: LogicalPlan, context: Arc<TaskContext>) -> BoxFuture<'_, Result<Vec<RecordBatch>>>;
}

/// The session's [`RunSubplan`].
pub(crate) struct SubplanRunner(pub(crate) Arc<dyn RunSubplan>);

/// The physical apply.
#[derive(Debug, Clone)]
pub(crate) struct ApplyExec {
    kind: ApplyKind,
    subplan: Arc<LogicalPlan>,
    outer: Vec<(Column, FieldRef)>,
    /// Where the outer columns are in the input.
    places: Vec<usize>,
    /// Where the guard is.
    guard: Option<usize>,
    /// Where its subplan reads the catalog alone: what it found, for all runs of the plan.
    shared: Option<Arc<SharedResults>>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ApplyExec {
    pub(super) fn new(
        node: &ApplyNode,
        places: Vec<usize>,
        guard: Option<usize>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let own = node.schema.fields().get(input.schema().fields().len()..);
        let Some(own) = own else { return internal_err!("apply adds columns to its input's") };
        let schema = Arc::new(Schema::new(input.schema().fields().iter().chain(own).cloned().collect::<Vec<_>>()));
        let properties = properties(schema, &input);
        Ok(Self {
            kind: node.kind,
            subplan: Arc::clone(&node.subplan),
            outer: node.outer.clone(),
            places,
            guard,
            shared: is_of_catalog(&node.subplan)?.then(Arc::default),
            input,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Whether what it runs for each row is the same in any run: nothing of a source, and no value of the client's.
    pub(crate) fn is_of_catalog(&self) -> bool {
        self.shared.is_some()
    }

    /// Whether it runs for many rows at once.
    #[cfg(test)]
    pub(super) fn is_gathered(&self) -> bool {
        Gathered::find(&self.subplan, &self.outer).is_some()
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = properties(self.schema(), &input);
        Self { input, properties, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }
}

/// Whether a subplan reads relations of the catalog and nothing else: no session, no clock, no chance, no parameter that is open.
fn is_of_catalog(subplan: &LogicalPlan) -> Result<bool> {
    let (mut relations, mut is_alone) = (0_usize, true);
    subplan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            let any: &dyn Any = provider.as_ref();
            is_alone &= any.downcast_ref::<SystemTable>().is_some_and(|table| !table.is_of_session());
            relations += 1;
        }
        node.apply_expressions(|expr| {
            is_alone &= !is_open(expr) && !expr.exists(|part| Ok(!follows_from_catalog(part)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(is_alone && relations > 0)
}

fn properties(schema: SchemaRef, input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        datafusion::physical_expr::Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
        input.pipeline_behavior(),
        input.boundedness(),
    ))
}

impl DisplayAs for ApplyExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns: Vec<String> = self.outer.iter().map(|(c, _)| c.flat_name()).collect();
        write!(f, "ApplyExec: {:?} [{}]", self.kind, columns.join(", "))
    }
}

impl ExecutionPlan for ApplyExec {
    one_input!(with_input);

    fn name(&self) -> &'static str {
        "ApplyExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        // Its properties tell no order, so it must not promise to keep one.
        vec![false]
    }
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let runner = context
            .session_config()
            .get_extension::<SubplanRunner>()
            .ok_or_else(|| internal_datafusion_err!("no runner of subplans in the session"))?;
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let keyed = Keyed::find(self.kind, &self.subplan, &self.outer)?;
        let run = Run {
            exec: self.clone(),
            runner,
            context,
            schema: self.schema(),
            remembered: HashMap::new(),
            keyed,
            answers: None,
            gathered: Gathered::find(&self.subplan, &self.outer),
        };
        let rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let batches = stream::try_unfold((input, run), |(mut input, mut run)| async move {
            match input.next().await {
                Some(batch) => {
                    let out = run.batch(&batch?).await?;
                    Ok::<_, DataFusionError>(Some((out, (input, run))))
                }
                None => Ok(None),
            }
        });
        let batches = batches.into_stream().inspect_ok(move |batch| rows.add(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// One partition's run.
struct Run {
    exec: ApplyExec,
    runner: Arc<SubplanRunner>,
    context: Arc<TaskContext>,
    schema: SchemaRef,
    /// One row of results (or the lateral rows) per distinct outer values.
    remembered: HashMap<Vec<ScalarValue>, RecordBatch>,
    /// The subplan in a form that runs once, until it has run.
    keyed: Option<Keyed>,
    answers: Option<Arc<Answers>>,
    /// The subplan in a form that runs for many outer rows.
    gathered: Option<Gathered>,
}

/// Outer values.
pub(super) type Key = Vec<ScalarValue>;

impl Run {
    /// Fields of the columns that the apply adds.
    fn own_fields(&self) -> Vec<FieldRef> {
        self.schema.fields().iter().skip(self.exec.input.schema().fields().len()).cloned().collect()
    }

    async fn batch(&mut self, input: &RecordBatch) -> Result<RecordBatch> {
        let mut results = Vec::with_capacity(input.num_rows());
        let mut total = 0_usize;
        let guard = self.exec.guard.map(|place| as_boolean_array(input.column(place))).transpose()?;
        // Columns of a lateral query need not take NULL, and it has no guard.
        let not_asked = guard.map(|_| self.nulls()).transpose()?;
        let mut keys = Vec::with_capacity(input.num_rows());
        for row in 0..input.num_rows() {
            let asked = guard.is_none_or(|guard| !guard.is_null(row) && guard.value(row));
            let key = self.exec.places.iter().map(|place| ScalarValue::try_from_array(input.column(*place), row));
            keys.push(if asked { Some(key.collect::<Result<Key>>()?) } else { None });
        }
        let gathered = self.together(&keys).await?;
        for key in keys {
            let Some(key) = key else {
                results.extend(not_asked.clone());
                continue;
            };
            let known = gathered.get(&key).or_else(|| self.remembered.get(&key)).cloned();
            let result = match known.or_else(|| self.exec.shared.as_ref()?.of(&key)) {
                Some(found) => found,
                None => {
                    let result = match self.looked_up(&key).await? {
                        Some(result) => result,
                        None => self.result(&key).await?,
                    };
                    if let Some(shared) = &self.exec.shared {
                        shared.keep(&key, &result);
                    }
                    if self.remembered.len() >= REMEMBERED_MAX {
                        self.remembered.clear();
                    }
                    self.remembered.insert(key, result.clone());
                    result
                }
            };
            total += result.num_rows();
            if total > ROWS_MAX {
                return Err(too_many());
            }
            results.push(result);
        }
        self.join(input, &results)
    }

    /// One row without values.
    fn nulls(&self) -> Result<RecordBatch> {
        let fields = self.own_fields();
        let nulls = fields.iter().map(|f| new_null_array(f.data_type(), 1)).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), nulls)?)
    }

    /// Each input row beside each row of its result.
    fn join(&self, input: &RecordBatch, results: &[RecordBatch]) -> Result<RecordBatch> {
        let mut indices = Vec::new();
        for (row, result) in (0_u64..).zip(results) {
            indices.extend(std::iter::repeat_n(row, result.num_rows()));
        }
        let rows = indices.len();
        // Without FROM, the row has no columns to take.
        let mut columns: Vec<ArrayRef> = if input.num_columns() == 0 {
            Vec::new()
        } else {
            take_record_batch(input, &UInt64Array::from(indices))?.columns().to_vec()
        };
        for (place, field) in self.own_fields().iter().enumerate() {
            let pieces: Vec<&dyn arrow::array::Array> = results.iter().map(|r| r.column(place).as_ref()).collect();
            columns.push(if pieces.is_empty() { new_null_array(field.data_type(), 0) } else { concat(&pieces)? });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// Results for all outer values of a batch that are not remembered, where they can be had together.
    async fn together(&mut self, keys: &[Option<Key>]) -> Result<HashMap<Key, RecordBatch>> {
        let mut results = HashMap::new();
        if self.keyed.is_some() || self.answers.is_some() {
            return Ok(results);
        }
        let Some(gathered) = self.gathered.clone() else { return Ok(results) };
        let mut seen = HashSet::new();
        let asked = keys.iter().flatten();
        let unknown: Vec<&Key> = asked.filter(|key| !self.remembered.contains_key(*key) && seen.insert(*key)).collect();
        if unknown.len() < LEAST {
            return Ok(results);
        }
        let mut total = 0_usize;
        for some in unknown.chunks(AT_ONCE) {
            match self.gathered_rows(&gathered, some).await? {
                Some(found) => {
                    total += found.iter().map(|(_, rows)| rows.num_rows()).sum::<usize>();
                    if total > ROWS_MAX {
                        return Err(too_many());
                    }
                    results.extend(found);
                }
                None => {
                    // Too many rows, or one cannot be computed that is perhaps not needed: one by one.
                    self.gathered = None;
                    break;
                }
            }
        }
        Ok(results)
    }

    async fn gathered_rows(&self, gathered: &Gathered, keys: &[&Key]) -> Result<Option<Vec<(Key, RecordBatch)>>> {
        let Some(many) = gathered.many(keys)? else { return Ok(None) };
        let plan = LogicalPlanBuilder::from(many.plan).limit(0, Some(ROWS_MAX + 1))?.build()?;
        let batches = match self.runner.0.run(plan, Arc::clone(&self.context)).await {
            Ok(batches) => batches,
            // Perhaps it belongs to a row that is not needed.
            Err(error) if is_of_value(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if batches.iter().map(RecordBatch::num_rows).sum::<usize>() > ROWS_MAX {
            return Ok(None);
        }
        let own = Arc::new(Schema::new(self.own_fields()));
        let width = self.exec.subplan.schema().fields().len();
        let mut rows: HashMap<Key, Vec<u64>> = HashMap::new();
        let (mut pieces, mut first) = (Vec::with_capacity(batches.len()), 0_u64);
        for batch in &batches {
            for row in 0..batch.num_rows() {
                if let Some(key) = self.key_of(batch, (width, row), &many.keys)? {
                    rows.entry(key).or_default().push(first + row as u64);
                }
            }
            first += batch.num_rows() as u64;
            if self.exec.kind != ApplyKind::Exists {
                pieces.push(batch.project(&(0..width).collect::<Vec<_>>())?);
            }
        }
        let all = if self.exec.kind == ApplyKind::Exists { None } else { Some(gather(&own, &pieces)?) };
        let of_none = match keys.iter().find(|key| many.gives_of_none && !rows.contains_key(**key)) {
            Some(key) => match self.result(key).await {
                Err(error) if is_of_value(&error) => return Ok(None),
                result => Some(result?),
            },
            None => None,
        };
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            let found = rows.remove(*key).unwrap_or_default();
            if found.is_empty()
                && let Some(of_none) = &of_none
            {
                results.push(((*key).clone(), of_none.clone()));
                continue;
            }
            let result = match (self.exec.kind, &all) {
                (ApplyKind::Exists, _) | (_, None) => {
                    self.one_row(Arc::new(BooleanArray::from(vec![!found.is_empty()])))?
                }
                (ApplyKind::Scalar, _) if found.len() > 1 => return Err(several()),
                (ApplyKind::Scalar | ApplyKind::LateralOuter, _) if found.is_empty() => self.nulls()?,
                (ApplyKind::Scalar | ApplyKind::Lateral | ApplyKind::LateralOuter, Some(all)) => {
                    take_record_batch(all, &UInt64Array::from(found))?
                }
            };
            results.push(((*key).clone(), result));
        }
        Ok(Some(results))
    }

    /// The outer values that a row of a gathered run is for. `None`: it is for none.
    fn key_of(&self, batch: &RecordBatch, at: (usize, usize), places: &[usize]) -> Result<Option<Key>> {
        let (width, row) = at;
        let mut key: Vec<Option<ScalarValue>> = vec![None; self.exec.outer.len()];
        for (column, place) in (width..).zip(places) {
            let (Some(slot), Some((_, field))) = (key.get_mut(*place), self.exec.outer.get(*place)) else {
                return internal_err!("a key is an outer value");
            };
            let value = ScalarValue::try_from_array(batch.column(column), row)?.cast_to(field.data_type())?;
            match slot {
                Some(known) if *known != value => return Ok(None),
                _ => *slot = Some(value),
            }
        }
        Ok(key.into_iter().collect())
    }

    /// The result for one set of outer values without running for it, where that can be.
    async fn looked_up(&mut self, key: &[ScalarValue]) -> Result<Option<RecordBatch>> {
        if let Some(keyed) = self.keyed.take() {
            self.answers = match self.exec.shared.as_ref().and_then(|shared| shared.answers()) {
                Some(known) => Some(known),
                None => keyed.answers(&self.runner, &self.context).await.map(Arc::new),
            };
            if let (Some(shared), Some(answers)) = (&self.exec.shared, &self.answers) {
                shared.keep_answers(answers);
            }
        }
        let Some(answers) = &self.answers else { return Ok(None) };
        let found = answers.of(key);
        if self.exec.kind == ApplyKind::Exists {
            let exists = match found {
                Found::Nothing => false,
                Found::One(_) | Found::Several => true,
                Found::Unknown => return Ok(None),
            };
            return self.one_row(Arc::new(BooleanArray::from(vec![exists]))).map(Some);
        }
        match found {
            Found::Nothing => self.nulls().map(Some),
            Found::Several => Err(several()),
            Found::One(Some(value)) => {
                let fields = self.own_fields();
                let Some(field) = fields.first() else { return internal_err!("a scalar subquery adds a column") };
                self.one_row(cast(&value.to_array_of_size(1)?, field.data_type())?).map(Some)
            }
            Found::One(None) | Found::Unknown => Ok(None),
        }
    }

    fn one_row(&self, value: ArrayRef) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(Arc::new(Schema::new(self.own_fields())), vec![value])?)
    }

    /// Runs the subplan for one set of outer values.
    async fn result(&self, key: &[ScalarValue]) -> Result<RecordBatch> {
        let values: Values =
            self.exec.outer.iter().map(|(column, _)| column.flat_name()).zip(key.iter().cloned()).collect();
        let plan = substitute(self.exec.subplan.as_ref().clone(), &values)?;
        let limit = match self.exec.kind {
            ApplyKind::Scalar => 2,
            ApplyKind::Exists => 1,
            ApplyKind::Lateral | ApplyKind::LateralOuter => ROWS_MAX + 1,
        };
        let plan = LogicalPlanBuilder::from(plan).limit(0, Some(limit))?.build()?;
        let batches = self.runner.0.run(plan, Arc::clone(&self.context)).await?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let own = Arc::new(Schema::new(self.own_fields()));
        match self.exec.kind {
            ApplyKind::Exists => {
                let found: ArrayRef = Arc::new(BooleanArray::from(vec![rows > 0]));
                Ok(RecordBatch::try_new(own, vec![found])?)
            }
            ApplyKind::Scalar if rows > 1 => Err(several()),
            ApplyKind::Lateral | ApplyKind::LateralOuter if rows > ROWS_MAX => Err(too_many()),
            ApplyKind::Scalar | ApplyKind::LateralOuter if rows == 0 => self.nulls(),
            ApplyKind::Scalar | ApplyKind::Lateral | ApplyKind::LateralOuter => gather(&own, &batches),
        }
    }
}

/// Whether a value could not be computed.
fn is_of_value(error: &DataFusionError) -> bool {
    translate(error, Stage::Execute).code().sqlstate().starts_with("22")
}

/// The batches as one, in the declared types: the optimizer may have chosen another text type.
fn gather(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let mut cast_batches = Vec::with_capacity(batches.len());
    for batch in batches {
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(c, f)| cast(c, f.data_type())).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        cast_batches.push(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?);
    }
    Ok(concat_batches(schema, &cast_batches)?)
}

fn several() -> DataFusionError {
    let message = "more than one row returned by a subquery used as an expression";
    crate::dialect::external(Error::new(ErrorCode::CardinalityViolation, message))
}

fn too_many() -> DataFusionError {
    let message = format!("a lateral subquery gives more than {ROWS_MAX} rows");
    crate::dialect::external(Error::new(ErrorCode::ProgramLimitExceeded, message))
}
