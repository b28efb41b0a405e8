//! The last rank that `FETCH FIRST n ROWS WITH TIES` takes behind an OFFSET. Knows two numbers.

use crate::dialect::external;
use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The name of the function.
pub(in crate::dialect) const LAST_RANK: &str = "last_rank";

/// The function.
pub(in crate::dialect) fn function() -> Arc<ScalarUDF> {
    let signature = Signature::exact(vec![DataType::Int64, DataType::Int64], Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(LastRank { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LastRank {
    signature: Signature,
}

impl ScalarUDFImpl for LastRank {
    fn name(&self) -> &'static str {
        LAST_RANK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let of_rows = args.args.iter().any(|argument| matches!(argument, ColumnarValue::Array(_)));
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [counts, offsets] = columns.as_slice() else { return exec_err!("a count and an offset are needed") };
        let (Some(counts), Some(offsets)) =
            (counts.as_primitive_opt::<Int64Type>(), offsets.as_primitive_opt::<Int64Type>())
        else {
            return exec_err!("a count and an offset are bigints");
        };
        let last =
            counts.iter().zip(offsets).map(|(count, offset)| last(count, offset)).collect::<Result<Int64Array>>()?;
        if of_rows || last.is_empty() {
            return Ok(ColumnarValue::Array(Arc::new(last)));
        }
        Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(last.value(0)))))
    }
}

/// NULL as a count is all rows, as an offset none.
fn last(count: Option<i64>, offset: Option<i64>) -> Result<Option<i64>> {
    let (count, offset) = (count.unwrap_or(i64::MAX), offset.unwrap_or(0));
    if offset < 0 {
        return Err(external(Error::new(ErrorCode::InvalidOffset, "OFFSET must not be negative")));
    }
    if count < 0 {
        return Err(external(Error::new(ErrorCode::InvalidLimit, "LIMIT must not be negative")));
    }
    // Of no rows, no ties are taken either.
    Ok(Some(if count == 0 { 0 } else { count.saturating_add(offset) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_bounds_nothing() {
        let of = |count, offset| last(count, offset).unwrap();
        assert_eq!(of(Some(2), Some(3)), Some(5));
        assert_eq!(of(Some(2), None), Some(2));
        assert_eq!(of(None, Some(3)), Some(i64::MAX));
        assert_eq!(of(Some(i64::MAX), Some(1)), Some(i64::MAX));
        assert_eq!(of(Some(0), Some(3)), Some(0));
        assert!(last(Some(-1), None).is_err());
        assert!(last(Some(1), Some(-1)).is_err());
    }
}
