//! NULLIF as a CASE, where values are equal otherwise than as they are stored: the value stands in it twice. And the type that it has of
//! whole numbers.

use crate::fault::external;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, when};
use querygate_types::{Error, ErrorCode};

/// The CASEs that a value may hold: of calls within calls each has the ones of the inner call twice, and one more.
pub(crate) const CASES_MAX: usize = 256;

/// The value, of some type, or NULL under a condition.
///
/// # Errors
/// 54001: calls are nested so deeply that the expression would outgrow all bounds.
pub(crate) fn as_case(same: Expr, value: Expr, of: &DataType) -> Result<Expr> {
    if cases(&value)? >= CASES_MAX {
        return Err(nested_too_deeply("NULLIF is nested too deeply, or of a value that is too complex"));
    }
    when(same, Expr::Literal(ScalarValue::try_from(of)?, None)).otherwise(value)
}

/// NULLIF of a whole number beside a wider one, which gives the first one's type: the engine gives that at which both meet. `None`: it is
/// of others.
pub(crate) fn of_narrow(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let [value, other] = call.args.as_slice() else { return Ok(None) };
    let (own, beside) = (value.get_type(schema)?, other.get_type(schema)?);
    if !own.is_signed_integer() || !beside.is_signed_integer() || own.primitive_width() >= beside.primitive_width() {
        return Ok(None);
    }
    // A constant that fits is one of the type: no cast stands around the value then.
    if let Expr::Literal(constant, _) = other
        && let Ok(narrow) = constant.cast_to(&own)
    {
        return Ok(Some(call.func.call(vec![value.clone(), Expr::Literal(narrow, None)])));
    }
    let wide = call.func.call(vec![cast(value.clone(), beside), other.clone()]);
    Ok(Some(cast(wide, own)))
}

/// How many CASEs are in an expression.
pub(crate) fn cases(value: &Expr) -> Result<usize> {
    let mut cases = 0_usize;
    value.apply(|part| {
        cases += usize::from(matches!(part, Expr::Case(_)));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(cases)
}

/// 54001.
pub(crate) fn nested_too_deeply(message: &'static str) -> DataFusionError {
    external(Error::new(ErrorCode::StatementTooComplex, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::logical_expr::{col, lit};
    use std::collections::HashMap;

    #[test]
    fn whole_numbers_keep_the_type_of_the_first() {
        let fields = [("s", DataType::Int16), ("i", DataType::Int32), ("b", DataType::Int64)];
        let fields: Vec<Field> = fields.map(|(name, of)| Field::new(name, of, true)).into();
        let schema = DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).unwrap();
        let typed = |value: Expr, other: Expr| {
            let call = ScalarFunction::new_udf(datafusion::functions::core::nullif(), vec![value, other]);
            of_narrow(&call, &schema).unwrap().map(|found| (found.to_string(), found.get_type(&schema).unwrap()))
        };
        assert_eq!(typed(col("s"), lit(0)), Some(("nullif(s, Int16(0))".to_owned(), DataType::Int16)));
        assert_eq!(typed(col("s"), lit(70_000)).unwrap().1, DataType::Int16);
        assert_eq!(typed(col("i"), col("b")).unwrap().1, DataType::Int32);
        for (value, other) in [(col("b"), lit(0)), (col("i"), lit(0)), (col("i"), col("s")), (col("i"), lit(2.5))] {
            assert_eq!(typed(value, other), None);
        }
    }

    #[test]
    fn calls_within_calls_do_not_grow_without_bounds() {
        let mut value = col("f");
        let deepest = (0..64_u32).find(|_| {
            let same = value.clone().eq(lit(1.0));
            match as_case(same, value.clone(), &DataType::Float64) {
                Ok(case) => {
                    value = case;
                    false
                }
                Err(_) => true,
            }
        });
        // 255 CASEs are within the bounds, and 511 no more.
        assert_eq!(deepest, Some(9));
    }
}
