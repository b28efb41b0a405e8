//! `generate_series` as a list, of numbers, numerics and time stamps. Its length is bounded.

use super::call::form::{P, R, form, list, timestamp, timestamptz};
use super::{Def, Row, Value, strict};
use crate::fault::{external, refused};
use crate::numbers::numeric::rescaled;
use crate::times::datetime::Wrong;
use crate::times::datetime::interval::Interval;
use crate::times::datetime::moment::moved;
use arrow::array::{ArrayRef, Decimal128Array, Int32Array, Int64Array, LargeBinaryBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_resources::{CHARGE_LEAST, proceed, work};
use querygate_types::numeric::Numeric;
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// Members of one list.
pub(super) const MEMBERS_MAX: usize = 4_000_000;
/// Bytes of a member of a list beside its digits.
const CELL_BYTES: usize = 8;
/// Bytes of the numerics in one list.
const BYTES_MAX: usize = 128 << 20;

pub(super) const DEFS: &[Def] = &[strict(
    "generate_series",
    &[
        form(&[P::Int, P::Int], R::By(whole), |r| numbers(r, 1)),
        form(&[P::Int, P::Int, P::Int], R::By(whole), |r| numbers(r, r.int(2))),
        form(&[P::Numeric, P::Numeric], R::By(decimals), numerics),
        form(&[P::Numeric, P::Numeric, P::Numeric], R::By(decimals), numerics),
        form(&[P::Wide, P::Wide], R::By(|_, _| Ok(of(WIDE_NUMERIC))), wide),
        form(&[P::Wide, P::Wide, P::Wide], R::By(|_, _| Ok(of(WIDE_NUMERIC))), wide),
        form(&[P::Timestamp, P::Timestamp, P::Interval], R::By(|_, _| Ok(of(timestamp()))), |r| moments(r, false)),
        form(&[P::Timestamptz, P::Timestamptz, P::Interval], R::By(|_, _| Ok(of(timestamptz()))), |r| moments(r, true)),
    ],
)];

fn of(item: DataType) -> Field {
    Field::new("generate_series", list(item), true)
}

/// Integers where the arguments are, else bigints. Literals are narrowed before this is asked for the last time.
fn whole(args: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    let narrow = args.iter().all(|f| matches!(f.data_type(), DataType::Int32 | DataType::Int16 | DataType::Null));
    Ok(of(if narrow { DataType::Int32 } else { DataType::Int64 }))
}

/// Decimals where all members have the places of the first one.
fn decimals(args: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    let places = |arg: usize| match args.get(arg).map(|field| field.data_type()) {
        Some(DataType::Decimal128(_, scale)) => *scale,
        _ => 0,
    };
    Ok(of(if places(0) >= places(2) { DataType::Decimal128(38, places(0)) } else { WIDE_NUMERIC }))
}

fn too_many() -> datafusion::common::DataFusionError {
    external(Error::new(ErrorCode::ProgramLimitExceeded, "generate_series has too many members"))
}

fn one_list(items: ArrayRef) -> Value {
    let list = datafusion::common::utils::SingleRowListArrayBuilder::new(items).build_list_array();
    Value::Any(ScalarValue::List(Arc::new(list)))
}

/// Members between two questions whether the statement is over.
const MEMBERS_UNASKED: usize = 4_096;

/// All members by a step, up to the bound.
fn members(from: i128, to: i128, step: i128) -> Result<Vec<i128>> {
    if step == 0 {
        return Err(refused("step size cannot equal zero"));
    }
    let (mut at, mut found) = (from, Vec::new());
    while if step > 0 { at <= to } else { at >= to } {
        if found.len() == MEMBERS_MAX {
            return Err(too_many());
        }
        if found.len().is_multiple_of(MEMBERS_UNASKED) {
            proceed()?;
            // The list grows by doubling, and its numbers become an array.
            work(MEMBERS_UNASKED * 3 * size_of::<i128>())?;
        }
        found.push(at);
        at += step;
    }
    Ok(found)
}

fn numbers(row: &Row<'_>, step: i64) -> Result<Value> {
    let members = members(i128::from(row.int(0)), i128::from(row.int(1)), i128::from(step))?;
    let narrow = matches!(row.returns.data_type(), DataType::List(item) if item.data_type() == &DataType::Int32);
    let items: ArrayRef = if narrow {
        Arc::new(members.iter().map(|m| i32::try_from(*m).ok()).collect::<Int32Array>())
    } else {
        Arc::new(members.iter().map(|m| i64::try_from(*m).ok()).collect::<Int64Array>())
    };
    Ok(one_list(items))
}

fn numerics(row: &Row<'_>) -> Result<Value> {
    let scale = match row.returns.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::Decimal128(_, scale) => *scale,
            _ => return wide(row),
        },
        _ => 0,
    };
    let out_of_range = || crate::fault::Fault::OutOfRange("numeric").error();
    let at = |(digits, own): (i128, i8)| rescaled(digits, own, scale).ok_or_else(out_of_range);
    let step = at(if row.len() == 3 { row.decimal(2) } else { (1, 0) })?;
    let (end, own) = row.decimal(1);
    let to = match 10_i128.checked_pow(u32::from((own - scale).max(0).unsigned_abs())) {
        // The last member on this side of a bound with more places.
        Some(unit) if own > scale && step > 0 => end.div_euclid(unit),
        Some(unit) if own > scale => -(-end).div_euclid(unit),
        _ => at((end, own))?,
    };
    let members: Decimal128Array = members(at(row.decimal(0))?, to, step)?.into_iter().map(Some).collect();
    Ok(one_list(Arc::new(members.with_precision_and_scale(38, scale)?)))
}

