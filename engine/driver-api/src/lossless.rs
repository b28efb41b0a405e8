//! What a cast keeps of values: casts that change how a value is laid out and nothing else, before and after which equality is one; and
//! casts that make one value of several. Knows types only.

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
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256, Float64, Int16, Int32, Int64, Utf8, Utf8View};

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
