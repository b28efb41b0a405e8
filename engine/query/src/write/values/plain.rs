//! New rows whose values stand in the statement: constants, parameters, the time, and what is made of one of them. They are computed here,
//! with no plan around them. What is wrong with one is reported by the plan, which is run then.

use crate::bind::statement::Bound;
use crate::bind::workspace::as_described;
use crate::write::values::analyzed::{Analyzed, analyzed_values};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use chrono::{DateTime, Utc};
use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use querygate_types::Result;
use std::sync::Arc;

/// Rows that are computed in this way; of more, what a plan costs is little.
const ROWS_MAX: usize = 100;

/// The rows of a query of plain values. `None`: it is to be run.
///
/// # Errors
/// A parameter's value that does not fit.
pub(crate) fn plain_rows(
    bound: &Bound,
    given: &[ArrayRef],
    state: &SessionState,
    now: DateTime<Utc>,
) -> Result<Option<RecordBatch>> {
    if !is_plain(bound.plan()) {
        return Ok(None);
    }
    let plan = bound.with_values(bound.values(given)?)?;
    Ok(computed(plan, state, now).and_then(|rows| as_described(&rows, bound.schema()).ok()))
}

/// Whether a query is a few rows of plain values.
fn is_plain(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Values(values) = plan else { return false };
    values.values.len() <= ROWS_MAX && values.values.iter().flatten().all(|value| is_plain_value(value, &values.schema))
}

/// Whether a value takes no more room than what stands in the statement, and is the same wherever it is computed.
fn is_plain_value(value: &Expr, schema: &DFSchemaRef) -> bool {
    match value {
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Alias(alias) => is_plain_value(&alias.expr, schema),
        Expr::Cast(cast) => is_plain_value(&cast.expr, schema),
        Expr::Negative(value) => is_plain_value(value, schema),
        Expr::ScalarFunction(call) => {
            let is_fixed = call.func.signature().volatility == Volatility::Immutable || call.func.name() == NOW;
            let is_small = value
                .get_type(schema.as_ref())
                .is_ok_and(|found| matches!(found, DataType::Boolean) || (found.is_primitive() && !found.is_nested()));
            is_fixed && is_small && call.args.iter().all(|value| is_plain_value(value, schema))
        }
        _ => false,
    }
}

/// The function that is replaced by the statement's time.
const NOW: &str = "now";

fn computed(plan: LogicalPlan, state: &SessionState, now: DateTime<Utc>) -> Option<RecordBatch> {
    let (rows, schema) = analyzed_values(plan, state, now)?;
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one).ok()?;
    let value = |value: &Analyzed| match value.expr() {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => {
            let made = value.physical(state).ok()?.evaluate(&row).ok()?;
            ScalarValue::try_from_array(&made.into_array(1).ok()?, 0).ok()
        }
    };
    let schema = Arc::clone(schema.inner());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (at, field) in schema.fields().iter().enumerate() {
        let column = rows.iter().map(|row| value(row.get(at)?)).collect::<Option<Vec<_>>>()?;
        let column = ScalarValue::iter_to_array(column).ok()?;
        if column.data_type() != field.data_type() {
            return None;
        }
        columns.push(column);
    }
    let count = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Schema::new(nullable.collect::<Vec<_>>());
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &count).ok()
}

#[cfg(test)]
mod tests;
