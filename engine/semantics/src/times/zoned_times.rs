//! Conversions of times of day with a zone. Knows no text.

use super::moments::rounded;
use super::zone::{DAY, Zone};
use crate::casts::conversions::modifier;
use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, Time64MicrosecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err};
use querygate_query_api::values::timetz::TimeTz;
use std::sync::Arc;

/// What a second's last digit that a type keeps is worth.
fn unit(to: &Field) -> Option<i64> {
    modifier(to).and_then(|digits| digits.parse::<u32>().ok()).filter(|digits| *digits < 6).map(|d| 10_i64.pow(6 - d))
}

/// Times with a zone as times without, or with fewer digits.
pub(crate) fn of_times(values: &ArrayRef, to: &Field) -> Result<ArrayRef> {
    let keys = values.as_fixed_size_binary();
    let times = keys.iter().map(|key| key.and_then(TimeTz::of_key));
    let unit = unit(to);
    match to.data_type() {
        DataType::Time64(_) => {
            let times = times.map(|time| time.map(|time| rounded(time.micros, unit)));
            Ok(Arc::new(times.collect::<Time64MicrosecondArray>()))
        }
        _ => of_keys(times.map(|time| time.map(|time| TimeTz { micros: rounded(time.micros, unit), ..time }))),
    }
}

/// Instants on the clocks of a zone. Infinity has no time.
pub(crate) fn of_instants(values: &ArrayRef, to: &Field, zone: Zone) -> Result<ArrayRef> {
    let DataType::Timestamp(_, own) = values.data_type() else {
        return exec_err!("a conversion of {} to a time with a zone was not planned", values.data_type());
    };
    let micros = arrow::compute::cast(values, &DataType::Timestamp(TimeUnit::Microsecond, own.clone()))?;
    let unit = unit(to);
    let finite = |instant: &i64| !super::zone::is_infinite(*instant);
    of_keys(micros.as_primitive::<TimestampMicrosecondType>().iter().map(|instant| {
        instant.filter(finite).map(|instant| {
            let micros = rounded(zone.local(instant).rem_euclid(DAY), unit);
            TimeTz { micros, east: zone.offset_at(instant) }
        })
    }))
}

fn of_keys(times: impl Iterator<Item = Option<TimeTz>>) -> Result<ArrayRef> {
    let keys = times.map(|time| time.map(TimeTz::key));
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys, 12)?))
}
