//! What `percentile_cont` and `percentile_disc` end with: functions of the array of all values in their order. Knows no plan.

use super::arrays::{item_of_first, like_first, one_list, present};
use super::call::form::{P, R, form};
use super::clocks::scaled;
use super::{Def, Row, Value, of_arrow, strict, to_arrow};
use crate::fault::external;
use crate::numbers::wide;
use crate::times::datetime::Wrong;
use crate::times::datetime::interval::Interval;
use crate::times::interval_length::INTERVAL;
use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, IntervalMonthDayNanoType};
use datafusion::common::{Result, ScalarValue};
use querygate_resources::bytes::own_bytes;
use querygate_resources::charge;
use querygate_types::{Error, ErrorCode};

pub(super) const DEFS: &[Def] = &[
    strict(
        "percentile_disc_of",
        &[
            form(&[P::AnyArray, P::Double], R::By(|args, _| Ok(item_of_first(args))), |r| {
                let items = present(&r.list(0))?;
                match discrete(&items, r.double(1))? {
                    Some(place) => Ok(Value::Any(ScalarValue::try_from_array(&items, place)?)),
                    None => Ok(Value::Null),
                }
            }),
            form(
                &[P::AnyArray, P::DoubleArray],
                R::By(|args, _| {
                    Ok(args.first().map_or(Field::new("p", DataType::Null, true), |of| of.as_ref().clone()))
                }),
                |r| {
                    let (items, parts) = (present(&r.list(0))?, r.list(1));
                    if items.is_empty() {
                        return Ok(Value::Null);
                    }
                    let parts = parts.as_primitive::<Float64Type>().iter();
                    let place = |part: Option<f64>| part.map_or(Ok(None), |part| discrete(&items, part));
                    let places = parts.map(place).collect::<Result<Vec<_>>>()?;
                    for place in places.iter().flatten() {
                        charge(own_bytes(&items.slice(*place, 1)))?;
                    }
                    let places = places.into_iter().map(|at| at.and_then(|at| u64::try_from(at).ok()));
                    one_list(&arrow::compute::take(&items, &places.collect::<UInt64Array>(), None)?)
                },
            ),
        ],
    ),
    strict(
        "percentile_cont_of",
        &[
            form(&[P::DoubleArray, P::Double], R::Double, |r| percentile(&r.list(0), r.double(1))),
            form(&[P::WideArray, P::Double], R::Double, |r| percentile(&doubles(r)?, r.double(1))),
            form(&[P::IntervalArray, P::Double], R::Interval, |r| {
                let found = interval_at(&present(&r.list(0))?, r.double(1))?;
                Ok(found.map_or(Value::Null, Value::Interval))
            }),
            form(&[P::DoubleArray, P::DoubleArray], R::By(list_of_doubles), |r| percentiles(&r.list(0), &r.list(1))),
            form(&[P::WideArray, P::DoubleArray], R::By(list_of_doubles), |r| percentiles(&doubles(r)?, &r.list(1))),
            form(&[P::IntervalArray, P::DoubleArray], R::By(like_first), |r| intervals(&r.list(0), &r.list(1))),
        ],
    ),
];

/// The name of the aggregate that a call stands for, and the types that it was written with: of values in an order and the parts before them.
pub(super) fn as_written(name: &str, types: &[DataType]) -> Option<(&'static str, Vec<DataType>)> {
    let written = match name {
        "percentile_cont_of" => "percentile_cont",
        "percentile_disc_of" => "percentile_disc",
        _ => return None,
    };
    let [DataType::List(item), part] = types else { return None };
    Some((written, vec![part.clone(), item.data_type().clone()]))
}

fn list_of_doubles(_: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    Ok(Field::new("p", super::call::form::list(DataType::Float64), true))
}

/// The numerics of the first argument.
fn doubles(row: &Row<'_>) -> Result<ArrayRef> {
    wide::to_values(&row.list(0), &DataType::Float64)
}

fn percentile(items: &ArrayRef, part: f64) -> Result<Value> {
    Ok(continuous(&present(items)?, part)?.map_or(Value::Null, Value::Double))
}

fn percentiles(items: &ArrayRef, parts: &ArrayRef) -> Result<Value> {
    let items = present(items)?;
    each(&items, parts, &DataType::Float64, |part| Ok(ScalarValue::Float64(continuous(&items, part)?)))
}

fn intervals(items: &ArrayRef, parts: &ArrayRef) -> Result<Value> {
    let items = present(items)?;
    each(&items, parts, &INTERVAL, |part| {
        let found = interval_at(&items, part)?;
        let found = found.map(|found| to_arrow(found).ok_or_else(|| Wrong::Range.error("interval"))).transpose()?;
        Ok(ScalarValue::IntervalMonthDayNano(found))
    })
}

