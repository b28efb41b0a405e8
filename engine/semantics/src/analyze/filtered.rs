//! Arguments of aggregates with FILTER. PostgreSQL computes them of the rows that the condition chooses, the engine of all rows:
//! `avg(n / a) FILTER (WHERE a <> 0)` would divide by zero. What may fail becomes a CASE of the condition. Knows no plan.

use crate::casts::conversions::{is_text, named};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{BinaryExpr, Case, Cast, Expr, ExprSchemable, Operator};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;

/// Functions that have a result for every value, or fail for such alone that hardly any table holds. Sources take some of them.
const TOTAL: &[&str] = &[
    "abs",
    "array_element",
    "btrim",
    "ceil",
    "character_length",
    "coalesce",
    "concat",
    "date_part",
    "date_trunc",
    "floor",
    "greatest",
    "interval_length",
    "json_follow",
    "json_follow_text",
    "json_get",
    "json_get_text",
    "jsonb_key",
    "least",
    "left",
    "lower",
    "ltrim",
    "make_array",
    "nullif",
    "numeric_key",
    "numeric_minus",
    "numeric_negated",
    "numeric_plus",
    "numeric_times",
    "octet_length",
    "replace",
    "right",
    "round",
    "rtrim",
    "starts_with",
    "strpos",
    "trunc",
    "upper",
];

/// Aggregates whose results are of one type, or of an array, whatever the names of their arguments' types.
const NAMELESS: &[&str] = &["array_agg", "count", "string_agg"];

/// Puts conditions around what an aggregate is given. Whether there is any.
pub(super) fn in_aggregate(call: &mut AggregateFunction, schema: &DFSchema) -> Result<bool> {
    let Some(condition) = call.params.filter.clone() else { return Ok(false) };
    let is_nameless = NAMELESS.contains(&call.func.name());
    let keys = call.params.order_by.iter_mut().map(|sort| &mut sort.expr);
    let mut changed = false;
    for value in call.params.args.iter_mut().chain(keys) {
        changed |= chosen(value, &condition, is_nameless, schema)?;
    }
    Ok(changed)
}

/// As [`in_aggregate`], of one over a frame; what sorts and divides its rows is of all of them.
pub(super) fn in_window(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let Some(condition) = window.params.filter.clone() else { return Ok(false) };
    let is_nameless = NAMELESS.contains(&window.fun.name());
    let mut changed = false;
    for value in &mut window.params.args {
        changed |= chosen(value, &condition, is_nameless, schema)?;
    }
    Ok(changed)
}

/// A value that may fail under a condition. `is_nameless`: the name of its type does not count.
fn chosen(value: &mut Expr, condition: &Expr, is_nameless: bool, schema: &DFSchema) -> Result<bool> {
    // Plans are analyzed more than once.
    let is_chosen = matches!(value, Expr::Case(Case { expr: None, when_then_expr, else_expr: None })
        if when_then_expr.iter().all(|(when, _)| when.as_ref() == condition));
    if is_chosen
        || condition.is_volatile()
        || has_subquery(condition)?
        || has_subquery(value)?
        || !may_fail(value, schema)?
    {
        return Ok(false);
    }
    let Ok((_, field)) = value.to_field(schema) else { return Ok(false) };
    let data_type = field.data_type();
    // The name of a type that the engine has as text is lost in a CASE.
    let is_plain = data_type.is_numeric()
        || data_type.is_temporal()
        || matches!(*data_type, DataType::Boolean | WIDE_NUMERIC)
        || is_text(data_type) && matches!(named(&field), None | Some("text"));
    if !is_plain && !is_nameless {
        return Ok(false);
    }
    let then = std::mem::take(value);
    let when_then_expr = vec![(Box::new(condition.clone()), Box::new(then))];
    *value = Expr::Case(Case { expr: None, when_then_expr, else_expr: None });
    Ok(true)
}

fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|part| {
        Ok(matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)))
    })
}

fn may_fail(value: &Expr, schema: &DFSchema) -> Result<bool> {
    value.exists(|part| {
        Ok(match part {
            Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Modulo, right, .. }) => {
                !matches!(right.as_ref(), Expr::Literal(..))
            }
            Expr::Cast(Cast { expr, field }) => {
                expr.get_type(schema).is_ok_and(|from| !holds(field.data_type(), &from))
            }
            Expr::ScalarFunction(call) => !TOTAL.contains(&call.name()),
            _ => false,
        })
    })
}

/// Whether a type holds all values of another one.
fn holds(to: &DataType, from: &DataType) -> bool {
    match (from, to) {
        (from, to) if from == to || is_text(to) || from.is_null() => true,
        (from, to) if from.is_integer() && to.is_integer() => from.primitive_width() <= to.primitive_width(),
        (from, to) if from.is_integer() => to.is_floating() || to.is_decimal() || *to == WIDE_NUMERIC,
        (DataType::Decimal128(digits, scale), DataType::Decimal128(wider, places)) => {
            scale <= places && i16::from(*digits) - i16::from(*scale) <= i16::from(*wider) - i16::from(*places)
        }
        (from, to) if from.is_decimal() || from.is_floating() => to.is_floating() || *to == WIDE_NUMERIC,
        (DataType::Date32, DataType::Timestamp(..)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{cast, col, lit};
    use querygate_query_api::column::PG_TYPE_KEY;
    use std::sync::Arc;

    #[test]
    fn what_may_fail_is_known() {
        let fields = ["a", "n"].map(|name| Field::new(name, DataType::Int32, true));
        let texts = Field::new("s", DataType::Utf8, true);
        let schema = DFSchema::try_from(Schema::new(fields.into_iter().chain([texts]).collect::<Vec<_>>())).unwrap();
        for (value, expected) in [
            (col("n") / col("a"), true),
            (lit(1) + col("n") % col("a"), true),
            (cast(col("s"), DataType::Int32), true),
            (cast(col("n"), DataType::Int16), true),
            (col("n") / lit(2), false),
            (col("n") * col("a"), false),
            (cast(col("n"), DataType::Decimal128(12, 2)), false),
            (cast(col("n"), DataType::Int64), false),
            (col("s"), false),
        ] {
            assert_eq!(may_fail(&value, &schema).unwrap(), expected, "{value}");
            let mut chosen_value = value.clone();
            assert_eq!(chosen(&mut chosen_value, &col("a").is_not_null(), false, &schema).unwrap(), expected);
            assert_eq!(matches!(chosen_value, Expr::Case(_)), expected);
            assert!(!expected || !chosen(&mut chosen_value, &col("a").is_not_null(), false, &schema).unwrap());
        }
    }

    #[test]
    fn types_keep_their_names_where_these_count() {
        let fields = ["a", "n"].map(|name| Field::new(name, DataType::Int32, true));
        let schema = DFSchema::try_from(Schema::new(fields.to_vec())).unwrap();
        let quotient = |name: &str| {
            let named = [(PG_TYPE_KEY.to_owned(), name.to_owned())].into();
            let field = Arc::new(Field::new("", DataType::Utf8, true).with_metadata(named));
            Expr::Cast(Cast { expr: Box::new(col("n") / col("a")), field })
        };
        for (name, is_nameless, expected) in [
            ("text", false, true),
            ("text", true, true),
            ("varchar", false, false),
            ("varchar", true, true),
            ("json", true, true),
        ] {
            let mut value = quotient(name);
            assert_eq!(chosen(&mut value, &col("a").is_not_null(), is_nameless, &schema).unwrap(), expected, "{name}");
        }
    }
}
