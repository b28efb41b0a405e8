//! Whether a literal is one of its field's type. Compared with any other, a field would equal nothing and differ from everything.

use super::Column;
use crate::value::{ColumnKind, Scalar, coerce, is_json_number, is_moment};
use querygate_metadata::model::{FieldType, Protocol, StrictRule};

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

/// Whether values of the field are numbers to those who ask.
pub(crate) const fn holds_number(field_type: FieldType) -> bool {
    use FieldType as F;
    matches!(field_type, F::Number | F::Currency | F::Percent | F::Rating | F::Slider | F::Progress | F::Summary)
}
