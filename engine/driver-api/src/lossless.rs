//! What a cast keeps of values: all but how they are laid out ([`is_lossless`]), which they are and their order ([`widens`]), or only
//! that those that differ still do ([`keeps_apart`]). Each keeps what the ones after it keep. Knows types only.

use arrow::datatypes::DataType;

/// Whether each value of one type is a value of the other, distinct ones stay distinct, and none fails to be cast.
#[must_use]
pub fn is_lossless(from: &DataType, to: &DataType) -> bool {
    use DataType::{Int8, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
    from == to
        || matches!(
            (from, to),
            (Utf8 | LargeUtf8, Utf8View) | (Int8, Int16 | Int32 | Int64) | (Int16, Int32 | Int64) | (Int32, Int64)
        )
}

/// The one of two types that holds the values of both, if one does.
#[must_use]
pub fn wider<'a>(one: &'a DataType, other: &'a DataType) -> Option<&'a DataType> {
    if is_lossless(one, other) { Some(other) } else { is_lossless(other, one).then_some(one) }
}

/// Whether every value of `from` is a value of `to`, in the same order: then a comparison in `to` with a constant that
/// `from` can hold may be made in `from`.
#[must_use]
pub fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, Decimal128, Decimal256, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8,
        Timestamp, Utf8, Utf8View,
    };
    match (from, to) {
        (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
        | (Int16, Int32 | Int64 | Float32 | Float64)
        | (Int32, Int64 | Float64)
        | (Float32, Float64) => true,
        (Int16, Decimal128(p, s)) => *s >= 0 && i16::from(*p) - i16::from(*s) >= 5,
        (Int32, Decimal128(p, s)) => *s >= 0 && i16::from(*p) - i16::from(*s) >= 10,
        (Int64, Decimal128(p, s)) => *s >= 0 && i16::from(*p) - i16::from(*s) >= 19,
        (Decimal128(p, s), Decimal128(q, t) | Decimal256(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Binary | BinaryView, Binary | BinaryView) => true,
        (Date32, Timestamp(_, None)) => true,
        // Units are in order, the coarsest first.
        (Timestamp(a, zone), Timestamp(b, other)) => zone.is_some() == other.is_some() && b >= a,
        (a, b) => a == b,
    }
}

/// Whether two values that differ still do once they are cast. What overflows is refused by the cast.
#[must_use]
pub fn keeps_apart(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Decimal128, Float32, Float64, UInt8, UInt16, UInt32};
    if widens(from, to) {
        return true;
    }
    match (from, to) {
        (UInt8 | UInt16 | UInt32, Float64) | (UInt8 | UInt16, Float32) => true,
        (Date32, Date64) => true,
        (from, to) if from.is_decimal() && to.is_decimal() => !drops_places(from, to),
        (from, Decimal128(_, scale)) if from.is_integer() => *scale >= 0,
        (from, to) if from.is_integer() => to.is_integer() || to.is_string(),
        (Boolean, to) => to.is_string(),
        _ => false,
    }
}

/// Whether a cast between decimals leaves places after the point out, so that several values become one: 5.40 and 5.44 are 5.4 as
/// `numeric(3, 1)`. Such a cast is not to be taken from a value to the constant beside it, which finds 5.40 alone.
#[must_use]
pub fn drops_places(from: &DataType, to: &DataType) -> bool {
    places(from).zip(places(to)).is_some_and(|(from, to)| from > to)
}

