//! Whole numbers beside dates and intervals: PostgreSQL counts days in integers, and has no operator of a date and a bigint, nor of an
//! interval and a number to add. Knows
//! no row.

use crate::casts::conversions::named;
use crate::fault::external;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use querygate_query_api::column::pg_type_of;
use querygate_types::{Error, ErrorCode, PgType};

/// Operators within a side whose type is asked for: of each step of a long chain that would take time that grows with its square.
const WITHIN: usize = 3;

/// Refuses a whole number beside an interval, and one that is a bigint by what is written beside a date. One that the engine alone made a bigint, and one of a table, pass.
///
/// # Errors
/// 42883.
pub(in crate::typing) fn refuse_numbers(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<()> {
    if !matches!(op, Operator::Plus | Operator::Minus) || !is_short(left, WITHIN) || !is_short(right, WITHIN) {
        return Ok(());
    }
    let is_date = |side: &Expr| side.get_type(schema).is_ok_and(|of| of == DataType::Date32);
    if let (Some(left), Some(right)) = (interval_side(left, schema), interval_side(right, schema))
        && (left == PgType::Interval) != (right == PgType::Interval)
    {
        return refused(left, op, right);
    }
    let sides = if is_bigint(right, schema) && is_date(left) {
        [PgType::Date, PgType::Int8]
    } else if op == Operator::Plus && is_bigint(left, schema) && is_date(right) {
        [PgType::Int8, PgType::Date]
    } else {
        return Ok(());
    };
    let [left, right] = sides;
    refused(left, op, right)
}

fn refused(left: PgType, op: Operator, right: PgType) -> Result<()> {
    let [left, right] = [left, right].map(PgType::sql_name);
    let error = Error::new(ErrorCode::UndefinedFunction, format!("operator does not exist: {left} {op} {right}"));
    let hint = "No operator matches the given name and argument types. You might need to add explicit type casts.";
    Err(external(error.with_hint(hint)))
}

/// The type of a side that is an interval or a whole number: of the two there is neither sum nor difference.
fn interval_side(side: &Expr, schema: &DFSchema) -> Option<PgType> {
    if let Expr::Literal(ScalarValue::Int64(Some(value)), None) = side {
        return Some(if i32::try_from(*value).is_ok() { PgType::Int4 } else { PgType::Int8 });
    }
    let (_, field) = side.to_field(schema).ok()?;
    let counts =
        matches!(field.data_type(), DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Interval(_));
    counts.then(|| pg_type_of(&field))
}

fn is_bigint(side: &Expr, schema: &DFSchema) -> bool {
    let is_named = |field: &Field| {
        field.data_type() == &DataType::Int64 && named(field).is_some() && pg_type_of(field) == PgType::Int8
    };
    match side {
        // In rows of VALUES every whole number is one to the engine.
        Expr::Literal(ScalarValue::Int64(Some(value)), None) => i32::try_from(*value).is_err(),
        Expr::Negative(inner) => is_bigint(inner, schema),
        other => other.to_field(schema).is_ok_and(|(_, field)| is_named(&field)),
    }
}

/// Whether a side has no more than some operators within one another.
fn is_short(side: &Expr, within: usize) -> bool {
    match side {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => {
            within > 0 && is_short(left, within - 1) && is_short(right, within - 1)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{Cast, col, lit};
    use querygate_query_api::column::PG_TYPE_KEY;
    use std::sync::Arc;

    fn bigint(of: Expr) -> Expr {
        let name = [(PG_TYPE_KEY.to_owned(), "int8".to_owned())].into();
        let field = Field::new("", DataType::Int64, true).with_metadata(name);
        Expr::Cast(Cast { expr: Box::new(of), field: Arc::new(field) })
    }

    #[test]
    fn whole_numbers_are_no_intervals() {
        let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
        let fields = vec![Field::new("i", interval, true), Field::new("b", DataType::Int64, true)];
        let schema = DFSchema::from_unqualified_fields(fields.into(), std::collections::HashMap::new()).unwrap();
        for (left, right, text) in [
            (col("i"), lit(1), "interval + integer"),
            (lit(100_000_i64), col("i"), "integer + interval"),
            (col("b"), col("i"), "bigint + interval"),
        ] {
            let refused = refuse_numbers(&left, Operator::Plus, &right, &schema).unwrap_err();
            assert!(refused.to_string().contains(text), "{refused}");
        }
        assert!(refuse_numbers(&col("i"), Operator::Minus, &col("i"), &schema).is_ok());
        assert!(refuse_numbers(&col("b"), Operator::Plus, &lit(1), &schema).is_ok());
        assert!(refuse_numbers(&lit(5), Operator::Multiply, &col("i"), &schema).is_ok());
    }

    #[test]
    fn bigints_are_no_days() {
        let fields = vec![Field::new("d", DataType::Date32, true), Field::new("b", DataType::Int64, true)];
        let schema = DFSchema::from_unqualified_fields(fields.into(), std::collections::HashMap::new()).unwrap();
        let refused = |left: Expr, op, right: Expr| refuse_numbers(&left, op, &right, &schema).is_err();
        for days in [lit(3_000_000_000_i64), -lit(3_000_000_000_i64), bigint(lit(1)), bigint(lit(ScalarValue::Null))] {
            assert!(refused(col("d"), Operator::Plus, days.clone()), "{days}");
            assert!(refused(days.clone(), Operator::Plus, col("d")), "{days}");
            assert!(refused(col("d"), Operator::Minus, days.clone()), "{days}");
            assert!(!refused(days.clone(), Operator::Minus, col("d")), "{days}");
            assert!(!refused(col("b"), Operator::Plus, days), "a bigint");
        }
        for days in [lit(1), lit(1_i64), col("b")] {
            assert!(!refused(col("d"), Operator::Plus, days.clone()), "{days}");
        }
    }
}
