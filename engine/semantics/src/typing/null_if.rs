//! NULLIF as a CASE, where values are equal otherwise than as they are stored. The value stands in it twice. Knows no type.

use crate::fault::external;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Expr, when};
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
    use datafusion::logical_expr::{col, lit};

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
