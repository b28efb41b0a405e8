//! What is read of a value before it gets another zone: `value AT TIME ZONE zone` is `timezone(zone, value)`. Knows no row.

use crate::casts::conversions::is_text;
use crate::times::zone::Zone;
use crate::typing::binding::{settle_cast, statement_time};
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};
use querygate_query_api::values::timetz::TimeTz;
use std::sync::Arc;

/// Gives a call the value and the time that it needs. Whether it was changed.
pub(in crate::typing) fn prepared(call: &mut ScalarFunction, schema: &DFSchema, zone: Zone) -> Result<bool> {
    if call.name() != "timezone" {
        return Ok(false);
    }
    let [by, value] = call.args.as_slice() else { return Ok(false) };
    let Ok(of) = value.get_type(schema) else { return Ok(false) };
    let is_untyped = matches!(value, Expr::Literal(ScalarValue::Utf8(Some(_)), None));
    let to = match &of {
        // A time of day has the session's zone before it gets another one.
        DataType::Time64(_) => TimeTz::ARROW,
        // Of the types that have a zone or get one, PostgreSQL prefers moments: of the session's zone, which the engine's cast does not
        // know.
        DataType::Date32 => moments(),
        DataType::Utf8 if is_untyped => moments(),
        _ => {
            let dated = of == TimeTz::ARROW && by.get_type(schema).is_ok_and(|by| is_text(&by));
            if dated {
                call.args.push(statement_time());
            }
            return Ok(dated);
        }
    };
    if let Some(value) = call.args.get_mut(1) {
        let field = Arc::new(Field::new("", to, true));
        *value = settle_cast(Cast { expr: Box::new(std::mem::take(value)), field }, schema, zone)?.data;
    }
    Ok(true)
}

fn moments() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};
    use std::collections::HashMap;

    /// The arguments in New York, and whether they were changed.
    fn prepared_in_new_york(value: Expr) -> (Vec<Expr>, bool) {
        let fields = [("x", DataType::Utf8), ("t", DataType::Time64(TimeUnit::Microsecond)), ("tz", moments())];
        let fields: Vec<Field> = fields.map(|(name, of)| Field::new(name, of, true)).into();
        let schema = DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).unwrap();
        let function = crate::functions::in_zone("timezone", Zone::UTC).unwrap();
        let mut call = ScalarFunction::new_udf(function, vec![lit("Europe/Berlin"), value]);
        let changed = prepared(&mut call, &schema, Zone::parse("America/New_York").unwrap()).unwrap();
        (call.args, changed)
    }

    #[test]
    fn texts_in_quotes_and_dates_are_moments_of_the_session() {
        for (value, micros) in [
            (lit("2024-11-03 10:30:00"), 1_730_647_800_000_000_i64),
            (lit("2024-11-03 10:30:00+00"), 1_730_629_800_000_000),
            (lit(ScalarValue::Date32(Some(19_813))), 1_711_857_600_000_000),
        ] {
            let (args, changed) = prepared_in_new_york(value);
            let expected = ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
            assert!(changed && matches!(&args[1], Expr::Literal(found, _) if *found == expected), "{}", args[1]);
        }
    }

    #[test]
    fn other_values_stay() {
        for value in [col("x"), col("tz"), lit(ScalarValue::TimestampMicrosecond(Some(0), None))] {
            assert_eq!(prepared_in_new_york(value.clone()), (vec![lit("Europe/Berlin"), value], false));
        }
        let (args, changed) = prepared_in_new_york(col("t"));
        assert!(changed && args.len() == 2 && args[1] != col("t"), "{args:?}");
    }
}