/// Of numerics of any width: the first has its own places, the others at least those of the step.
fn wide(row: &Row<'_>) -> Result<Value> {
    let one = Numeric::from(1);
    let (from, to, step) = (row.wide(0)?, row.wide(1)?, if row.len() == 3 { row.wide(2)? } else { one });
    for (value, name) in [(&from, "start"), (&to, "stop"), (&step, "step size")] {
        let what = match (value, name) {
            (Numeric::Finite(_), _) => continue,
            (Numeric::Nan, "start") => "start value cannot be NaN",
            (Numeric::Nan, "stop") => "stop value cannot be NaN",
            (Numeric::Nan, _) => "step size cannot be NaN",
            (Numeric::Infinite { .. }, "start") => "start value cannot be infinity",
            (Numeric::Infinite { .. }, "stop") => "stop value cannot be infinity",
            (Numeric::Infinite { .. }, _) => "step size cannot be infinity",
        };
        return Err(refused(what));
    }
    if step.signum() == 0 {
        return Err(refused("step size cannot equal zero"));
    }
    let mut items = LargeBinaryBuilder::new();
    let (mut at, up, mut made, mut unasked) = (from, step.signum() > 0, 0, CHARGE_LEAST);
    while if up { at <= to } else { at >= to } {
        if made == MEMBERS_MAX || items.values_slice().len() > BYTES_MAX {
            return Err(too_many());
        }
        let cell = at.to_cell();
        // A sum takes as long as its digits are many.
        unasked += cell.len() + CELL_BYTES;
        if unasked >= CHARGE_LEAST {
            proceed()?;
            work(unasked * 3)?;
            unasked = 0;
        }
        items.append_value(cell);
        at = at.plus(&step).map_err(external)?;
        made += 1;
    }
    Ok(one_list(Arc::new(items.finish())))
}

fn moments(row: &Row<'_>, zoned: bool) -> Result<Value> {
    let step = row.interval(2);
    let up = match step.span() {
        0 => return Err(refused("step size cannot equal zero")),
        span => span > 0,
    };
    let (mut at, end) = (row.micros(0), row.micros(1));
    let wrong = |wrong: Wrong| wrong.error("timestamp");
    let mut found = Vec::new();
    while if up { at <= end } else { at >= end } {
        if found.len() == MEMBERS_MAX {
            return Err(too_many());
        }
        if found.len().is_multiple_of(MEMBERS_UNASKED) {
            proceed()?;
            // The list grows by doubling, and its numbers become an array.
            work(MEMBERS_UNASKED * 3 * size_of::<i128>())?;
        }
        found.push(at);
        // Days and months of an instant are those of the session's wall clock.
        at = if zoned {
            let date = Interval { micros: 0, ..step };
            let day = row.zone.instant(moved(row.zone.local(at), date).map_err(wrong)?);
            moved(day, Interval { micros: step.micros, ..Interval::default() }).map_err(wrong)?
        } else {
            moved(at, step).map_err(wrong)?
        };
    }
    let items = TimestampMicrosecondArray::from(found);
    Ok(one_list(if zoned { Arc::new(items.with_timezone("UTC")) } else { Arc::new(items) }))
}
