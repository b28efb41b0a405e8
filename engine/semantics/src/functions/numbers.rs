//! Functions of numbers: `to_char`, `to_number`, rounding of numerics, and what Postgres has besides DataFusion.

use super::call::form::{P, R, form};
use super::wide_numbers::{ONE, TWO, one, two};
use super::{Def, Row, Value, strict};
use crate::fault::{Fault, external};
use crate::numbers::number_format::Number;
use crate::numbers::numeric::{divided, rescaled, truncated};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use querygate_types::numeric::Numeric;
use querygate_types::{Error, ErrorCode};

const PAIR: &[P] = &[P::Numeric, P::Numeric];

pub(super) const DEFS: &[Def] = &[
    strict(
        "to_number",
        &[form(&[P::Text, P::Text], R::Wide, |r| {
            Ok(Value::Wide(r.patterns.numbers(r.text(1))?.read_number(r.text(0))?))
        })],
    ),
    strict(
        "round",
        &[
            form(&[P::Numeric], R::By(|a, _| Ok(scaled_to(a, 0))), |r| numeric(r, 0, rescaled)),
            form(&[P::Numeric, P::Int], R::By(places), |r| numeric(r, r.int(1), rescaled)),
            form(ONE, R::Wide, |r| one(r, |of| of.round(0))),
            form(&[P::Wide, P::Int], R::Wide, |r| one(r, |of| of.round(r.int(1)))),
            form(&[P::Int], R::Double, |r| Ok(Value::Double(as_double(r.int(0))))),
            form(&[P::Double], R::Double, |r| Ok(Value::Double(r.double(0).round_ties_even()))),
            form(&[P::Double, P::Int], R::Double, |r| Ok(Value::Double(to_places(r.double(0), r.int(1), f64::round)))),
        ],
    ),
    strict(
        "trunc",
        &[
            form(&[P::Numeric], R::By(|a, _| Ok(scaled_to(a, 0))), |r| numeric(r, 0, truncated)),
            form(&[P::Numeric, P::Int], R::By(places), |r| numeric(r, r.int(1), truncated)),
            form(ONE, R::Wide, |r| one(r, |of| of.trunc(0))),
            form(&[P::Wide, P::Int], R::Wide, |r| one(r, |of| of.trunc(r.int(1)))),
            form(&[P::Int], R::Double, |r| Ok(Value::Double(as_double(r.int(0))))),
            form(&[P::Double], R::Double, |r| Ok(Value::Double(r.double(0).trunc()))),
            form(&[P::Double, P::Int], R::Double, |r| Ok(Value::Double(to_places(r.double(0), r.int(1), f64::trunc)))),
        ],
    ),
    strict(
        "ceil",
        &[
            form(&[P::Numeric], R::By(|a, _| Ok(scaled_to(a, 0))), |r| whole(r, 1)),
            form(ONE, R::Wide, |r| one(r, Numeric::ceil)),
            form(&[P::Int], R::Double, |r| Ok(Value::Double(as_double(r.int(0))))),
            form(&[P::Double], R::Double, |r| Ok(Value::Double(r.double(0).ceil()))),
        ],
    ),
    strict(
        "floor",
        &[
            form(&[P::Numeric], R::By(|a, _| Ok(scaled_to(a, 0))), |r| whole(r, -1)),
            form(ONE, R::Wide, |r| one(r, Numeric::floor)),
            form(&[P::Int], R::Double, |r| Ok(Value::Double(as_double(r.int(0))))),
            form(&[P::Double], R::Double, |r| Ok(Value::Double(r.double(0).floor()))),
        ],
    ),
    strict(
        "signum",
        &[
            form(&[P::Numeric], R::By(|_, _| Ok(Field::new("sign", DataType::Decimal128(1, 0), true))), |r| {
                Ok(Value::Digits(r.decimal(0).0.signum()))
            }),
            form(ONE, R::Wide, |r| {
                let value = r.wide(0)?;
                Ok(Value::Wide(if value.is_nan() { value } else { Numeric::from(i64::from(value.signum())) }))
            }),
            form(&[P::Int], R::Double, |r| Ok(Value::Double(as_double(r.int(0).signum())))),
            form(&[P::Double], R::Double, |r| {
                let value = r.double(0);
                // Of either zero it is 0.
                Ok(Value::Double(match value {
                    0.0 => 0.0,
                    value if value.is_nan() => value,
                    value => value.signum(),
                }))
            }),
        ],
    ),
    strict(
        "numeric_divide",
        &[form(PAIR, R::By(quotient), |r| {
            let ((a, s), (b, t)) = (r.decimal(0), r.decimal(1));
            if b == 0 {
                return Err(Fault::DivisionByZero.error());
            }
            Ok(Value::Digits(divided((a, s), (b, t), r.scale()).ok_or_else(out_of_range)?))
        })],
    ),
    strict(
        "div",
        &[
            form(PAIR, R::By(|_, _| Ok(Field::new("div", DataType::Decimal128(38, 0), true))), |r| {
                let ((a, s), (b, t)) = (r.decimal(0), r.decimal(1));
                if b == 0 {
                    return Err(Fault::DivisionByZero.error());
                }
                let scale = s.max(t);
                let (a, b) = (rescaled(a, s, scale), rescaled(b, t, scale));
                let (Some(a), Some(b)) = (a, b) else { return Err(out_of_range()) };
                Ok(Value::Digits(a / b))
            }),
            form(TWO, R::Wide, |r| two(r, Numeric::div)),
        ],
    ),
    strict(
        "scale",
        &[
            form(&[P::Numeric], R::Int4, |r| Ok(Value::Int(i64::from(r.decimal(0).1)))),
            form(ONE, R::Int4, |r| Ok(shown_places(&r.wide(0)?))),
        ],
    ),
    strict(
        "min_scale",
        &[
            form(&[P::Numeric], R::Int4, |r| {
                let (digits, scale) = r.decimal(0);
                Ok(Value::Int(i64::from(trimmed(digits, scale).1)))
            }),
            form(ONE, R::Int4, |r| Ok(shown_places(&r.wide(0)?.trim_scale()))),
        ],
    ),
    strict(
        "to_hex",
        &[form(&[P::Int], R::Text, |r| {
            let narrow =
                r.field(0).metadata().get(querygate_query_api::column::PG_TYPE_KEY).is_some_and(|t| t == "int8");
            let value = r.int(0);
            Ok(Value::Text(match i32::try_from(value) {
                Ok(value) if !narrow => format!("{value:x}"),
                _ => format!("{value:x}"),
            }))
        })],
    ),
    strict("cbrt", &[form(&[P::Double], R::Double, |r| Ok(Value::Double(r.double(0).cbrt())))]),
    strict(
        "trim_scale",
        &[
            form(&[P::Numeric], R::By(least_scale), |r| {
                let (digits, scale) = r.decimal(0);
                Ok(Value::Digits(rescaled(digits, scale, r.scale()).ok_or_else(out_of_range)?))
            }),
            form(ONE, R::Wide, |r| Ok(Value::Wide(r.wide(0)?.trim_scale()))),
        ],
    ),
    strict(
        "width_bucket",
        &[
            form(&[P::Wide, P::Wide, P::Wide, P::Int], R::Int4, |r| {
                let count = i32::try_from(r.int(3)).map_err(|_| Fault::OutOfRange("integer").error())?;
                let place = r.wide(0)?.bucket(&r.wide(1)?, &r.wide(2)?, count).map_err(external)?;
                Ok(Value::Int(i64::from(place)))
            }),
            form(&[P::Double, P::Double, P::Double, P::Int], R::Int4, bucket),
            form(&[P::Double, P::DoubleArray], R::Int4, |r| {
                let bounds = r.list(1);
                let bounds = arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(bounds.as_ref());
                let below = bounds.iter().flatten().filter(|bound| *bound <= r.double(0)).count();
                Ok(Value::Int(i64::try_from(below).unwrap_or(i64::MAX)))
            }),
        ],
    ),
];