/// What is at each of the parts, of which some may be NULL; of no items, NULL.
fn each(items: &ArrayRef, parts: &ArrayRef, of: &DataType, at: impl Fn(f64) -> Result<ScalarValue>) -> Result<Value> {
    if items.is_empty() {
        return Ok(Value::Null);
    }
    let found = parts.as_primitive::<Float64Type>().iter().map(|part| match part {
        Some(part) => at(part),
        None => ScalarValue::try_from(of),
    });
    let found: Vec<ScalarValue> = found.collect::<Result<_>>()?;
    Ok(Value::Any(ScalarValue::List(ScalarValue::new_list_nullable(&found, of))))
}

fn fraction(part: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&part) {
        return Ok(part);
    }
    Err(external(Error::new(ErrorCode::NumericOutOfRange, "percentile value is not between 0 and 1")))
}

/// The place of the first item at which the fraction of all is reached; of none there is none.
fn discrete(items: &ArrayRef, part: f64) -> Result<Option<usize>> {
    let part = fraction(part)?;
    if items.is_empty() {
        return Ok(None);
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among the items"
    )]
    let place = ((part * items.len() as f64).ceil() as usize).clamp(1, items.len());
    Ok(Some(place - 1))
}

/// The neighbours between which a fraction of all items is, and how far it is from the first to the second; of none there are none.
fn neighbours(items: &ArrayRef, part: f64) -> Result<Option<(usize, usize, f64)>> {
    let part = fraction(part)?;
    if items.is_empty() {
        return Ok(None);
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "places among the items"
    )]
    let places = {
        let at = part * (items.len() - 1) as f64;
        (at.floor() as usize, at.ceil() as usize, at - at.floor())
    };
    Ok(Some(places))
}

/// Between two neighbours by the fraction.
fn continuous(items: &ArrayRef, part: f64) -> Result<Option<f64>> {
    let Some((low, high, way)) = neighbours(items, part)? else { return Ok(None) };
    let items = items.as_primitive::<Float64Type>();
    let (a, b) = (items.value(low), items.value(high));
    Ok(Some(if low == high { a } else { a + way * (b - a) }))
}

/// Between two intervals by the fraction: months, days and time each, whose fractions cascade down.
fn interval_at(items: &ArrayRef, part: f64) -> Result<Option<Interval>> {
    let Some((low, high, way)) = neighbours(items, part)? else { return Ok(None) };
    let items = items.as_primitive::<IntervalMonthDayNanoType>();
    let (a, b) = (of_arrow(items.value(low)), of_arrow(items.value(high)));
    if low == high {
        return Ok(Some(a));
    }
    let beyond = || Wrong::Range.error("interval");
    let micros = b.micros.checked_sub(a.micros).ok_or_else(beyond)?;
    let apart = Interval { months: b.months - a.months, days: b.days - a.days, micros };
    let way = scaled(apart.within().map_err(|_| beyond())?, |part| part * way)?;
    let micros = a.micros.checked_add(way.micros).ok_or_else(beyond)?;
    let found = Interval { months: a.months + way.months, days: a.days + way.days, micros };
    Ok(Some(found.within().map_err(|_| beyond())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::IntervalMonthDayNanoArray;
    use arrow::datatypes::IntervalMonthDayNano;
    use std::sync::Arc;

    #[test]
    fn intervals_between_others_are_those_of_postgres() {
        const HOUR: i64 = 3_600_000_000_000;
        let items = [(0, 0, 3 * HOUR), (0, 1, 0), (1, 0, 0)].map(|(m, d, n)| IntervalMonthDayNano::new(m, d, n));
        let items: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(items.to_vec()));
        let text = |part| interval_at(&items, part).unwrap().unwrap().text();
        assert_eq!([0.0, 0.3, 0.75, 1.0].map(text), ["03:00:00", "15:36:00", "16 days -12:00:00", "1 mon"]);
        assert!(interval_at(&items, 1.5).is_err());
        assert!(interval_at(&items.slice(0, 0), 0.5).unwrap().is_none());
    }

    #[test]
    fn refusals_say_what_was_written() {
        let texts = super::super::call::form::list(DataType::Utf8);
        let written = as_written("percentile_cont_of", &[texts, DataType::Float64]);
        assert_eq!(written, Some(("percentile_cont", vec![DataType::Float64, DataType::Utf8])));
        assert_eq!(as_written("upper", &[DataType::Utf8]), None);
    }
}
