//! `now()` and `to_timestamp` as instants of microseconds. Reads no clock: the time is the statement's.

use super::fault::external;
use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The functions to register in place of DataFusion's.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let now = Now { signature: Signature::nullary(Volatility::Stable), aliases: vec!["current_timestamp".to_owned()] };
    let from_seconds = ToTimestamp {
        signature: Signature::user_defined(Volatility::Immutable),
        texts: datetime::to_timestamp_micros(&ConfigOptions::default()),
    };
    vec![Arc::new(ScalarUDF::new_from_impl(now)), Arc::new(ScalarUDF::new_from_impl(from_seconds))]
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    signature: Signature,
    aliases: Vec<String>,
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &'static str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(instant())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), instant(), false)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match info.query_execution_start_time() {
            Some(started) => {
                let value = ScalarValue::TimestampMicrosecond(Some(started.timestamp_micros()), Some("UTC".into()));
                ExprSimplifyResult::Simplified(Expr::Literal(value, None))
            }
            None => ExprSimplifyResult::Original(args),
        })
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("now() is replaced by the statement's time before it runs")
    }
}

/// Of a number: seconds since 1970. Of texts: DataFusion's reading, in microseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToTimestamp {
    signature: Signature,
    texts: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &'static str {
        "to_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        Ok(match args {
            [number] if number.is_numeric() => vec![DataType::Float64],
            _ => args.to_vec(),
        })
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [DataType::Float64] => Ok(instant()),
            _ => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [seconds] = args.args.as_slice() else { return self.texts.invoke_with_args(args) };
        if seconds.data_type() != DataType::Float64 {
            return self.texts.invoke_with_args(args);
        }
        let one = matches!(seconds, ColumnarValue::Scalar(_));
        let array = seconds.to_array(if one { 1 } else { args.number_rows })?;
        let micros: PrimitiveArray<TimestampMicrosecondType> = array.as_primitive::<Float64Type>().try_unary(micros)?;
        let array: ArrayRef = Arc::new(micros.with_timezone("UTC"));
        Ok(if one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

fn micros(seconds: f64) -> Result<i64> {
    // Whole seconds and the fraction apart: their product would lose microseconds.
    let whole = seconds.floor();
    // 4714 BC to 294276, as in Postgres.
    if !(-210_866_803_200.0..9_224_318_016_000.0).contains(&whole) {
        return Err(external(Error::new(ErrorCode::DatetimeOverflow, "timestamp out of range")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range by the check above")]
    let (whole, fraction) = (whole as i64, ((seconds - whole) * 1e6).round_ties_even() as i64);
    match whole.checked_mul(1_000_000).and_then(|micros| micros.checked_add(fraction)) {
        Some(micros) => Ok(micros),
        None => exec_err!("timestamp out of range"),
    }
}
