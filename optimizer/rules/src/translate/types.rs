//! Arrow's types as the vocabulary's, and which casts mean the same everywhere. Knows no value.

use crate::not_pushed::NotPushed;
use arrow::datatypes::{DataType, TimeUnit};
use querygate_driver_api::value::ValueType;

/// The vocabulary's type of an Arrow type. Time stamps in nanoseconds count as those in microseconds: a fragment has no
/// finer ones, and constants that are finer are refused or their bounds moved.
pub(super) fn value_type(data_type: &DataType) -> Result<ValueType, NotPushed> {
    if let DataType::Timestamp(TimeUnit::Nanosecond, zone) = data_type {
        return Ok(ValueType::Timestamp { utc: zone.is_some() });
    }
    ValueType::from_arrow(data_type).ok_or_else(|| {
        let name = match data_type {
            DataType::Null => "a NULL without a type",
            DataType::Interval(_) | DataType::Duration(_) => "an interval",
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => "an unsigned number",
            _ => "a type",
        };
        NotPushed::kind(format!("{name} has no word in a fragment"))
    })
}

/// Whether fields of an instant read the same in a source: it is a wall clock, or shown in UTC.
pub(super) fn reads_in_utc(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => matches!(zone.as_ref(), "UTC" | "Z" | "+00:00" | "+00"),
        _ => true,
    }
}

/// Whether the vocabulary's cast means what Arrow's does.
pub(super) fn cast_is_exact(from: ValueType, to: ValueType) -> bool {
    match from {
        ValueType::Int16 | ValueType::Int32 | ValueType::Int64 => to.is_numeric() || to == ValueType::Text,
        // To a whole number rounds, and every source has its own way of that.
        ValueType::Float32 | ValueType::Float64 | ValueType::Decimal128 { .. } => to.is_numeric() && !to.is_integer(),
        // Time stamps and dates have more spellings than any two readers agree on.
        ValueType::Text => to.is_numeric(),
        ValueType::Date => to == ValueType::Timestamp { utc: false },
        ValueType::Timestamp { utc } => !utc && to == ValueType::Date,
        ValueType::Boolean | ValueType::Binary | ValueType::Time | ValueType::TextList | ValueType::List(_) => false,
    }
}
