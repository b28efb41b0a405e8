//! What is computed in the gate of rows of one table, as the principal reads them: plain projections, of RETURNING over changed rows, and
//! over a condition, of a change over a locked row.

mod in_source;
pub(in crate::write) mod template;

use crate::bind::statement::Bound;
use crate::bind::workspace::as_described;
use crate::errors::{Stage as Doing, translate};
use crate::write::intent::unsupported;
use crate::write::values::analyzed::Analyzed;
use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, Projection};
use datafusion::physical_plan::PhysicalExpr;
use querygate_catalog::leaf::GovernedColumn;
use querygate_types::{Error, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// Governed columns by their places, with the values that a condition wants of them.
pub(crate) type Equal = Vec<(usize, ScalarValue)>;

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
enum Step {
    Projection { exprs: Vec<Arc<dyn PhysicalExpr>>, fields: Vec<Arc<Field>> },
    Filter(Arc<dyn PhysicalExpr>),
}

/// A query that is nothing but projections over a table, and conditions where they are allowed: these, from the table on, and the places
/// of its governed columns.
struct Shape<'a> {
    stages: Vec<Stage<'a>>,
    scanned: &'a DFSchema,
    places: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Stage<'a> {
    Projection(&'a Projection),
    Filter(&'a Filter),
}

impl Stage<'_> {
    fn exprs(&self) -> &[Expr] {
        match self {
            Self::Projection(projection) => &projection.expr,
            Self::Filter(filter) => std::slice::from_ref(&filter.predicate),
        }
    }

    fn input(&self) -> &DFSchema {
        match self {
            Self::Projection(projection) => projection.input.schema(),
            Self::Filter(filter) => filter.input.schema(),
        }
    }
}

impl<'a> Shape<'a> {
    /// # Errors
    /// 0A000: the query is something else, or reads a column whose values are not known of a row alone.
    fn of(plan: &'a LogicalPlan, columns: &[GovernedColumn], has_condition: bool) -> Result<Self> {
        let mut stages = Vec::new();
        let mut plan = plan;
        let scan = loop {
            plan = match plan {
                LogicalPlan::Projection(projection) => {
                    stages.push(Stage::Projection(projection));
                    projection.input.as_ref()
                }
                LogicalPlan::Filter(filter) if has_condition => {
                    stages.push(Stage::Filter(filter));
                    filter.input.as_ref()
                }
                LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
                LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => break scan,
                _ => return Err(unsupported("RETURNING of an aggregate, a window function or a set of rows")),
            };
        };
        stages.reverse();
        let places = match &scan.projection {
            Some(places) => places.clone(),
            None => (0..columns.len()).collect(),
        };
        let shape = Self { stages, scanned: &scan.projected_schema, places };
        let used = shape.used()?;
        let is_given_back = |at: &usize| {
            let column = shape.places.get(*at).and_then(|place| columns.get(*place));
            column.is_some_and(GovernedColumn::is_given_back)
        };
        if used.iter().all(is_given_back) {
            Ok(shape)
        } else {
            Err(unsupported("RETURNING of a column of such a type"))
        }
    }

    /// Columns of the table that expressions name.
    fn used(&self) -> Result<HashSet<usize>> {
        if self.stages.iter().flat_map(|stage| stage.exprs()).any(has_query) {
            return Err(unsupported("RETURNING of a subquery"));
        }
        let mut used = HashSet::new();
        for stage in &self.stages {
            for column in stage.exprs().iter().flat_map(Expr::column_refs) {
                used.insert(stage.input().index_of_column(column).map_err(|e| translate(&e, Doing::Plan))?);
            }
            // Above it nothing names a column of the table.
            if matches!(stage, Stage::Projection(_)) {
                return Ok(used);
            }
        }
        Ok((0..self.places.len()).collect())
    }

    /// Governed columns with the values that the only condition wants them to have; `None` where it wants something else.
    fn equalities(&self, state: &SessionState) -> Result<Option<Equal>> {
        let conditions = self.stages.iter().filter_map(|stage| match stage {
            Stage::Filter(filter) => Some(filter),
            Stage::Projection(_) => None,
        });
        let conditions: Vec<&&Filter> = conditions.collect();
        let [condition] = conditions.as_slice() else { return Ok(None) };
        let predicate = Analyzed::of(&condition.predicate, condition.input.schema(), state)?;
        let mut equal = Vec::new();
        for conjunct in split_conjunction(predicate.expr()) {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else { return Ok(None) };
            let (column, value) = match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                    (column, value)
                }
                _ => return Ok(None),
            };
            let at = condition.input.schema().index_of_column(column).map_err(|e| translate(&e, Doing::Plan))?;
            let (Some(place), Some(field)) = (self.places.get(at), self.scanned.fields().get(at)) else {
                return Ok(None);
            };
            if value.is_null() || value.data_type() != *field.data_type() {
                return Ok(None);
            }
            equal.push((*place, value.clone()));
        }
        Ok(Some(equal))
    }
}

