//! Texts without a type among the items of an array. PostgreSQL reads them as the type of the others; the engine finds none at which such
//! types and texts meet, or leaves them as they are written. Knows types, no rows.

use super::literals::{field_of, read_when_bound};
use super::types;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Cast, Expr};
use querygate_pg_catalog::common_type;
use querygate_query_api::column::pg_type_of;
use std::sync::Arc;

/// The items of an array, the texts among them as what the others are where binding reads them so.
pub(super) fn read(items: Vec<Expr>, schema: &DFSchema) -> Vec<Expr> {
    if !items.iter().any(waits) {
        return items;
    }
    let Some(field) = met(&items, schema) else { return items };
    let read = |item: Expr| {
        if waits(&item) { Expr::Cast(Cast { expr: Box::new(item), field: Arc::clone(&field) }) } else { item }
    };
    items.into_iter().map(read).collect()
}

fn waits(item: &Expr) -> bool {
    matches!(item, Expr::Literal(ScalarValue::Utf8(Some(_)), None))
}

/// The type at which items meet that have one, if its texts are read when they are bound. What holds arrays is refused by the engine.
fn met(items: &[Expr], schema: &DFSchema) -> Option<FieldRef> {
    let fields = items.iter().filter(|item| !waits(item)).filter_map(|item| field_of(item, schema));
    let types = fields.filter(|field| field.data_type() != &DataType::Null).map(|field| pg_type_of(&field));
    let field = types::field_of(common_type(types)?)?;
    let is_read = *field.data_type() == DataType::Boolean || read_when_bound(&field);
    (is_read && !field.data_type().is_list()).then_some(field)
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;
    use querygate_types::PgType;

    #[test]
    fn texts_in_arrays_are_read_as_the_other_items() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            ("SELECT ARRAY[date '2024-02-02', '2024-01-01']", PgType::DateArray),
            ("SELECT ARRAY['2024-01-01', NULL, timestamptz '2024-02-02 00:00+00']", PgType::TimestamptzArray),
            ("SELECT ARRAY[date '2024-02-02', timestamp '2024-02-02 10:00', '2024-01-01']", PgType::TimestampArray),
            ("SELECT ARRAY[interval '1 day', '2 days']", PgType::IntervalArray),
            ("SELECT ARRAY[true, 'f']", PgType::BoolArray),
            ("SELECT ARRAY['a', 'b'::text]", PgType::TextArray),
        ] {
            let bound = reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(bound.columns()[0].pg_type, expected, "{sql}");
        }
        assert!(reader.bind("SELECT ARRAY[date '2024-02-02', 'x']").is_err());
        assert!(reader.bind("SELECT ARRAY[date '2024-02-02', '2024-01-01'::text]").is_err());
    }
}
