//! Conversions among dates, times, time stamps and intervals, on the session's clock where an instant is one side.

use super::datetime::Wrong;
use super::datetime::interval::Interval;
use super::zone::{DAY, Zone, is_infinite};
use crate::functions::{of_arrow, to_arrow};
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, PrimitiveArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err};
use std::sync::Arc;

/// Converts; `digits` of a second's fraction are kept where they are given.
pub(crate) fn converted(values: &ArrayRef, to: &DataType, digits: Option<&str>, zone: Zone) -> Result<ArrayRef> {
    if let (DataType::Interval(_), DataType::Time64(_)) = (values.data_type(), to) {
        let spans = values.as_primitive::<IntervalMonthDayNanoType>();
        let times: Time64MicrosecondArray =
            spans.iter().map(|s| s.map(|s| (s.nanoseconds / 1_000).rem_euclid(DAY))).collect();
        return Ok(Arc::new(times));
    }
    if let (DataType::Time64(_), DataType::Interval(_)) = (values.data_type(), to) {
        let times = arrow::compute::cast(values, &DataType::Time64(TimeUnit::Microsecond))?;
        let times = times.as_primitive::<Time64MicrosecondType>();
        let spans = times.iter().map(|t| t.and_then(|micros| to_arrow(Interval { micros, ..Interval::default() })));
        return Ok(Arc::new(spans.collect::<PrimitiveArray<IntervalMonthDayNanoType>>()));
    }
    let unit = digits.and_then(|d| d.parse::<u32>().ok()).filter(|d| *d < 6).map(|d| 10_i64.pow(6 - d));
    if let (DataType::Interval(_), DataType::Interval(_)) = (values.data_type(), to) {
        let spans = values.as_primitive::<IntervalMonthDayNanoType>().iter();
        let spans = spans.map(|span| {
            let span = span.map(of_arrow)?;
            to_arrow(Interval { micros: rounded(span.micros, unit), ..span })
        });
        return Ok(Arc::new(spans.collect::<PrimitiveArray<IntervalMonthDayNanoType>>()));
    }
    let micros = micros_of(values)?;
    let zoned_from = matches!(values.data_type(), DataType::Timestamp(_, Some(_)));
    let zoned_to = matches!(to, DataType::Timestamp(_, Some(_)));
    let moved = |micros: i64| match (zoned_from, zoned_to) {
        (true, false) => zone.local(micros),
        (false, true) => zone.instant(micros),
        _ => micros,
    };
    let values = micros.iter().map(|m| m.map(|m| rounded(moved(m), unit)));
    Ok(match to {
        DataType::Date32 => {
            let days = values.map(|m| m.map(day).transpose()).collect::<Result<Vec<_>>>()?;
            Arc::new(days.into_iter().collect::<Date32Array>())
        }
        DataType::Time64(_) => {
            let times: Time64MicrosecondArray = values.map(|m| m.map(|m| m.rem_euclid(DAY))).collect();
            Arc::new(times)
        }
        DataType::Timestamp(TimeUnit::Microsecond, own) => {
            Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone_opt(own.clone()))
        }
        DataType::Timestamp(unit, own) => {
            let stamps: ArrayRef =
                Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone_opt(own.clone()));
            arrow::compute::cast(&stamps, &DataType::Timestamp(*unit, own.clone()))?
        }
        other => return exec_err!("a conversion to {other} was not planned"),
    })
}

pub(crate) const fn rounded(micros: i64, unit: Option<i64>) -> i64 {
    match unit {
        Some(unit) if !is_infinite(micros) => {
            // Halves away from zero, as Postgres rounds them.
            let half = if micros < 0 { -(unit / 2) } else { unit / 2 };
            (micros + half) / unit * unit
        }
        _ => micros,
    }
}

fn day(micros: i64) -> Result<i32> {
    match micros {
        i64::MAX => Ok(i32::MAX),
        i64::MIN => Ok(i32::MIN),
        micros => i32::try_from(micros.div_euclid(DAY)).map_err(|_| Wrong::Range.error("date")),
    }
}

/// Microseconds since 1970 of dates and time stamps, of the day for times.
fn micros_of(values: &ArrayRef) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
    Ok(match values.data_type() {
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>();
            let micros = days.iter().map(|d| {
                d.map(|d| match d {
                    i32::MAX => Ok(i64::MAX),
                    i32::MIN => Ok(i64::MIN),
                    d => i64::from(d).checked_mul(DAY).ok_or_else(|| Wrong::Range.error("timestamp")),
                })
                .transpose()
            });
            micros.collect::<Result<Vec<_>>>()?.into_iter().collect()
        }
        DataType::Time64(_) => {
            let times = arrow::compute::cast(values, &DataType::Time64(TimeUnit::Microsecond))?;
            times.as_primitive::<Time64MicrosecondType>().iter().collect()
        }
        DataType::Timestamp(_, zone) => {
            let micros = arrow::compute::cast(values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
            micros.as_primitive::<TimestampMicrosecondType>().clone()
        }
        other => return exec_err!("{other} is no moment"),
    })
}
