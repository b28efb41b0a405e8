//! What is exact at every SQL source alike, of types and of aggregates over them. Knows no dialect.

use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::value::ValueType;

/// Types whose comparison in the source is the value's. `lists`: why its lists are not.
///
/// # Errors
/// Lists.
pub fn comparable(value_type: ValueType, lists: &str) -> Result<(), Refusal> {
    match value_type {
        ValueType::Boolean
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal128 { .. }
        | ValueType::Text
        | ValueType::Binary
        | ValueType::Date
        | ValueType::Time
        | ValueType::Timestamp { .. } => Ok(()),
        ValueType::TextList | ValueType::List(_) => refuse(RefusalReason::Type, lists),
    }
}

/// Whether a sum of values of a type has this type: integers give a bigint, decimals keep their scale.
#[must_use]
pub fn is_sum(of: ValueType, result: ValueType) -> bool {
    match (of, result) {
        (ValueType::Decimal128 { scale: from, .. }, ValueType::Decimal128 { scale: to, .. }) => from == to,
        (from, ValueType::Int64) => from.is_integer(),
        (ValueType::Float64, ValueType::Float64) => true,
        _ => false,
    }
}

/// Refuses a function or an aggregate over a type unless it fits.
///
/// # Errors
/// It does not fit.
pub fn exact_if(fits: bool, function: &str, of: ValueType) -> Result<(), Refusal> {
    if fits {
        return Ok(());
    }
    refuse(RefusalReason::Type, format!("{function} of {} is not exact in the source", of.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_their_scale_and_lists_are_not_compared() {
        let decimal = |precision, scale| ValueType::Decimal128 { precision, scale };
        assert!(is_sum(ValueType::Int16, ValueType::Int64) && is_sum(decimal(10, 2), decimal(38, 2)));
        assert!(!is_sum(ValueType::Float64, ValueType::Int64) && !is_sum(decimal(10, 2), decimal(38, 3)));
        assert!(comparable(ValueType::Text, "no lists").is_ok());
        assert_eq!(comparable(ValueType::TextList, "no lists").unwrap_err().text, "no lists");
        let refused = exact_if(false, "avg", ValueType::Int16).unwrap_err();
        assert_eq!(refused.text, "avg of smallint is not exact in the source");
    }
}
