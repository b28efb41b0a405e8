//! Conversions that Postgres makes otherwise than Arrow: rounding to whole numbers, numbers read from text, texts of floats
//! and time stamps. Knows no plan.

use super::fault::Fault;
use super::text;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, MAX_DECIMAL128_FOR_EACH_PRECISION, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// The function that converts as Postgres does; `None` where Arrow's cast does.
pub(super) fn conversion(from: &DataType, to: &DataType) -> Option<Arc<ScalarUDF>> {
    let ours = match (from, to) {
        (DataType::Float32 | DataType::Float64 | DataType::Decimal128(..), to) if to.is_integer() => true,
        (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, to) => {
            to.is_integer()
                || matches!(
                    to,
                    DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, 0..) | DataType::Boolean
                )
        }
        (
            DataType::Float32
            | DataType::Float64
            | DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, None),
            DataType::Utf8 | DataType::Utf8View,
        ) => true,
        _ => false,
    };
    ours.then(|| Arc::new(ScalarUDF::new_from_impl(Convert::new(to.clone()))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Convert {
    to: DataType,
    signature: Signature,
}

impl Convert {
    fn new(to: DataType) -> Self {
        Self { to, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn array(&self, values: &ArrayRef) -> Result<ArrayRef> {
        match (values.data_type(), &self.to) {
            (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, to) => read(values, to),
            (DataType::Float32, DataType::Utf8 | DataType::Utf8View) => {
                Ok(written(values.as_primitive::<Float32Type>().iter().map(|v| v.map(text::real)), &self.to))
            }
            (DataType::Float64, DataType::Utf8 | DataType::Utf8View) => {
                Ok(written(values.as_primitive::<Float64Type>().iter().map(|v| v.map(text::double)), &self.to))
            }
            (DataType::Timestamp(..), DataType::Utf8 | DataType::Utf8View) => {
                let micros = arrow::compute::cast(values, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                let micros = micros.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
                Ok(written(micros.iter().map(|v| v.map(text::timestamp)), &self.to))
            }
            (_, DataType::Int8) => rounded::<Int8Type>(values, "smallint"),
            (_, DataType::Int16) => rounded::<Int16Type>(values, "smallint"),
            (_, DataType::Int32) => rounded::<Int32Type>(values, "integer"),
            (_, DataType::Int64) => rounded::<Int64Type>(values, "bigint"),
            (_, DataType::UInt8) => rounded::<UInt8Type>(values, "smallint"),
            (_, DataType::UInt16) => rounded::<UInt16Type>(values, "integer"),
            (_, DataType::UInt32) => rounded::<UInt32Type>(values, "oid"),
            (_, DataType::UInt64) => rounded::<UInt64Type>(values, "numeric"),
            (from, to) => exec_err!("a conversion of {from} to {to} was not planned"),
        }
    }
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &'static str {
        "convert"
    }

    /// A cast keeps the name of what it casts.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [value] = args else { return plan_err!("one value is needed") };
        Ok(value.schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(self.array(values)?)),
            [ColumnarValue::Scalar(value)] => {
                let array = self.array(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            _ => exec_err!("one value is needed"),
        }
    }
}

/// Floats to the nearest whole number, halves to the even one; decimals' halves away from zero.
fn rounded<T>(values: &ArrayRef, name: &'static str) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128> + ArrowNativeType,
{
    let whole = |value: i128| T::Native::try_from(value).map_err(|_| Fault::OutOfRange(name).error());
    let array: PrimitiveArray<T> = match values.data_type() {
        DataType::Float32 => {
            values.as_primitive::<Float32Type>().try_unary(|value| whole(nearest(f64::from(value), name)?))?
        }
        DataType::Float64 => values.as_primitive::<Float64Type>().try_unary(|value| whole(nearest(value, name)?))?,
        DataType::Decimal128(_, scale) => {
            let unit = unit(*scale)?;
            let digits = values.as_primitive::<Decimal128Type>();
            if *scale < 0 {
                digits
                    .try_unary(|value| whole(value.checked_mul(unit).ok_or_else(|| Fault::OutOfRange(name).error())?))?
            } else {
                digits.try_unary(|value| whole(half_away(value, unit)))?
            }
        }
        other => return exec_err!("a conversion of {other} to a whole number was not planned"),
    };
    Ok(Arc::new(array))
}

fn nearest(value: f64, name: &'static str) -> Result<i128> {
    let rounded = value.round_ties_even();
    // Far beyond every whole type, and NaN: the cast below would saturate.
    if !rounded.is_finite() || rounded.abs() > 1e30 {
        return Err(Fault::OutOfRange(name).error());
    }
    #[expect(clippy::cast_possible_truncation, reason = "finite and in range by the check above")]
    let whole = rounded as i128;
    Ok(whole)
}

/// 10 to the scale's magnitude.
fn unit(scale: i8) -> Result<i128> {
    match 10_i128.checked_pow(u32::from(scale.unsigned_abs())) {
        Some(unit) => Ok(unit),
        None => Err(Fault::OutOfRange("numeric").error()),
    }
}

fn half_away(value: i128, unit: i128) -> i128 {
    let (quotient, rest) = (value / unit, value % unit);
    if rest.unsigned_abs() * 2 >= unit.unsigned_abs() { quotient + value.signum() } else { quotient }
}

fn read(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let texts = arrow::compute::cast(values, &DataType::Utf8View)?;
    let texts = texts.as_string_view();
    Ok(match to {
        DataType::Boolean => {
            let read = texts.iter().map(|t| t.map(text::read_boolean).transpose()).collect::<Result<BooleanArray, _>>();
            Arc::new(read.map_err(Fault::error)?)
        }
        DataType::Float32 => numbers::<Float32Type>(texts, text::read_real)?,
        DataType::Float64 => numbers::<Float64Type>(texts, text::read_double)?,
        DataType::Int8 => numbers::<Int8Type>(texts, |t| text::read_integer(t, "smallint"))?,
        DataType::Int16 => numbers::<Int16Type>(texts, |t| text::read_integer(t, "smallint"))?,
        DataType::Int32 => numbers::<Int32Type>(texts, |t| text::read_integer(t, "integer"))?,
        DataType::Int64 => numbers::<Int64Type>(texts, |t| text::read_integer(t, "bigint"))?,
        DataType::UInt8 => numbers::<UInt8Type>(texts, |t| text::read_integer(t, "smallint"))?,
        DataType::UInt16 => numbers::<UInt16Type>(texts, |t| text::read_integer(t, "integer"))?,
        DataType::UInt32 => numbers::<UInt32Type>(texts, |t| text::read_integer(t, "oid"))?,
        DataType::UInt64 => numbers::<UInt64Type>(texts, |t| text::read_integer(t, "numeric"))?,
        DataType::Decimal128(precision, scale) => {
            let most = MAX_DECIMAL128_FOR_EACH_PRECISION[usize::from(*precision)];
            let scale_digits = u32::from(scale.unsigned_abs());
            let read = texts.iter().map(|t| t.map(|t| text::read_decimal(t, scale_digits, most)).transpose());
            let digits = read.collect::<Result<PrimitiveArray<Decimal128Type>, _>>().map_err(Fault::error)?;
            Arc::new(digits.with_precision_and_scale(*precision, *scale)?)
        }
        other => return exec_err!("reading {other} from text was not planned"),
    })
}

fn numbers<T: ArrowPrimitiveType>(
    texts: &StringViewArray,
    read: impl Fn(&str) -> Result<T::Native, Fault>,
) -> Result<ArrayRef> {
    let numbers = texts.iter().map(|text| text.map(&read).transpose()).collect::<Result<Vec<_>, _>>();
    Ok(Arc::new(PrimitiveArray::<T>::from_iter(numbers.map_err(Fault::error)?)))
}

fn written(texts: impl Iterator<Item = Option<String>>, to: &DataType) -> ArrayRef {
    if *to == DataType::Utf8View {
        Arc::new(texts.collect::<StringViewArray>())
    } else {
        Arc::new(texts.collect::<StringArray>())
    }
}
