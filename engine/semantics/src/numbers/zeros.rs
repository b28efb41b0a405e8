//! Zeros of either sign as one value, where the engine compares floats by their bits: rows of a window that are of one partition or
//! peers, the operand of a CASE, and NULLIF. Put in place after coercion, so that sources see what was written. Knows no plan.

use crate::bounds::of_no_rows;
use crate::typing::null_if;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::utils::{normalize_float_zero, normalize_float_zero_scalar};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::{ScalarFunction, WindowFunction};
use datafusion::logical_expr::{
    BinaryExpr, Case, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

const NAME: &str = "without_sign";

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(WithoutSign { signature: Signature::any(1, Volatility::Immutable) }))
});

/// The partitions and the order of a window. Whether they hold floats.
pub(crate) fn in_window(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for part in &mut window.params.partition_by {
        changed |= as_plain(part, schema)?;
    }
    for sort in &mut window.params.order_by {
        changed |= as_plain(&mut sort.expr, schema)?;
    }
    Ok(changed)
}

/// A CASE whose operand is a float.
pub(crate) fn in_case(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut changed = false;
    if let Some(operand) = &mut case.expr
        && operand.get_type(schema)?.is_floating()
    {
        changed |= as_plain(operand, schema)?;
        for (compared, _) in &mut case.when_then_expr {
            changed |= as_plain(compared, schema)?;
        }
    }
    Ok(Transformed::new_transformed(Expr::Case(case), changed))
}

/// NULLIF of floats as a comparison, which takes zeros for one. Otherwise the call.
pub(crate) fn in_nullif(call: ScalarFunction, schema: &DFSchema) -> Result<std::result::Result<Expr, ScalarFunction>> {
    let [value, other] = call.args.as_slice() else { return Ok(Err(call)) };
    let of = value.get_type(schema)?;
    if !of.is_floating() || other.get_type(schema)? != of {
        return Ok(Err(call));
    }
    let same = Expr::BinaryExpr(BinaryExpr::new(Box::new(value.clone()), Operator::Eq, Box::new(other.clone())));
    Ok(Ok(null_if::as_case(same, value.clone(), &of)?))
}

/// A float without the sign of a zero. Whether it was one that may have it.
fn as_plain(expr: &mut Expr, schema: &DFSchema) -> Result<bool> {
    match expr {
        Expr::Literal(value, _) => {
            let plain = normalize_float_zero_scalar(value.clone());
            let changed = plain != *value;
            *value = plain;
            Ok(changed)
        }
        Expr::ScalarFunction(call) if call.name() == NAME => Ok(false),
        Expr::Alias(alias) => as_plain(&mut alias.expr, schema),
        other if other.get_type(schema)?.is_floating() => {
            *other = FUNCTION.call(vec![std::mem::take(other)]);
            Ok(true)
        }
        _ => Ok(false),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WithoutSign {
    signature: Signature,
}

impl ScalarUDFImpl for WithoutSign {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the argument decides")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [value] => Ok(Arc::new(value.as_ref().clone().with_name(NAME))),
            _ => internal_err!("one value has a sign"),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(normalize_float_zero(values))),
            [ColumnarValue::Scalar(value)] => Ok(ColumnarValue::Scalar(normalize_float_zero_scalar(value.clone()))),
            _ => internal_err!("one value has a sign"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{col, lit};
    use std::collections::HashMap;

    fn schema() -> DFSchema {
        let fields = vec![Field::new("f", DataType::Float64, true), Field::new("n", DataType::Int32, true)];
        DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).unwrap()
    }

    #[test]
    fn only_floats_lose_the_sign_of_a_zero_and_once() {
        for (expr, expected) in [(col("f"), true), (col("n"), false), (col("f").alias("g"), true)] {
            let mut plain = expr.clone();
            assert_eq!(as_plain(&mut plain, &schema()).unwrap(), expected, "{expr}");
            assert!(!as_plain(&mut plain.clone(), &schema()).unwrap(), "{expr}");
        }
        let mut zero = lit(-0.0);
        as_plain(&mut zero, &schema()).unwrap();
        assert!(matches!(zero, Expr::Literal(ScalarValue::Float64(Some(value)), _) if value.is_sign_positive()));
    }
}
