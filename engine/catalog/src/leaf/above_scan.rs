//! What a leaf does above its raw scan, in this order: conditions and policy, masks and formulas, texts that are read.

use super::columns::{FormulaExpr, MaskExpr, ReadingExpr};
use super::scan::SplitFilters;
use super::table::{ColumnOrigin, GovernedColumn, GovernedTable};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{conjunction as all_of, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase, PushedDown,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use std::sync::Arc;

impl GovernedTable {
    /// The leaf's rows and columns out of those of its raw scan. Each step is left out where it would find nothing to do: leaves of
    /// kept plans are planned anew for each run.
    pub(super) async fn above_scan(
        &self,
        state: &dyn Session,
        scan: Arc<dyn ExecutionPlan>,
        split: &SplitFilters,
        output: &[&GovernedColumn],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let config = state.config_options();
        let plan = if self.policy.related.is_empty() {
            rows_that_meet(state, scan, &split.residual, output)?
        } else {
            let plan = FilterPushdown::new().optimize(self.joined(state, scan, split).await?, config)?;
            FilterPushdown::new_post_optimization().optimize(plan, config)?
        };
        let plan = if is_as_read(&plan.schema(), output) {
            plan
        } else {
            ProjectionPushdown::new().optimize(self.projected(plan, output)?, config)?
        };
        // Behind what moves projections below filters: a text that cannot be read fails, and one of a hidden row must not.
        texts_read(plan, output)
    }

    /// The rows that meet conditions and policy, where that asks for keys of other tables.
    async fn joined(
        &self,
        state: &dyn Session,
        plan: Arc<dyn ExecutionPlan>,
        split: &SplitFilters,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut plan = filter(state, plan, &split.residual)?;
        for related in &self.policy.related {
            plan = related.join(state, plan).await?;
            if let Some(mark) = &related.mark {
                plan = rename_last(plan, mark)?;
            }
        }
        filter(state, plan, &split.marked)
    }

    fn projected(&self, plan: Arc<dyn ExecutionPlan>, output: &[&GovernedColumn]) -> Result<Arc<dyn ExecutionPlan>> {
        let schema: SchemaRef = plan.schema();
        let raw_schema = self.raw.schema();
        let read =
            |name: &str| -> Result<Arc<dyn PhysicalExpr>> { Ok(Arc::new(Column::new(name, schema.index_of(name)?))) };
        let mut exprs: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::with_capacity(output.len());
        for column in output {
            let name = column.field.name();
            let value: Arc<dyn PhysicalExpr> = match &column.origin {
                ColumnOrigin::Raw(_) | ColumnOrigin::Text(..) => read(name)?,
                ColumnOrigin::Formula(formula) => {
                    let inputs = formula.inputs.iter().map(|(index, _)| read(raw_schema.field(*index).name()));
                    let inputs = inputs.collect::<Result<_>>()?;
                    Arc::new(FormulaExpr::new(formula, inputs, column.field.data_type().clone()))
                }
            };
            let expr = match &column.mask {
                None => value,
                Some(mask) => {
                    let stored = value.data_type(&schema)?;
                    Arc::new(MaskExpr::new(value, mask.clone(), &stored))
                }
            };
            exprs.push((expr, name.clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(exprs, plan)?))
    }
}

/// The rows of a raw scan that meet all conditions, and of their columns those that the leaf gives as they are.
///
/// As the engine's rules would plan them for a filter above the scan and a projection above the filter, which make the filter three
/// times: the scan is offered the conditions to skip by, those that it does not apply itself stay above it.
fn rows_that_meet(
    state: &dyn Session,
    scan: Arc<dyn ExecutionPlan>,
    conjuncts: &[Expr],
    output: &[&GovernedColumn],
) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(predicate) = physical(state, &scan.schema(), conjuncts)? else { return Ok(scan) };
    if !scan.children().is_empty() || is_volatile(&predicate) {
        let filter = Arc::new(FilterExec::try_new(predicate, scan)?);
        return FilterPushdown::new().optimize(filter, state.config_options());
    }
    let (scan, left) = offered(scan, &predicate, state.config_options())?;
    if left.is_empty() {
        return Ok(scan);
    }
    let columns = plain_columns(&scan.schema(), output);
    Ok(Arc::new(FilterExecBuilder::new(all_of(left), scan).apply_projection(columns)?.build()?))
}

/// A scan that was offered conditions, and those of them that it does not apply itself.
type Offered = (Arc<dyn ExecutionPlan>, Vec<Arc<dyn PhysicalExpr>>);

fn offered(scan: Arc<dyn ExecutionPlan>, predicate: &Arc<dyn PhysicalExpr>, config: &ConfigOptions) -> Result<Offered> {
    let conjuncts: Vec<Arc<dyn PhysicalExpr>> = split_conjunction(predicate).into_iter().cloned().collect();
    let offer = |filter: &Arc<dyn PhysicalExpr>| ChildFilterPushdownResult {
        filter: Arc::clone(filter),
        child_results: Vec::new(),
    };
    let offers =
        ChildPushdownResult { parent_filters: conjuncts.iter().map(offer).collect(), self_filters: Vec::new() };
    let answer = scan.handle_child_pushdown_result(FilterPushdownPhase::Pre, offers, config)?;
    let mut verdicts = answer.filters.into_iter();
    // One of which nothing is said stays above.
    let stays = |_: &Arc<dyn PhysicalExpr>| match verdicts.next() {
        Some(PushedDown::Yes) => false,
        Some(PushedDown::No) | None => true,
    };
    let left = conjuncts.into_iter().filter(stays).collect();
    Ok((answer.updated_node.unwrap_or(scan), left))
}

/// Where the leaf's columns are among those of its scan. `None`: they are all of them in their order, or something is still computed of
/// them.
fn plain_columns(schema: &Schema, output: &[&GovernedColumn]) -> Option<Vec<usize>> {
    let place = |column: &&GovernedColumn| match (&column.origin, &column.mask) {
        (ColumnOrigin::Raw(_) | ColumnOrigin::Text(..), None) => schema.index_of(column.field.name()).ok(),
        (ColumnOrigin::Raw(_) | ColumnOrigin::Text(..), Some(_)) | (ColumnOrigin::Formula(_), _) => None,
    };
    let places: Vec<usize> = output.iter().map(place).collect::<Option<_>>()?;
    let is_all = places.iter().copied().eq(0..schema.fields().len());
    (!is_all).then_some(places)
}

/// The conjunction over the columns of a plan. `None`: there are no conjuncts.
fn physical(state: &dyn Session, schema: &SchemaRef, conjuncts: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(predicate) = conjunction(conjuncts.iter().cloned()) else { return Ok(None) };
    let schema = DFSchema::try_from(schema.as_ref().clone())?;
    state.create_physical_expr(predicate, &schema).map(Some)
}

/// Whether these are the columns that the leaf gives, as they are but for texts that are still to be read.
fn is_as_read(schema: &SchemaRef, output: &[&GovernedColumn]) -> bool {
    let is_same = |(column, field): (&&GovernedColumn, &Arc<Field>)| match column.origin {
        ColumnOrigin::Raw(_) | ColumnOrigin::Text(..) => column.mask.is_none() && column.field.name() == field.name(),
        ColumnOrigin::Formula(_) => false,
    };
    schema.fields().len() == output.len() && output.iter().zip(schema.fields()).all(is_same)
}

/// The rows with their texts read. A mask is applied to the source's text, which is not read then.
fn texts_read(plan: Arc<dyn ExecutionPlan>, output: &[&GovernedColumn]) -> Result<Arc<dyn ExecutionPlan>> {
    let reading = |column: &GovernedColumn| match column.origin {
        ColumnOrigin::Text(_, reading) if column.mask.is_none() => Some(reading),
        ColumnOrigin::Text(..) | ColumnOrigin::Raw(_) | ColumnOrigin::Formula(_) => None,
    };
    if !output.iter().any(|column| reading(column).is_some()) {
        return Ok(plan);
    }
    let columns = output.iter().enumerate().map(|(place, column)| {
        let name = column.field.name().clone();
        let value: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&name, place));
        match reading(column) {
            Some(reading) => (Arc::new(ReadingExpr::new(value, reading)) as Arc<dyn PhysicalExpr>, name),
            None => (value, name),
        }
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?))
}

fn filter(state: &dyn Session, plan: Arc<dyn ExecutionPlan>, conjuncts: &[Expr]) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(match physical(state, &plan.schema(), conjuncts)? {
        Some(predicate) => Arc::new(FilterExec::try_new(predicate, plan)?),
        None => plan,
    })
}

/// A mark join calls its column `mark`; several need names of their own.
fn rename_last(plan: Arc<dyn ExecutionPlan>, name: &str) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let last = schema.fields().len().saturating_sub(1);
    let exprs = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, f)| {
            let read: Arc<dyn PhysicalExpr> = Arc::new(Column::new(f.name(), i));
            (read, if i == last { name.to_owned() } else { f.name().clone() })
        })
        .collect::<Vec<_>>();
    Ok(Arc::new(ProjectionExec::try_new(exprs, plan)?))
}
