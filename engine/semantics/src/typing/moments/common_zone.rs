//! Dates and time stamps without a zone beside some with one, which an expression compares with them or gives one of: they are moments of
//! the session's zone. The engine's own cast to their common type knows no session: where a constant is computed before the analyzer puts
//! ours in its place, as for a source, it would be a moment of UTC.

use crate::casts::conversions::{constant, conversion};
use crate::times::zone::Zone;
use crate::typing::binding::settle_cast;
use crate::typing::comparable::is_comparison;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Case, Cast, Expr, ExprSchemable};
use std::sync::Arc;

/// Functions that give one of their arguments, or hold all of them in one type.
const OF_ONE_TYPE: &[&str] = &["coalesce", "greatest", "least", "make_array"];

/// An expression whose sides meet. Its children are settled.
pub(in crate::typing) fn settled(mut expr: Expr, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    let changed = match &mut expr {
        // Chains of AND and OR are long: only what compares is asked for the types of its sides.
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            compared(vec![left.as_mut(), right.as_mut()], schema, zone)?
        }
        Expr::Between(between) => {
            compared(vec![between.expr.as_mut(), between.low.as_mut(), between.high.as_mut()], schema, zone)?
        }
        Expr::InList(list) => {
            compared(std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect(), schema, zone)?
        }
        Expr::Case(case) => branches(case, schema, zone)?,
        Expr::ScalarFunction(call) => called(call, schema, zone)?,
        _ => false,
    };
    Ok(Transformed::new_transformed(expr, changed))
}

/// A CASE whose results meet, and whose operand meets what it is compared with.
fn branches(case: &mut Case, schema: &DFSchema, zone: Zone) -> Result<bool> {
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr);
    let mut changed = given(results.map(AsMut::as_mut).collect(), schema, zone)?;
    if let Some(operand) = &mut case.expr {
        let sides = std::iter::once(operand).chain(case.when_then_expr.iter_mut().map(|(when, _)| when));
        changed |= compared(sides.map(AsMut::as_mut).collect(), schema, zone)?;
    }
    Ok(changed)
}

fn called(call: &mut ScalarFunction, schema: &DFSchema, zone: Zone) -> Result<bool> {
    if OF_ONE_TYPE.contains(&call.name()) {
        return given(call.args.iter_mut().collect(), schema, zone);
    }
    // NULLIF gives its first argument as it is. Other calls are not asked for the types of their arguments, which may be long chains.
    if call.name() == "nullif" {
        let of_first = call.args.first().and_then(|value| value.get_type(schema).ok());
        let is_moment = of_first.as_ref().is_some_and(is_zoned);
        return if is_moment { compared(call.args.iter_mut().collect(), schema, zone) } else { Ok(false) };
    }
    let is_quantified = matches!(call.name(), "compare_any" | "compare_all");
    match call.args.as_mut_slice() {
        [_, value, array] if is_quantified => with_items(value, array, schema, zone),
        _ => Ok(false),
    }
}

/// Casts what has no zone, where another side has one. Whether any was cast.
fn given(sides: Vec<&mut Expr>, schema: &DFSchema, zone: Zone) -> Result<bool> {
    met(sides, |_| true, schema, zone)
}

/// As [`given`], of constants alone: no source is given the cast of a column, which the analyzer makes one by the session's zone.
fn compared(sides: Vec<&mut Expr>, schema: &DFSchema, zone: Zone) -> Result<bool> {
    met(sides, |side| !side.any_column_refs(), schema, zone)
}

