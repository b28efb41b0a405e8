//! Casts that change how a value is laid out and nothing else: equality before such a cast is equality after it. Knows types only.

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

#[cfg(test)]
mod tests {
    use super::*;
    use DataType::{Float64, Int16, Int32, Int64, Utf8, Utf8View};

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
