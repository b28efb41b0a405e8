//! Open parameters in nodes of the gate: a function of nothing stands for each, that no rule folds, until a run puts its value there.
//! Leaves take parameters as they are; only plans that no leaf of a source is in are made so.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, EmptyRelation, Expr, LogicalPlan, Projection, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Values, Volatility,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;
use querygate_catalog::remote::{Arguments, is_open};
use querygate_semantics::keep_names::under_names;
use std::sync::Arc;

/// Stands behind all rules that fold.
#[derive(Debug)]
pub(crate) struct OpenParameters;

impl OptimizerRule for OpenParameters {
    fn name(&self) -> &'static str {
        "open_parameters"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let plan = match plan {
            LogicalPlan::Values(values) => as_projection(values)?,
            other => other,
        };
        under_names(plan, |expr| {
            expr.transform_up(|part| match part {
                Expr::Placeholder(parameter) => Ok(Transformed::yes(open(parameter)?)),
                other => Ok(Transformed::no(other)),
            })
        })
    }
}

/// One row of values with a parameter as what is computed of no column: rows of values are computed where they are planned.
fn as_projection(values: Values) -> Result<LogicalPlan> {
    let has_parameter = |row: &Vec<Expr>| row.iter().any(is_open);
    let row = match values.values.as_slice() {
        [row] if has_parameter(row) => row,
        _ => return Ok(LogicalPlan::Values(values)),
    };
    let named = row.iter().zip(values.schema.fields()).map(|(value, field)| value.clone().alias(field.name()));
    let one_row = EmptyRelation { produce_one_row: true, schema: Arc::new(datafusion::common::DFSchema::empty()) };
    let input = Arc::new(LogicalPlan::EmptyRelation(one_row));
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(named.collect(), input, Arc::clone(&values.schema))?))
}

fn open(parameter: Placeholder) -> Result<Expr> {
    if parameter.field.is_none() {
        return internal_err!("an open parameter has no type");
    }
    let function = OpenParameter { parameter, signature: Signature::nullary(Volatility::Volatile) };
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(function)), Vec::new())))
}

/// The function that stands for a parameter. It has no value of its own.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct OpenParameter {
    parameter: Placeholder,
    signature: Signature,
}

impl OpenParameter {
    /// The parameter that a physical expression stands for.
    pub(crate) fn of(expr: &dyn PhysicalExpr) -> Option<&Self> {
        expr.downcast_ref::<ScalarFunctionExpr>()?.fun().inner().downcast_ref()
    }

    /// Its value in a run.
    ///
    /// # Errors
    /// There is none of its type.
    pub(crate) fn filled(&self, arguments: &Arguments) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Literal::new(arguments.value(&self.parameter)?)))
    }
}

impl ScalarUDFImpl for OpenParameter {
    fn name(&self) -> &'static str {
        "open_parameter"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        match &self.parameter.field {
            Some(field) => Ok(field.data_type().clone()),
            None => internal_err!("an open parameter has no type"),
        }
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match &self.parameter.field {
            Some(field) => Ok(Arc::clone(field)),
            None => internal_err!("an open parameter has no type"),
        }
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a plan with open parameters was run")
    }
}
