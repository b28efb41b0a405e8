//! Numbers in the types of the columns that they are compared with. No digit is lost: a number that a column does not hold lies between two
//! that it holds, or beyond all of them, and the comparison becomes one with these neighbours.

use super::Column;
use crate::filter::{CompareOp, FilterValue, Operand, RowFilter, Test};
use crate::value::{ColumnKind, Scalar, coerce};
use querygate_metadata::model::ValueType;
use std::ops::RangeInclusive;

/// Where a number stands among the values of a column.
#[derive(Debug, PartialEq)]
enum NumberPosition {
    /// It is one of them.
    Among(FilterValue),
    /// It is greater than this one, and less than the next.
    Behind(FilterValue),
    BelowAll,
    AboveAll,
}

/// A test of a column with its numbers in the column's type. What no value equals is no member of a list.
pub(super) fn fitted(filter: RowFilter, column: Column) -> RowFilter {
    let Some(own) = column.number_type() else { return filter };
    match filter {
        RowFilter::Test(Test::Compare { column, op, value }) => compared(column, op, value, own),
        RowFilter::Test(Test::In { column, values, negated }) => {
            let values = values.into_iter().filter_map(|value| member(value, own)).collect();
            RowFilter::Test(Test::In { column, values, negated })
        }
        RowFilter::All
        | RowFilter::Nothing
        | RowFilter::And(_)
        | RowFilter::Or(_)
        | RowFilter::Not(_)
        | RowFilter::Test(_) => filter,
    }
}

fn compared(column: String, op: CompareOp, value: Operand, own: ValueType) -> RowFilter {
    use CompareOp as Op;
    let Some(position) = position(value.value(), own) else {
        return RowFilter::Test(Test::Compare { column, op, value });
    };
    let test = |column, op, number| RowFilter::Test(Test::Compare { column, op, value: with(value, number) });
    match (position, op) {
        (NumberPosition::Among(number), _) => test(column, op, number),
        (_, Op::Eq) => RowFilter::Nothing,
        (_, Op::Ne) => RowFilter::All,
        (NumberPosition::Behind(number), Op::Lt | Op::Le) => test(column, Op::Le, number),
        (NumberPosition::Behind(number), Op::Gt | Op::Ge) => test(column, Op::Gt, number),
        (NumberPosition::AboveAll, Op::Lt | Op::Le) | (NumberPosition::BelowAll, Op::Gt | Op::Ge) => {
            RowFilter::Test(Test::IsNull { column, negated: true })
        }
        (NumberPosition::AboveAll, Op::Gt | Op::Ge) | (NumberPosition::BelowAll, Op::Lt | Op::Le) => RowFilter::Nothing,
    }
}

fn member(value: Operand, own: ValueType) -> Option<Operand> {
    match position(value.value(), own) {
        None => Some(value),
        Some(NumberPosition::Among(number)) => Some(with(value, number)),
        Some(NumberPosition::Behind(_) | NumberPosition::BelowAll | NumberPosition::AboveAll) => None,
    }
}

fn with(operand: Operand, value: FilterValue) -> Operand {
    match operand {
        Operand::Literal(_) => Operand::Literal(value),
        Operand::Principal { key, value: _ } => Operand::Principal { key, value },
    }
}

/// `None`: it is no number, or is compared as a double is.
fn position(value: &FilterValue, own: ValueType) -> Option<NumberPosition> {
    let text = match value {
        FilterValue::Integer(whole) => whole.to_string(),
        FilterValue::Decimal(text) => text.clone(),
        FilterValue::Text(_)
        | FilterValue::Boolean(_)
        | FilterValue::Date(_)
        | FilterValue::Timestamp(_)
        | FilterValue::Time(_) => return None,
    };
    if own == ValueType::Float32 {
        // Of a single, too, the nearest one is meant.
        let single = text.parse::<f32>().ok().filter(|single| single.is_finite())?;
        return coerce(&Scalar::Text(f64::from(single).to_string()), ColumnKind::Number).map(NumberPosition::Among);
    }
    let (range, places) = counted(own)?;
    let (floor, is_exact) = floor(&text, places);
    Some(match number(floor, places) {
        _ if floor < *range.start() => NumberPosition::BelowAll,
        _ if floor > *range.end() => NumberPosition::AboveAll,
        number if is_exact => NumberPosition::Among(number),
        number => NumberPosition::Behind(number),
    })
}

/// What a column holds, counted in its last place, and its places; `None`: it is none of whole numbers or decimals.
fn counted(own: ValueType) -> Option<(RangeInclusive<i128>, usize)> {
    match own {
        ValueType::Int16 => Some((i128::from(i16::MIN)..=i128::from(i16::MAX), 0)),
        ValueType::Int32 => Some((i128::from(i32::MIN)..=i128::from(i32::MAX), 0)),
        ValueType::Int64 => Some((i128::from(i64::MIN)..=i128::from(i64::MAX), 0)),
        ValueType::Decimal { precision, scale } => {
            let most = 10_i128.checked_pow(u32::from(precision))? - 1;
            Some((-most..=most, usize::try_from(scale).ok()?))
        }
        ValueType::Text
        | ValueType::Uuid
        | ValueType::Coded(_)
        | ValueType::Network { .. }
        | ValueType::TextList
        | ValueType::List(_)
        | ValueType::Float64
        | ValueType::Float32
        | ValueType::Numeric { .. }
        | ValueType::Boolean
        | ValueType::Date
        | ValueType::TimestampMillisUtc
        | ValueType::Timestamp { .. }
        | ValueType::Time
        | ValueType::TimeTz
        | ValueType::Interval
        | ValueType::Binary
        | ValueType::JsonText
        | ValueType::Json
        | ValueType::Float32Vector(_) => None,
    }
}