/// How many places after the point a decimal has; `None`: another type.
const fn places(of: &DataType) -> Option<i8> {
    match of {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Float32, Float64,
        Int8, Int16, Int32, Int64, LargeUtf8, UInt8, UInt32, UInt64, Utf8, Utf8View,
    };
    use arrow::datatypes::TimeUnit::{self, Microsecond, Millisecond, Nanosecond, Second};

    fn wall_clock(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, None)
    }

    fn instant(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, Some("UTC".into()))
    }

    #[test]
    fn what_keeps_more_keeps_less() {
        let moments =
            [Second, Millisecond, Microsecond, Nanosecond].into_iter().flat_map(|u| [wall_clock(u), instant(u)]);
        let numbers = [Int8, Int16, Int32, Int64, UInt8, UInt32, UInt64, Float32, Float64];
        let decimals = [Decimal128(5, 0), Decimal128(10, 2), Decimal128(38, 4), Decimal256(60, 4)];
        let others = [Boolean, Date32, Date64, Utf8, LargeUtf8, Utf8View, Binary, BinaryView];
        let types: Vec<DataType> = moments.chain(numbers).chain(decimals).chain(others).collect();
        for from in &types {
            for to in &types {
                assert!(!is_lossless(from, to) || widens(from, to), "{from} to {to} is lossless");
                assert!(!widens(from, to) || keeps_apart(from, to), "{from} to {to} widens");
                assert!(!keeps_apart(from, to) || !drops_places(from, to), "{from} to {to} keeps apart");
            }
        }
    }

    #[test]
    fn a_wider_type_has_each_value_of_a_narrower_one() {
        let wider = [
            (Int32, Decimal128(10, 0)),
            (Decimal128(10, 2), Decimal256(50, 4)),
            (Int32, Float64),
            (Date32, wall_clock(Microsecond)),
            (wall_clock(Second), wall_clock(Nanosecond)),
            (instant(Millisecond), instant(Microsecond)),
        ];
        for (from, to) in wider {
            assert!(widens(&from, &to), "{from} to {to}");
            assert!(!widens(&to, &from), "{to} to {from}");
        }
        let neither = [
            (Int32, Decimal128(10, 1)),
            // Whole hundreds alone.
            (Int16, Decimal128(10, -2)),
            (Int64, Float64),
            (Date32, instant(Microsecond)),
            (wall_clock(Microsecond), instant(Nanosecond)),
        ];
        for (from, to) in neither {
            assert!(!widens(&from, &to), "{from} to {to}");
        }
    }

    #[test]
    fn several_values_stay_several_or_are_refused() {
        let apart = [
            (Int64, Int16),
            (Int64, Decimal128(10, 0)),
            (Int64, Utf8),
            (UInt32, Float64),
            (Boolean, Utf8View),
            (Decimal128(10, 2), Decimal128(5, 2)),
            (Date32, Date64),
        ];
        for (from, to) in apart {
            assert!(keeps_apart(&from, &to), "{from} to {to}");
        }
        let one = [
            (Int64, Float64),
            (Int32, Float32),
            (Int64, Decimal128(10, -1)),
            (Int64, Boolean),
            (Float64, Float32),
            (Float64, Utf8),
            (Decimal128(10, 2), Decimal128(10, 1)),
            (Decimal128(10, 2), Int64),
            (wall_clock(Microsecond), Date32),
            (wall_clock(Microsecond), wall_clock(Second)),
            (Date64, Date32),
            // Two days may begin at one instant where a zone left a day out.
            (Date32, instant(Microsecond)),
            (Utf8, Int64),
        ];
        for (from, to) in one {
            assert!(!keeps_apart(&from, &to), "{from} to {to}");
        }
    }

    #[test]
    fn decimals_lose_places_and_not_digits_before_the_point() {
        let dropping = [
            (Decimal128(10, 2), Decimal128(3, 1)),
            (Decimal128(10, 2), Decimal128(38, 0)),
            (Decimal128(10, 0), Decimal128(10, -2)),
            (Decimal256(50, 20), Decimal128(38, 10)),
            (Decimal32(5, 2), Decimal256(60, 1)),
            (Decimal64(12, 3), Decimal32(5, 2)),
        ];
        for (from, to) in dropping {
            assert!(drops_places(&from, &to), "{from} to {to}");
        }
        let keeping = [
            (Decimal128(10, 2), Decimal128(10, 2)),
            // What has too many digits before the point fails, and is not rounded.
            (Decimal128(10, 2), Decimal128(3, 2)),
            (Decimal128(10, 2), Decimal256(50, 10)),
            (Decimal128(10, -2), Decimal128(12, 0)),
            // Other casts are not of places.
            (Decimal128(10, 2), Int64),
            (Decimal128(10, 2), Float64),
            (Int64, Decimal128(10, 0)),
            (Utf8, Decimal128(10, 2)),
            (Int64, Int32),
        ];
        for (from, to) in keeping {
            assert!(!drops_places(&from, &to), "{from} to {to}");
        }
    }

    #[test]
    fn integers_widen_and_texts_become_views() {
        assert_eq!(wider(&Int64, &Int16), Some(&Int64));
        assert_eq!(wider(&Utf8, &Utf8View), Some(&Utf8View));
        assert_eq!(wider(&Utf8, &Utf8), Some(&Utf8));
        for (from, to) in [(Int64, Int32), (Utf8View, Utf8), (Int64, Float64), (Int32, Float64), (Int32, Utf8)] {
            assert!(!is_lossless(&from, &to), "{from} to {to}");
        }
        assert_eq!(wider(&Int64, &Float64), None);
    }
}
