//! How far a `RANGE` frame reaches from a row's key, where that is an interval: its text is read as PostgreSQL reads intervals, and not as
//! the engine would. Keys that the engine computes with otherwise, or not at all, are put right or refused. Knows no function.

use crate::fault::external;
use crate::times::datetime::Wrong;
use crate::times::datetime::interval::{Interval, parse};
use crate::times::interval_length::{as_length, length};
use crate::times::zone::DAY;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits, cast};
use querygate_query_api::column::pg_type_of;
use querygate_types::{Error, ErrorCode};

/// Puts what the engine computes with in place of a frame's distances. Whether there is any.
///
/// # Errors
/// 0A000 for keys that have no distances here; 22007, 22008 and 22015 for what is no interval, 22023 for one below zero.
pub(crate) fn read(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let params = &mut window.params;
    let frame = &params.window_frame;
    let counts = frame.units == WindowFrameUnits::Range && (counts(&frame.start_bound) || counts(&frame.end_bound));
    // Of several keys, or none, the engine says what is wrong.
    let ([key], true) = (params.order_by.as_mut_slice(), counts) else { return Ok(false) };
    let (_, field) = key.expr.to_field(schema)?;
    let is_date = match field.data_type() {
        DataType::Timestamp(..) => false,
        DataType::Date32 => true,
        DataType::Interval(_) => {
            params.window_frame = distances(frame, |of| engine(of).map(|interval| text(length(interval))))?;
            key.expr = as_length(std::mem::take(&mut key.expr));
            return Ok(true);
        }
        // Beyond a type's last number the engine's frame would reach to the end, NULLs included.
        DataType::Int16 | DataType::Int32 if whole(frame) => {
            key.expr = cast(std::mem::take(&mut key.expr), DataType::Int64);
            return Ok(true);
        }
        DataType::Int64 if whole(frame) && !is_widened(&key.expr, schema) => {
            key.expr = cast(std::mem::take(&mut key.expr), DataType::Decimal128(38, 0));
            return Ok(true);
        }
        // The engine gives a distance the type of the key, and would round it.
        DataType::Decimal128(digits, scale) => {
            let places = i8::try_from(places(frame)).unwrap_or(i8::MAX);
            let wider = places.checked_sub(*scale).and_then(|more| u8::try_from(more).ok()).unwrap_or_default();
            let digits = digits.saturating_add(wider);
            if wider == 0 || digits > DECIMAL128_MAX_PRECISION {
                return Ok(false);
            }
            key.expr = cast(std::mem::take(&mut key.expr), DataType::Decimal128(digits, places));
            return Ok(true);
        }
        // Wide numerics are refused elsewhere.
        other if other.is_numeric() || other.is_null() || *other == DataType::LargeBinary => return Ok(false),
        _ => {
            let key = pg_type_of(&field).sql_name();
            let message = format!("RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key}");
            return Err(external(Error::new(ErrorCode::FeatureNotSupported, message)));
        }
    };
    let mut parts_of_days = false;
    params.window_frame = distances(frame, |of| {
        parts_of_days |= of.micros % DAY != 0;
        engine(of).map(|interval| ScalarValue::IntervalMonthDayNano(Some(interval)))
    })?;
    // A date moved by hours is a moment.
    if is_date && parts_of_days {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
        key.expr = std::mem::take(&mut key.expr).cast_to(&moment, schema)?;
    }
    Ok(true)
}

/// Whether a frame's distances are whole numbers.
fn whole(frame: &WindowFrame) -> bool {
    [&frame.start_bound, &frame.end_bound].into_iter().all(|bound| match bound {
        WindowFrameBound::CurrentRow => true,
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => {
            by.try_as_str().flatten().is_none_or(|text| text.parse::<i64>().is_ok())
        }
    })
}

/// The most places behind the point that a frame's distances have.
fn places(frame: &WindowFrame) -> usize {
    let of = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => None,
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => {
            let (_, fraction) = by.try_as_str().flatten()?.split_once('.')?;
            Some(fraction.bytes().take_while(u8::is_ascii_digit).count())
        }
    };
    [&frame.start_bound, &frame.end_bound].into_iter().filter_map(of).max().unwrap_or_default()
}

/// Whether a bigint is a smaller number whose type was widened for its frame: a plan is walked over more than once.
fn is_widened(key: &Expr, schema: &DFSchema) -> bool {
    match key {
        Expr::Cast(cast) => {
            cast.expr.get_type(schema).is_ok_and(|from| matches!(from, DataType::Int16 | DataType::Int32))
        }
        _ => false,
    }
}

const fn counts(bound: &WindowFrameBound) -> bool {
    matches!(
        bound,
        WindowFrameBound::Preceding(ScalarValue::Utf8(Some(_)))
            | WindowFrameBound::Following(ScalarValue::Utf8(Some(_)))
    )
}

/// The frame with each distance as something else.
fn distances(frame: &WindowFrame, mut write: impl FnMut(Interval) -> Result<ScalarValue>) -> Result<WindowFrame> {
    let mut of = |distance: &ScalarValue| match distance {
        ScalarValue::Utf8(Some(text)) => {
            let read = parse(text).map_err(|wrong| wrong.error("interval"))?;
            if read.span() < 0 {
                let message = "invalid preceding or following size in window function";
                return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
            }
            write(read)
        }
        other => Ok(other.clone()),
    };
    let mut bound = |bound: &WindowFrameBound| -> Result<WindowFrameBound> {
        Ok(match bound {
            WindowFrameBound::Preceding(distance) => WindowFrameBound::Preceding(of(distance)?),
            WindowFrameBound::CurrentRow => WindowFrameBound::CurrentRow,
            WindowFrameBound::Following(distance) => WindowFrameBound::Following(of(distance)?),
        })
    };
    let (start, end) = (bound(&frame.start_bound)?, bound(&frame.end_bound)?);
    Ok(WindowFrame::new_bounds(frame.units, start, end))
}

fn engine(of: Interval) -> Result<IntervalMonthDayNano> {
    let whole = |value: i64| i32::try_from(value).ok();
    let nanos = of.micros.checked_mul(1_000);
    match (whole(of.months), whole(of.days), nanos) {
        (Some(months), Some(days), Some(nanos)) => Ok(IntervalMonthDayNano::new(months, days, nanos)),
        _ => Err(Wrong::Range.error("interval")),
    }
}

/// As the frame holds numbers before they have their type.
fn text(length: i128) -> ScalarValue {
    ScalarValue::Utf8(Some(length.to_string()))
}
