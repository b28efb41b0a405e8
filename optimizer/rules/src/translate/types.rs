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

/// Whether every value of `from` is a value of `to`, in the same order: then a comparison in `to` with a constant that
/// `from` can hold may be made in `from`.
pub(super) fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, Decimal128, Decimal256, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8,
        Timestamp, Utf8, Utf8View,
    };
    match (from, to) {
        (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
        | (Int16, Int32 | Int64 | Float32 | Float64)
        | (Int32, Int64 | Float64)
        | (Float32, Float64) => true,
        (Int16, Decimal128(p, s)) => i16::from(*p) - i16::from(*s) >= 5,
        (Int32, Decimal128(p, s)) => i16::from(*p) - i16::from(*s) >= 10,
        (Int64, Decimal128(p, s)) => i16::from(*p) - i16::from(*s) >= 19,
        (Decimal128(p, s), Decimal128(q, t) | Decimal256(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Binary | BinaryView, Binary | BinaryView) => true,
        (Date32, Timestamp(_, None)) => true,
        (Timestamp(a, zone), Timestamp(b, other)) => zone.is_some() == other.is_some() && finer(b) >= finer(a),
        (a, b) => a == b,
    }
}

const fn finer(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}
