//! What RETURNING computes of changed rows, as the principal reads them: plain projections over one table, in the gate.

use super::intent::unsupported;
use crate::bind::statement::Bound;
use crate::bind::workspace::as_described;
use crate::errors::{Stage, translate};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;
use querygate_catalog::leaf::GovernedColumn;
use querygate_types::{Error, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// Expressions of a bound query, ready to be computed.
#[derive(Debug)]
pub(crate) struct Computation {
    /// Indexes of the governed columns of the table, with the types that the expressions take them in. `None`: it is not read.
    read: Vec<(Option<usize>, Arc<Field>)>,
    /// From the table's rows to those that are given back.
    steps: Vec<Step>,
    schema: SchemaRef,
}

#[derive(Debug)]
struct Step {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<Arc<Field>>,
}

/// A query that is nothing but projections over a table: these, from the table on, and the places of its governed columns.
struct Shape<'a> {
    projections: Vec<&'a Projection>,
    scanned: &'a DFSchema,
    places: Vec<usize>,
}

impl<'a> Shape<'a> {
    /// # Errors
    /// 0A000: the query is something else, or reads a column whose values are not known of a row alone.
    fn of(plan: &'a LogicalPlan, columns: &[GovernedColumn]) -> Result<Self> {
        let mut projections = Vec::new();
        let mut plan = plan;
        let scan = loop {
            plan = match plan {
                LogicalPlan::Projection(projection) => {
                    projections.push(projection);
                    projection.input.as_ref()
                }
                LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
                LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => break scan,
                _ => return Err(unsupported("RETURNING of an aggregate, a window function or a set of rows")),
            };
        };
        projections.reverse();
        let places = match &scan.projection {
            Some(places) => places.clone(),
            None => (0..columns.len()).collect(),
        };
        let shape = Self { projections, scanned: &scan.projected_schema, places };
        let used = shape.used()?;
        let is_viewed = |at: &usize| {
            let column = shape.places.get(*at).and_then(|place| columns.get(*place));
            column.is_some_and(GovernedColumn::is_viewed)
        };
        if used.iter().all(is_viewed) { Ok(shape) } else { Err(unsupported("RETURNING of a column of such a type")) }
    }

    /// Columns of the table that expressions name.
    fn used(&self) -> Result<HashSet<usize>> {
        let Some(first) = self.projections.first() else { return Ok((0..self.places.len()).collect()) };
        let mut used = HashSet::new();
        for projection in &self.projections {
            if projection.expr.iter().any(has_query) {
                return Err(unsupported("RETURNING of a subquery"));
            }
        }
        for column in first.expr.iter().flat_map(Expr::column_refs) {
            used.insert(first.input.schema().index_of_column(column).map_err(|e| translate(&e, Stage::Plan))?);
        }
        Ok(used)
    }
}

impl Computation {
    /// Whether such a query can be computed of changed rows.
    ///
    /// # Errors
    /// 0A000: it cannot.
    pub(crate) fn admits(bound: &Bound, columns: &[GovernedColumn]) -> Result<()> {
        Shape::of(bound.plan(), columns).map(drop)
    }

    /// # Errors
    /// As [`admits`](Self::admits); a value that does not fit.
    pub(crate) fn of(
        bound: &Bound,
        values: Vec<ScalarValue>,
        state: &SessionState,
        columns: &[GovernedColumn],
    ) -> Result<Self> {
        let plan = bound.with_values(values)?;
        let shape = Shape::of(&plan, columns)?;
        let used = shape.used()?;
        let fields = shape.scanned.fields().iter().map(Arc::clone);
        let read = shape.places.iter().enumerate().zip(fields);
        let read = read.map(|((at, place), field)| (used.contains(&at).then_some(*place), field)).collect();
        let steps = shape.projections.iter().map(|projection| step(projection, state)).collect::<Result<_>>()?;
        Ok(Self { read, steps, schema: Arc::clone(bound.schema()) })
    }

    /// Stored rows, which have the raw table's first columns, as they are given back.
    ///
    /// # Errors
    /// What an expression says of a row.
    pub(super) fn rows(&self, columns: &[GovernedColumn], stored: &RecordBatch) -> Result<RecordBatch> {
        let lost = || Error::internal("a column that is to be given back is not there");
        let count = stored.num_rows();
        let mut arrays = Vec::with_capacity(self.read.len());
        for (place, field) in &self.read {
            arrays.push(match place {
                Some(place) => {
                    let view = columns.get(*place).ok_or_else(lost)?.view(stored)?.ok_or_else(lost)?;
                    cast(&view, field.data_type()).map_err(Error::internal)?
                }
                None => new_null_array(field.data_type(), count),
            });
        }
        let fields: Vec<Arc<Field>> = self.read.iter().map(|(_, field)| Arc::clone(field)).collect();
        let mut rows = batch(&fields, arrays, count)?;
        for step in &self.steps {
            let compute = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(&rows).and_then(|value| value.into_array(count));
            let arrays = step.exprs.iter().map(compute).collect::<std::result::Result<Vec<_>, _>>();
            rows = batch(&step.fields, arrays.map_err(|e| translate(&e, Stage::Execute))?, count)?;
        }
        as_described(&rows, &self.schema)
    }
}

/// Arrays under the names that expressions know them by.
fn batch(fields: &[Arc<Field>], arrays: Vec<ArrayRef>, count: usize) -> Result<RecordBatch> {
    let typed = |(field, array): (&Arc<Field>, &ArrayRef)| {
        field.as_ref().clone().with_data_type(array.data_type().clone()).with_nullable(true)
    };
    let schema = Schema::new(fields.iter().zip(&arrays).map(typed).collect::<Vec<_>>());
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options).map_err(Error::internal)
}

fn step(projection: &Projection, state: &SessionState) -> Result<Step> {
    let input = projection.input.schema();
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(input))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let ready = |expr: &Expr| {
        let expr = simplifier.simplify(simplifier.coerce(expr.clone(), input)?)?;
        state.create_physical_expr(expr, input)
    };
    let exprs = projection.expr.iter().map(ready).collect::<std::result::Result<Vec<_>, _>>();
    let exprs = exprs.map_err(|e| translate(&e, Stage::Plan))?;
    Ok(Step { exprs, fields: projection.schema.fields().iter().map(Arc::clone).collect() })
}

/// Whether an expression reads rows of its own.
fn has_query(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let is_query = |expr: &Expr| {
        Ok(matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)))
    };
    // The closure never fails.
    expr.exists(is_query).unwrap_or(true)
}