/// NaN and infinities have none.
fn shown_places(value: &Numeric) -> Value {
    value.places().map_or(Value::Null, |places| Value::Int(i64::from(places)))
}

fn out_of_range() -> datafusion::common::DataFusionError {
    Fault::OutOfRange("numeric").error()
}

#[expect(clippy::cast_precision_loss, reason = "as Postgres converts")]
const fn as_double(value: i64) -> f64 {
    value as f64
}

fn to_places(value: f64, places: i64, round: fn(f64) -> f64) -> f64 {
    let factor = 10_f64.powi(i32::try_from(places.clamp(-400, 400)).unwrap_or(0));
    let result = round(value * factor) / factor;
    if result.is_finite() { result } else { value }
}

/// A constant without the zeros at its end; a column has one scale, and keeps it.
fn least_scale(args: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Result<Field> {
    if let Some(ScalarValue::Decimal128(Some(digits), precision, scale)) = constants.first().copied().flatten() {
        let (_, least) = trimmed(*digits, *scale);
        return Ok(Field::new("trim_scale", DataType::Decimal128(*precision, least), true));
    }
    let own = args.first().map_or(DataType::Decimal128(38, 0), |field| field.data_type().clone());
    Ok(Field::new("trim_scale", own, true))
}

fn trimmed(mut digits: i128, mut scale: i8) -> (i128, i8) {
    while scale > 0 && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    (digits, scale)
}

/// A numeric type of so many places, as wide as the argument's.
fn scaled_to(args: &[FieldRef], scale: i8) -> Field {
    let (precision, own) = match args.first().map(|f| f.data_type()) {
        Some(DataType::Decimal128(precision, own)) => (*precision, *own),
        _ => (38, 0),
    };
    let whole = i16::from(precision) - i16::from(own) + 1;
    let digits = (whole + i16::from(scale)).clamp(i16::from(scale.max(1)), 38);
    Field::new("round", DataType::Decimal128(u8::try_from(digits).unwrap_or(38), scale), true)
}

/// By the second argument: a constant's places, else the number's own.
fn places(args: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Result<Field> {
    let own = match args.first().map(|f| f.data_type()) {
        Some(DataType::Decimal128(_, own)) => *own,
        _ => 0,
    };
    let wanted = constants.get(1).copied().flatten().and_then(|c| match c {
        ScalarValue::Int64(n) => *n,
        ScalarValue::Int32(n) => n.map(i64::from),
        ScalarValue::Int16(n) => n.map(i64::from),
        _ => None,
    });
    Ok(scaled_to(args, wanted.map_or(own, |n| i8::try_from(n.clamp(0, 30)).unwrap_or(0))))
}

type Rescale = fn(i128, i8, i8) -> Option<i128>;

fn numeric(row: &Row<'_>, places: i64, rescale: Rescale) -> Result<Value> {
    let (digits, scale) = row.decimal(0);
    let places = i8::try_from(places.clamp(-60, 60)).unwrap_or(0);
    let rounded =
        if places >= scale { Some((digits, scale)) } else { rescale(digits, scale, places).map(|d| (d, places)) };
    let result = rounded.and_then(|(digits, scale)| rescaled(digits, scale, row.scale()));
    Ok(Value::Digits(result.ok_or_else(out_of_range)?))
}

/// Towards one side.
fn whole(row: &Row<'_>, side: i128) -> Result<Value> {
    let (digits, scale) = row.decimal(0);
    let Some(unit) = 10_i128.checked_pow(u32::from(scale.unsigned_abs())).filter(|_| scale >= 0) else {
        return Ok(Value::Digits(rescaled(digits, scale, 0).ok_or_else(out_of_range)?));
    };
    let (quotient, rest) = (digits / unit, digits % unit);
    Ok(Value::Digits(if rest.signum() == side { quotient + side } else { quotient }))
}

/// A quotient has 16 places or the operands' own, whichever is more.
fn quotient(args: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    let scale = args.iter().filter_map(|f| match f.data_type() {
        DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    });
    Ok(Field::new("numeric_divide", DataType::Decimal128(38, scale.max().unwrap_or(0).max(16)), true))
}

fn bucket(row: &Row<'_>) -> Result<Value> {
    let (value, low, high, count) = (row.double(0), row.double(1), row.double(2), row.int(3));
    let refused = |message: &'static str| external(Error::new(ErrorCode::InvalidWidthBucketArgument, message));
    if count <= 0 {
        return Err(refused("count must be greater than zero"));
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return Err(refused("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low == high || low.is_infinite() || high.is_infinite() {
        return Err(refused("lower bound cannot equal upper bound"));
    }
    let (value, low, high) = if low < high { (value, low, high) } else { (-value, -low, -high) };
    Ok(Value::Int(if value < low {
        0
    } else if value >= high {
        count + 1
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and the count")]
        let place = ((value - low) / (high - low) * as_double(count)) as i64;
        place + 1
    }))
}

pub(super) fn to_char_int(row: &Row<'_>) -> Result<Value> {
    shown(row, &Number::Decimal(i128::from(row.int(0)), 0))
}

pub(super) fn to_char_decimal(row: &Row<'_>) -> Result<Value> {
    let (digits, scale) = row.decimal(0);
    shown(row, &Number::Decimal(digits, scale))
}

pub(super) fn to_char_wide(row: &Row<'_>) -> Result<Value> {
    shown(row, &Number::Wide(row.wide(0)?))
}

pub(super) fn to_char_double(row: &Row<'_>) -> Result<Value> {
    shown(row, &Number::Double(row.double(0), f64::DIGITS as usize))
}

pub(super) fn to_char_real(row: &Row<'_>) -> Result<Value> {
    shown(row, &Number::Double(f64::from(row.real(0)), f32::DIGITS as usize))
}

fn shown(row: &Row<'_>, number: &Number) -> Result<Value> {
    Ok(Value::Text(row.patterns.numbers(row.text(1))?.shown(number)))
}
