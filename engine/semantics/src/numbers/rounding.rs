//! Numbers to whole numbers and to decimals, rounded as Postgres rounds. Knows no plan.

use super::numeric::{parse, rescaled};
use crate::fault::Fault;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Float32Type, Float64Type, MAX_DECIMAL128_FOR_EACH_PRECISION,
};
use datafusion::common::{Result, exec_err};
use std::sync::Arc;

/// Floats to the nearest whole number, halves to the even one; decimals' halves away from zero.
pub(crate) fn rounded<T>(values: &ArrayRef, name: &'static str) -> Result<ArrayRef>
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

/// Floats as decimals: 15 significant digits of a double, 6 of a real, as Postgres takes them.
pub(crate) fn decimals_of_floats(values: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let digits = if values.data_type() == &DataType::Float32 { 6 } else { 15 };
    let doubles = arrow::compute::cast(values, &DataType::Float64)?;
    let most = MAX_DECIMAL128_FOR_EACH_PRECISION.get(usize::from(precision)).copied().unwrap_or(i128::MAX);
    let decimal = |value: f64| {
        let (value, own) = significant(value, digits).ok_or_else(|| Fault::OutOfRange("numeric").error())?;
        let rescaled = rescaled(value, own, scale).filter(|d| d.abs() <= most);
        rescaled.ok_or_else(|| Fault::OutOfRange("numeric").error())
    };
    let decimals: PrimitiveArray<Decimal128Type> =
        doubles
            .as_primitive::<Float64Type>()
            .try_unary::<_, Decimal128Type, datafusion::common::DataFusionError>(decimal)?;
    Ok(Arc::new(decimals.with_precision_and_scale(precision, scale)?))
}

/// Whether digits and their power of ten are doubles themselves, so that one division rounds once.
pub(crate) const fn divides_exactly(precision: u8, scale: i8) -> bool {
    precision <= 15 && scale >= 0 && scale <= 22
}

/// The doubles or reals that are nearest to decimals: a division of two rounded numbers may miss them.
pub(crate) fn floats_of_decimals(values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let decimals = values.as_primitive::<Decimal128Type>();
    let text = |row: usize| decimals.is_valid(row).then(|| decimals.value_as_string(row));
    let unreadable = || Fault::OutOfRange("double precision").error();
    if target == &DataType::Float32 {
        let read = |text: String| text.parse::<f32>().map_err(|_| unreadable());
        let floats = (0..decimals.len()).map(|row| text(row).map(read).transpose());
        return Ok(Arc::new(floats.collect::<Result<PrimitiveArray<Float32Type>>>()?));
    }
    let read = |text: String| text.parse::<f64>().map_err(|_| unreadable());
    let floats = (0..decimals.len()).map(|row| text(row).map(read).transpose());
    Ok(Arc::new(floats.collect::<Result<PrimitiveArray<Float64Type>>>()?))
}

/// Digits and scale of a double's first significant digits; `None`: NaN, infinite or too large.
pub(crate) fn significant(value: f64, digits: usize) -> Option<(i128, i8)> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{value:.0$e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e')?;
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let exponent: i32 = exponent.parse().ok()?;
    // Too small for any scale here: nothing is left of it.
    if exponent < -37 {
        return Some((0, 0));
    }
    parse(&format!("{mantissa}e{exponent}"))
}

/// Doubles as reals; what only a double can hold is out of range.
pub(crate) fn narrowed(values: &ArrayRef) -> Result<ArrayRef> {
    let reals = arrow::compute::cast(values, &DataType::Float32)?;
    let pairs = values.as_primitive::<Float64Type>().iter().zip(reals.as_primitive::<Float32Type>().iter());
    for (double, real) in pairs {
        if let (Some(double), Some(real)) = (double, real)
            && (real.is_infinite() && double.is_finite() || real == 0.0 && double != 0.0)
        {
            return Err(if double.abs() > 1.0 { Fault::Overflow } else { Fault::Underflow }.error());
        }
    }
    Ok(reals)
}
