//! NULL in place of values that no type of ours holds, said in the server's words.

use querygate_driver_api::value::{ItemType, ValueType};

/// The first day whose microseconds since 1970 no longer fit 64 bits, or nearly so.
const LAST_YEAR: &str = "'294246-01-01'";

/// A column of this type, with NULL where reading it would fail.
pub(crate) fn as_null(qualified: &str, value_type: ValueType) -> String {
    let is_readable = match value_type {
        ValueType::Date => format!("isfinite({qualified})"),
        ValueType::Timestamp { .. } => format!("isfinite({qualified}) AND {qualified} < {LAST_YEAR}"),
        ValueType::Time => format!("{qualified} < '24:00'"),
        // NaN is greater than every number.
        ValueType::Decimal128 { precision, scale } => {
            let whole = "9".repeat(usize::try_from(i16::from(precision) - i16::from(scale)).unwrap_or(0).max(1));
            format!("abs({qualified}) < {whole}::numeric + 1 AND round({qualified}, {scale}) = {qualified}")
        }
        ValueType::TextList => is_list(qualified),
        ValueType::List(item) => {
            let absent = |text: &str| format!(" AND array_position({qualified}, {text}) IS NULL");
            let unreadable: &[&str] = match item {
                ItemType::Date | ItemType::Timestamp { .. } => &["'infinity'", "'-infinity'"],
                ItemType::Time => &["'24:00'"],
                ItemType::Decimal128 { .. } => &["'NaN'", "'Infinity'", "'-Infinity'"],
                ItemType::Boolean
                | ItemType::Int16
                | ItemType::Int32
                | ItemType::Int64
                | ItemType::Float32
                | ItemType::Float64
                | ItemType::Binary => &[],
            };
            is_list(qualified) + &unreadable.iter().map(|text| absent(text)).collect::<String>()
        }
        ValueType::Boolean
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Text
        | ValueType::Binary => return qualified.to_owned(),
    };
    format!("CASE WHEN {is_readable} THEN {qualified} END")
}

/// One dimension, whose first index is 1; an empty array has none.
fn is_list(qualified: &str) -> String {
    format!("coalesce(array_ndims({qualified}), 1) = 1 AND coalesce(array_lower({qualified}, 1), 1) = 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_by_their_digits() {
        let text = as_null("t.n", ValueType::Decimal128 { precision: 5, scale: 2 });
        assert_eq!(text, "CASE WHEN abs(t.n) < 999::numeric + 1 AND round(t.n, 2) = t.n THEN t.n END");
        assert_eq!(as_null("t.n", ValueType::Int32), "t.n");
    }
}