fn met(sides: Vec<&mut Expr>, is_cast: fn(&Expr) -> bool, schema: &DFSchema, zone: Zone) -> Result<bool> {
    let types: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let Some(moment) = types.iter().flatten().find(|of| is_zoned(of)) else { return Ok(false) };
    let to = Arc::new(Field::new("", moment.clone(), true));
    let mut changed = false;
    for (side, of) in sides.into_iter().zip(&types) {
        if of.as_ref().is_some_and(is_local) && is_cast(side) {
            cast(side, &to, schema, zone)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// A value and the array with whose items it is compared, by a function that takes items as they are stored.
fn with_items(value: &mut Expr, array: &mut Expr, schema: &DFSchema, zone: Zone) -> Result<bool> {
    let (Ok(own), Ok((_, list))) = (value.get_type(schema), array.to_field(schema)) else { return Ok(false) };
    if !matches!(list.data_type(), DataType::List(_)) {
        return Ok(false);
    }
    let item = item_of(list.data_type());
    if is_local(&own) && is_zoned(item) {
        cast(value, &Arc::new(Field::new("", item.clone(), true)), schema, zone)?;
        return Ok(true);
    }
    if !(is_zoned(&own) && is_local(item)) {
        return Ok(false);
    }
    let to = Arc::new(Field::new("", list_of(list.data_type(), &own), true));
    let Some(function) = conversion(&list, &to, zone) else { return Ok(false) };
    *array = match std::mem::take(array) {
        Expr::Literal(items, _) => Expr::Literal(constant(&items, &list, &to, zone)?, None),
        computed => function.call(vec![computed]),
    };
    Ok(true)
}

fn cast(side: &mut Expr, to: &FieldRef, schema: &DFSchema, zone: Zone) -> Result<()> {
    let cast = Cast { expr: Box::new(std::mem::take(side)), field: Arc::clone(to) };
    *side = settle_cast(cast, schema, zone)?.data;
    Ok(())
}

/// What an array holds, in however many dimensions.
fn item_of(array: &DataType) -> &DataType {
    match array {
        DataType::List(item) => item_of(item.data_type()),
        item => item,
    }
}

/// An array's type with other items.
fn list_of(array: &DataType, item: &DataType) -> DataType {
    match array {
        DataType::List(inner) => {
            DataType::List(Arc::new(Field::new(inner.name(), list_of(inner.data_type(), item), true)))
        }
        _ => item.clone(),
    }
}

const fn is_zoned(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(_, Some(_)))
}

const fn is_local(of: &DataType) -> bool {
    matches!(of, DataType::Date32 | DataType::Timestamp(_, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Array;
    use arrow::datatypes::TimeUnit;
    use datafusion::common::ScalarValue;
    use datafusion::functions::core as choosing;
    use datafusion::functions_nested::expr_fn::make_array;
    use datafusion::logical_expr::{case, col, lit, when};
    use std::collections::HashMap;

    /// 2024-03-31 00:00 in New York.
    const MIDNIGHT: &str = r#"TimestampMicrosecond(1711857600000000, Some("UTC"))"#;

    fn moments() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }

    fn schema() -> DFSchema {
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        let fields = [("tz", moments()), ("ts", local), ("d", DataType::Date32)];
        let fields: Vec<Field> = fields.map(|(name, of)| Field::new(name, of, true)).into();
        DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).unwrap()
    }

    fn date() -> Expr {
        lit(ScalarValue::Date32(Some(19_813)))
    }

    fn stamp() -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(1_711_843_200_000_000), None))
    }

    /// Twice is as once.
    fn in_new_york(expr: Expr) -> Expr {
        let zone = Zone::parse("America/New_York").unwrap();
        let once = settled(expr, &schema(), zone).unwrap().data;
        assert!(!settled(once.clone(), &schema(), zone).unwrap().transformed, "{once}");
        once
    }

    fn call(function: Arc<datafusion::logical_expr::ScalarUDF>, args: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
    }

    #[test]
    fn constants_beside_moments_are_moments_of_the_session() {
        for (expr, expected) in [
            (col("tz").gt(date()), format!("tz > {MIDNIGHT}")),
            (stamp().eq(col("tz")), format!("{MIDNIGHT} = tz")),
            (col("tz").between(date(), stamp()), format!("tz BETWEEN {MIDNIGHT} AND {MIDNIGHT}")),
            (col("tz").in_list(vec![date(), col("d")], false), format!("tz IN ([{MIDNIGHT}, d])")),
            (case(col("tz")).when(date(), lit(1)).end().unwrap(), format!("CASE tz WHEN {MIDNIGHT} THEN Int32(1) END")),
            (call(choosing::nullif(), vec![col("tz"), date()]), format!("nullif(tz, {MIDNIGHT})")),
            (call(choosing::coalesce(), vec![col("tz"), date()]), format!("coalesce(tz, {MIDNIGHT})")),
            (call(choosing::greatest(), vec![col("d"), col("tz")]), "greatest(convert(d), tz)".to_owned()),
        ] {
            assert_eq!(in_new_york(expr).to_string(), expected);
        }
        let computed = call(choosing::coalesce(), vec![date(), date()]);
        let side = format!("tz = convert({computed})");
        assert_eq!(in_new_york(col("tz").eq(computed)).to_string(), side);
    }

    #[test]
    fn columns_and_what_has_one_kind_stay() {
        let searched = when(col("tz").is_null(), date()).end().unwrap();
        for expr in [
            col("tz").gt(col("d")),
            col("ts").lt_eq(date()),
            col("d").in_list(vec![stamp(), date()], true),
            col("tz").eq(col("tz")),
            call(choosing::nullif(), vec![date(), col("tz")]),
            searched,
        ] {
            assert_eq!(in_new_york(expr.clone()), expr);
        }
    }

    #[test]
    fn items_of_arrays_meet_the_value() {
        let dates = ScalarValue::List(ScalarValue::new_list_nullable(
            &[ScalarValue::Date32(Some(19_813)), ScalarValue::Date32(None)],
            &DataType::Date32,
        ));
        let compared = |value: Expr, array: Expr| {
            let any = crate::functions::in_zone("compare_any", Zone::UTC).unwrap();
            let Expr::ScalarFunction(call) = in_new_york(any.call(vec![lit("="), value, array])) else { panic!() };
            call.args
        };
        let args = compared(col("tz"), lit(dates));
        let Expr::Literal(ScalarValue::List(list), _) = &args[2] else { panic!("{}", args[2]) };
        let items = list.value(0);
        assert_eq!(items.data_type(), &moments());
        let first = ScalarValue::try_from_array(&items, 0).unwrap();
        assert_eq!(first, ScalarValue::TimestampMicrosecond(Some(1_711_857_600_000_000), Some("UTC".into())));
        assert!(items.is_null(1));

        let args = compared(col("tz"), make_array(vec![col("d"), date()]));
        assert_eq!(item_of(&args[2].get_type(&schema()).unwrap()), &moments());
        let args = compared(date(), make_array(vec![col("tz")]));
        assert_eq!(args[1].to_string(), MIDNIGHT);
    }
}
