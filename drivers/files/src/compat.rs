//! Which column types of a file may stand for a declared type: equal, or wider without loss of meaning. Knows no file.

use arrow::datatypes::DataType;

/// Whether a file column of type `found` can be read as `declared`.
///
/// Integers and floats widen; decimals keep all their digits or become floats; timestamps of any unit become the
/// declared one (finer digits are cut); integers and the widest decimals are text as their digits; text and its encodings are one type. Narrowing, and text as anything else, is refused.
pub(crate) fn readable_as(found: &DataType, declared: &DataType) -> bool {
    use DataType as T;
    if found == declared || found == &T::Null {
        return true;
    }
    match (found, declared) {
        (T::Dictionary(_, value), _) => readable_as(value, declared),
        (_, T::Dictionary(_, value)) => readable_as(found, value),
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View) => true,
        // Keys that a file holds as numbers are text in ObjectStack; the digits are the same.
        (found, T::Utf8 | T::LargeUtf8 | T::Utf8View) if is_integer(found) => true,
        // Those of more digits than a decimal here are read from their digits.
        (T::Decimal256(..), T::Utf8 | T::LargeUtf8 | T::Utf8View) => true,
        // Writers without a text annotation; bytes that are no UTF-8 fail when read.
        (T::Binary | T::LargeBinary | T::BinaryView, T::Utf8 | T::LargeUtf8 | T::Utf8View) => true,
        (
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_),
            T::Binary | T::LargeBinary | T::BinaryView,
        ) => true,
        (T::Float16 | T::Float32, T::Float64) | (T::Float16, T::Float32) => true,
        (T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..), T::Float64) => true,
        (T::Date32 | T::Date64, T::Date32 | T::Date64) => true,
        (T::Date32 | T::Date64, T::Timestamp(_, _)) => true,
        (T::Timestamp(_, _), T::Timestamp(_, _)) => true,
        (T::Time32(_) | T::Time64(_), T::Time32(_) | T::Time64(_)) => true,
        (T::List(a) | T::LargeList(a) | T::FixedSizeList(a, _), T::List(b) | T::LargeList(b)) => {
            readable_as(a.data_type(), b.data_type())
        }
        (T::FixedSizeList(a, n), T::FixedSizeList(b, m)) => n == m && readable_as(a.data_type(), b.data_type()),
        (T::Struct(found), T::Struct(declared)) => declared.iter().all(|wanted| {
            found.find(wanted.name()).is_none_or(|(_, field)| readable_as(field.data_type(), wanted.data_type()))
        }),
        _ => widens(found, declared),
    }
}

/// Whether every value of the numeric type `found` is one of `declared`.
fn widens(found: &DataType, declared: &DataType) -> bool {
    match (digits(found), digits(declared)) {
        (Some((whole, scale)), Some((whole_declared, scale_declared))) if !is_integer(declared) => {
            whole <= whole_declared && scale <= scale_declared
        }
        _ => match (integer_bits(found), declared) {
            (Some(_), DataType::Float64) => true,
            (Some((bits, _)), DataType::Float32) => bits <= 16,
            (Some((bits, signed)), _) => integer_bits(declared).is_some_and(|(bits_declared, signed_declared)| {
                if signed == signed_declared { bits <= bits_declared } else { signed_declared && bits < bits_declared }
            }),
            (None, _) => false,
        },
    }
}

/// Digits before and after the point of an exact number.
fn digits(t: &DataType) -> Option<(i16, i16)> {
    match t {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((i16::from(*p) - i16::from(*s), i16::from(*s))),
        _ => integer_bits(t).map(|bits| match bits {
            (8, _) => (3, 0),
            (16, _) => (5, 0),
            (32, _) => (10, 0),
            (_, true) => (19, 0),
            (_, false) => (20, 0),
        }),
    }
}

fn is_integer(t: &DataType) -> bool {
    integer_bits(t).is_some()
}

fn integer_bits(t: &DataType) -> Option<(u8, bool)> {
    match t {
        DataType::Int8 => Some((8, true)),
        DataType::Int16 => Some((16, true)),
        DataType::Int32 => Some((32, true)),
        DataType::Int64 => Some((64, true)),
        DataType::UInt8 => Some((8, false)),
        DataType::UInt16 => Some((16, false)),
        DataType::UInt32 => Some((32, false)),
        DataType::UInt64 => Some((64, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;
    use std::sync::Arc;

    #[test]
    fn widening_is_allowed_and_narrowing_refused() {
        use DataType as T;
        let ms = T::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let dictionary = T::Dictionary(Box::new(T::Int32), Box::new(T::Utf8));
        let list = |t: T| T::List(Arc::new(arrow::datatypes::Field::new("item", t, true)));
        let allowed = [
            (T::Int8, T::Int64),
            (T::Int64, T::Decimal128(19, 0)),
            (T::UInt64, T::Decimal128(20, 0)),
            (T::UInt32, T::Int64),
            (T::Int32, T::Float64),
            (T::Int64, T::Float64),
            (T::Int32, T::Decimal128(18, 4)),
            (T::Int64, T::Decimal128(38, 4)),
            (T::Float32, T::Float64),
            (T::Decimal128(15, 2), T::Decimal128(18, 4)),
            (T::Decimal128(15, 2), T::Float64),
            (T::Timestamp(TimeUnit::Nanosecond, None), ms.clone()),
            (T::Date32, ms.clone()),
            (T::LargeUtf8, T::Utf8),
            (T::Utf8View, dictionary.clone()),
            (dictionary, T::Utf8),
            (list(T::Int32), list(T::Int64)),
            (T::Null, T::Int64),
            (T::Int64, T::Utf8),
        ];
        for (found, declared) in allowed {
            assert!(readable_as(&found, &declared), "{found} as {declared}");
        }
        let refused = [
            (T::Int64, T::Int32),
            (T::UInt64, T::Int64),
            (T::Int32, T::UInt64),
            (T::Float64, T::Float32),
            (T::Float64, T::Int64),
            (T::Int64, T::Decimal128(18, 4)),
            (T::Decimal128(18, 4), T::Decimal128(18, 2)),
            (T::Decimal128(18, 2), T::Decimal128(17, 2)),
            (T::Decimal128(18, 0), T::Int64),
            (T::Utf8, T::Int64),
            (T::Utf8, ms.clone()),
            (T::Int64, T::Boolean),
            (ms, T::Date32),
            (list(T::Utf8), list(T::Int64)),
            (T::Utf8, list(T::Utf8)),
            (T::Utf8, T::Binary),
        ];
        for (found, declared) in refused {
            assert!(!readable_as(&found, &declared), "{found} as {declared}");
        }
    }
}
