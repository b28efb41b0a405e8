//! Whether a literal is one of its field's type. Compared with any other, a field would equal nothing and differ from everything.

use super::Column;
use crate::value::{ColumnKind, Scalar, coerce, is_json_number, is_moment};
use querygate_metadata::model::{FieldType, Protocol, StrictRule, ValueType};
use querygate_types::json::read::double;
use serde_json::Value;

/// What the literal is not; `None` where it fits.
pub(super) fn unfit(scalar: &Scalar, column: Column, protocol: Protocol) -> Option<&'static str> {
    let kind = column.kind();
    let (rule, what) = match kind {
        ColumnKind::Date => (None, "a date value: write a \"YYYY-MM-DD\" calendar day, or a relative-date placeholder"),
        // References and codes that are stored as numbers are texts to those who ask.
        ColumnKind::Number if holds_number(column.field_type) => {
            (Some(StrictRule::NumberComparand), "a number: write it as JSON does")
        }
        ColumnKind::Boolean => (Some(StrictRule::BooleanComparand), "a truth value: write true or false"),
        ColumnKind::Timestamp => (
            Some(StrictRule::MomentComparand),
            "a datetime value: write an ISO 8601 moment with its zone, of a year from 1000 to 9999",
        ),
        ColumnKind::Time => (Some(StrictRule::MomentComparand), "a time value: write HH:MM or HH:MM:SS"),
        ColumnKind::Text
        | ColumnKind::Uuid
        | ColumnKind::Number
        | ColumnKind::List
        | ColumnKind::Json
        | ColumnKind::ReadFromText
        | ColumnKind::Computed => return None,
    };
    let applies = rule.is_none_or(|rule| protocol.has(rule));
    (applies && !fits(scalar, kind)).then_some(what)
}

fn fits(scalar: &Scalar, kind: ColumnKind) -> bool {
    match (kind, scalar) {
        (ColumnKind::Number, Scalar::Text(text)) => is_json_number(text),
        (ColumnKind::Timestamp, Scalar::Text(text)) => is_moment(text),
        // Numbers are no texts of a day, and find nothing.
        (ColumnKind::Date | ColumnKind::Timestamp | ColumnKind::Time, scalar) if !matches!(scalar, Scalar::Text(_)) => {
            true
        }
        _ => coerce(scalar, kind).is_some(),
    }
}

/// Whether a column of doubles has no value for a whole number, neither as it is nor as one is printed.
pub(super) fn is_beyond_doubles(value: &Value, column: Column) -> bool {
    let is_double = matches!(column.number_type(), Some(ValueType::Float32 | ValueType::Float64));
    let Value::Number(number) = value else { return false };
    if number.is_f64() || !is_double {
        return false;
    }
    let text = number.to_string();
    double(&text).is_none_or(|double| double.to_string() != text && format!("{double:.0}") != text)
}

/// Whether values of the field are numbers to those who ask.
pub(crate) const fn holds_number(field_type: FieldType) -> bool {
    use FieldType as F;
    matches!(field_type, F::Number | F::Currency | F::Percent | F::Rating | F::Slider | F::Progress | F::Summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn doubles_are_found_by_what_is_printed_of_them() {
        let column =
            |column_type| Column { field_type: FieldType::Number, multiple: false, formula_return: None, column_type };
        let doubles = [None, Some(ValueType::Float64)].map(column);
        let others = [ValueType::Int64, ValueType::Decimal { precision: 38, scale: 2 }].map(|own| column(Some(own)));
        // The last two are one double: as JavaScript prints it, and its own digits.
        let found =
            [9_007_199_254_740_992_u64, 9_007_199_254_740_994, 1_152_921_504_606_847_000, 1_152_921_504_606_846_976];
        for (number, is_beyond) in
            found.map(|number| (number, false)).into_iter().chain([(9_007_199_254_740_993, true)])
        {
            for column in doubles {
                assert_eq!(is_beyond_doubles(&json!(number), column), is_beyond, "{number}");
            }
            assert!(others.iter().all(|column| !is_beyond_doubles(&json!(number), *column)), "{number}");
        }
        assert!(doubles.iter().all(|column| !is_beyond_doubles(&json!(0.1), *column)));
    }
}