/// The greatest number with these decimal places that is at most the decimal, in units of its last place, and whether both are equal. For a
/// decimal beyond every column the result is beyond every column, too.
fn floor(text: &str, places: usize) -> (i128, bool) {
    let (is_negative, size) = text.strip_prefix('-').map_or((false, text), |size| (true, size));
    let (whole, fraction) = size.split_once('.').unwrap_or((size, ""));
    let fraction = fraction.trim_end_matches('0');
    let (kept, cut) = fraction.split_at_checked(places).unwrap_or((fraction, ""));
    let counted = format!("{whole}{kept:0<places$}").parse::<i128>().unwrap_or(i128::MAX);
    let is_exact = cut.is_empty() && counted < i128::MAX;
    match (is_negative, is_exact) {
        (false, _) => (counted, is_exact),
        (true, true) => (-counted, true),
        (true, false) => ((-counted).saturating_sub(1), false),
    }
}

/// A number that is counted in the last of its places, without zeros that say nothing.
fn number(counted: i128, places: usize) -> FilterValue {
    let sign = if counted < 0 { "-" } else { "" };
    let digits = format!("{:0>1$}", counted.unsigned_abs(), places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        return FilterValue::Decimal(format!("{sign}{whole}.{fraction}"));
    }
    let whole = format!("{sign}{whole}");
    whole.parse().map_or_else(|_| FilterValue::Decimal(whole.clone()), FilterValue::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};

    const MONEY: ValueType = ValueType::Decimal { precision: 18, scale: 2 };

    fn value(text: &str) -> FilterValue {
        text.parse().map_or_else(|_| FilterValue::Decimal(text.to_owned()), FilterValue::Integer)
    }

    fn test(op: CompareOp, text: &str) -> RowFilter {
        RowFilter::Test(Test::Compare { column: "n".to_owned(), op, value: Operand::Literal(value(text)) })
    }

    #[test]
    fn numbers_stand_among_the_values_of_their_column() {
        let among = |text: &str| Some(NumberPosition::Among(value(text)));
        let behind = |text: &str| Some(NumberPosition::Behind(value(text)));
        for (text, own, expected) in [
            ("1234567890123456.78", MONEY, among("1234567890123456.78")),
            ("-5.00", MONEY, among("-5")),
            ("0.050", MONEY, among("0.05")),
            ("1.005", MONEY, behind("1")),
            ("-1.005", MONEY, behind("-1.01")),
            ("-0.001", MONEY, behind("-0.01")),
            ("9999999999999999.99", MONEY, among("9999999999999999.99")),
            ("9999999999999999.991", MONEY, behind("9999999999999999.99")),
            ("10000000000000000", MONEY, Some(NumberPosition::AboveAll)),
            ("-9999999999999999.991", MONEY, Some(NumberPosition::BelowAll)),
            ("9007199254740993", ValueType::Int64, among("9007199254740993")),
            ("9223372036854775808", ValueType::Int64, Some(NumberPosition::AboveAll)),
            ("-9223372036854775808.5", ValueType::Int64, Some(NumberPosition::BelowAll)),
            ("40000", ValueType::Int16, Some(NumberPosition::AboveAll)),
            ("1.5", ValueType::Int32, behind("1")),
            ("-1.5", ValueType::Int32, behind("-2")),
            ("0.1", ValueType::Float32, among("0.10000000149011612")),
            ("0.1", ValueType::Float64, None),
        ] {
            assert_eq!(position(&value(text), own), expected, "{text} of {own:?}");
        }
        let long = "9".repeat(60);
        assert_eq!(position(&value(&long), MONEY), Some(NumberPosition::AboveAll));
        assert_eq!(position(&value(&format!("-{long}")), MONEY), Some(NumberPosition::BelowAll));
        assert_eq!(position(&FilterValue::Text("1".to_owned()), MONEY), None);
        let wide = ValueType::Decimal { precision: 38, scale: 0 };
        assert_eq!(position(&value("18446744073709551615"), wide), among("18446744073709551615"));
    }

    #[test]
    fn what_is_compared_with_a_number_between_two_means_these() {
        let has_value = RowFilter::Test(Test::IsNull { column: "n".to_owned(), negated: true });
        for (op, text, expected) in [
            (Eq, "1.5", RowFilter::Nothing),
            (Ne, "1.5", RowFilter::All),
            (Lt, "1.5", test(Le, "1")),
            (Le, "1.5", test(Le, "1")),
            (Gt, "1.5", test(Gt, "1")),
            (Ge, "-1.5", test(Gt, "-2")),
            (Lt, "40000", has_value.clone()),
            (Ge, "-40000", has_value),
            (Gt, "40000", RowFilter::Nothing),
            (Le, "-40000", RowFilter::Nothing),
            (Eq, "40000", RowFilter::Nothing),
            (Lt, "7", test(Lt, "7")),
        ] {
            let column = Column {
                field_type: querygate_metadata::model::FieldType::Number,
                multiple: false,
                formula_return: None,
                column_type: Some(ValueType::Int16),
            };
            assert_eq!(fitted(test(op, text), column), expected, "{op:?} {text}");
        }
    }
}
