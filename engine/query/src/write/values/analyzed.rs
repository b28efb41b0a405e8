//! Expressions that the gate computes outside of a plan of its own. Casts and arithmetic are those of queries only where the analyzer has
//! seen them: this is the one place that asks it, and nothing else of a change makes a physical expression.

use crate::errors::{Stage, translate};
use crate::rules::repairs::simplify_soundly::simplified;
use crate::write::intent::unsupported;
use chrono::{DateTime, Utc};
use datafusion::common::{DFSchemaRef, DataFusionError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection, Values};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// An expression over rows of one schema as the analyzer leaves it, whose arithmetic and casts are checked, and simplified.
#[derive(Debug)]
pub(super) struct Analyzed {
    expr: Expr,
    input: DFSchemaRef,
}

impl Analyzed {
    /// # Errors
    /// What the analyzer says of it; 0A000: it makes another plan of it.
    pub(super) fn of(expr: &Expr, input: &DFSchemaRef, state: &SessionState) -> Result<Self> {
        let rows = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::clone(input) });
        let plan = Projection::try_new(vec![expr.clone()], Arc::new(rows)).map(LogicalPlan::Projection);
        let LogicalPlan::Projection(Projection { expr: mut analyzed, .. }) = analyzed(plan.map_err(failed)?, state)?
        else {
            return Err(unsupported("an expression of this kind here"));
        };
        let expr = analyzed.pop().ok_or_else(|| Error::internal("a projection lost its expression"))?.unalias();
        let simplifier = simplifier(input, state, state.execution_props().query_execution_start_time);
        Ok(Self { expr: simplified(&simplifier, input, expr).map_err(failed)?.data, input: Arc::clone(input) })
    }

    pub(super) fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Ready to be computed.
    ///
    /// # Errors
    /// It cannot be.
    pub(super) fn physical(&self, state: &SessionState) -> Result<Arc<dyn PhysicalExpr>> {
        state.create_physical_expr(self.expr.clone(), &self.input).map_err(failed)
    }
}

/// The rows of `VALUES`, each value analyzed and simplified at a time. `None`: something of it is no plain value.
pub(super) fn analyzed_values(
    plan: LogicalPlan,
    state: &SessionState,
    now: DateTime<Utc>,
) -> Option<(Vec<Vec<Analyzed>>, DFSchemaRef)> {
    let LogicalPlan::Values(Values { values, schema }) = analyzed(plan, state).ok()? else { return None };
    let simplifier = simplifier(&schema, state, Some(now));
    let value = |value: Expr| {
        let expr = unnamed(simplified(&simplifier, &schema, value).ok()?.data);
        Some(Analyzed { expr, input: Arc::clone(&schema) })
    };
    let rows = values.into_iter().map(|row| row.into_iter().map(value).collect()).collect::<Option<_>>()?;
    Some((rows, schema))
}

fn analyzed(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(failed)
}

fn simplifier(input: &DFSchemaRef, state: &SessionState, now: Option<DateTime<Utc>>) -> ExprSimplifier {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(input))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(now)
        .build();
    ExprSimplifier::new(context)
}

fn unnamed(value: Expr) -> Expr {
    match value {
        Expr::Alias(alias) => unnamed(*alias.expr),
        other => other,
    }
}

fn failed(error: DataFusionError) -> Error {
    translate(&error, Stage::Plan)
}