impl Computation {
    /// Whether such a query can be computed of changed rows.
    ///
    /// # Errors
    /// 0A000: it cannot.
    pub(crate) fn admits(bound: &Bound, columns: &[GovernedColumn]) -> Result<()> {
        Shape::of(bound.plan(), columns, false).map(drop)
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
        Self::made(&Shape::of(&plan, columns, false)?, bound, state)
    }

    /// As [`of`](Self::of), of a query that has one condition: that some governed columns have some values. `None`: it is another query.
    ///
    /// # Errors
    /// A value that does not fit.
    pub(crate) fn where_equal(
        bound: &Bound,
        values: Vec<ScalarValue>,
        state: &SessionState,
        columns: &[GovernedColumn],
    ) -> Result<Option<(Self, Equal)>> {
        let plan = bound.with_values(values)?;
        let Ok(shape) = Shape::of(&plan, columns, true) else { return Ok(None) };
        let Some(equal) = shape.equalities(state)? else { return Ok(None) };
        Ok(Some((Self::made(&shape, bound, state)?, equal)))
    }

    fn made(shape: &Shape<'_>, bound: &Bound, state: &SessionState) -> Result<Self> {
        let used = shape.used()?;
        let fields = shape.scanned.fields().iter().map(Arc::clone);
        let read = shape.places.iter().enumerate().zip(fields);
        let read = read.map(|((at, place), field)| (used.contains(&at).then_some(*place), field)).collect();
        let steps = shape.stages.iter().map(|stage| step(*stage, state)).collect::<Result<_>>()?;
        Ok(Self { read, steps, schema: Arc::clone(bound.schema()) })
    }

    /// Stored rows, which have the raw table's first columns, as they are given back: those that pass the conditions.
    ///
    /// # Errors
    /// What an expression says of a row.
    pub(in crate::write) fn rows(&self, columns: &[GovernedColumn], stored: &RecordBatch) -> Result<RecordBatch> {
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
            let count = rows.num_rows();
            let compute = |expr: &Arc<dyn PhysicalExpr>| {
                let array = expr.evaluate(&rows).and_then(|value| value.into_array(count));
                array.map_err(|e| translate(&e, Doing::Execute))
            };
            rows = match step {
                Step::Projection { exprs, fields } => {
                    batch(fields, exprs.iter().map(compute).collect::<Result<_>>()?, count)?
                }
                Step::Filter(predicate) => {
                    let passes = compute(predicate)?;
                    let passes = passes.as_boolean_opt().ok_or_else(|| Error::internal("a condition is no boolean"))?;
                    filter_record_batch(&rows, passes).map_err(Error::internal)?
                }
            };
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

fn step(stage: Stage<'_>, state: &SessionState) -> Result<Step> {
    let ready = |expr: &Expr, input: &DFSchemaRef| Analyzed::of(expr, input, state)?.physical(state);
    Ok(match stage {
        Stage::Filter(filter) => Step::Filter(ready(&filter.predicate, filter.input.schema())?),
        Stage::Projection(projection) => {
            let input = projection.input.schema();
            let exprs = projection.expr.iter().map(|expr| ready(expr, input)).collect::<Result<_>>()?;
            Step::Projection { exprs, fields: projection.schema.fields().iter().map(Arc::clone).collect() }
        }
    })
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

#[cfg(test)]
mod tests;
