//! jsonb behind what chooses among values: the engine knows of a CASE, a COALESCE, a NULLIF and an array's item only that they are texts.
//! Here they are called jsonb, and the operators that mean something else of jsonb are bound again where binding took it for text. Knows no value.

use super::binding::is_jsonb;
use super::order_keys::is_jsonb_array;
use crate::casts::conversions::is_text;
use crate::functions;
use crate::times::zone::Zone;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

/// The function that gives its argument, and says that it is jsonb.
const TOLD: &str = "jsonb_told";

/// Rewrites one expression whose parts are rewritten. Twice is as once.
pub(crate) fn told(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            let chooses = are_jsonb(results.map(AsRef::as_ref), schema);
            called_so(Expr::Case(case), chooses)
        }
        Expr::ScalarFunction(call) => match call.name() {
            "coalesce" => {
                let chooses = are_jsonb(call.args.iter(), schema);
                called_so(Expr::ScalarFunction(call), chooses)
            }
            "nullif" => {
                let chooses = are_jsonb(call.args.iter().take(1), schema);
                called_so(Expr::ScalarFunction(call), chooses)
            }
            "array_element" => {
                let takes = takes_jsonb(&call, schema);
                called_so(Expr::ScalarFunction(call), takes)
            }
            TOLD => once(call),
            _ => Transformed::no(Expr::ScalarFunction(call)),
        },
        Expr::BinaryExpr(binary) => operator(binary, schema),
        other => Transformed::no(other),
    })
}

fn called_so(expr: Expr, is_jsonb: bool) -> Transformed<Expr> {
    match functions::in_zone(TOLD, Zone::UTC).filter(|_| is_jsonb) {
        Some(function) => Transformed::yes(function.call(vec![expr])),
        None => Transformed::no(expr),
    }
}

/// Whether a subscript takes an item of an array of jsonb, and no array within.
fn takes_jsonb(call: &ScalarFunction, schema: &DFSchema) -> bool {
    let Some(array) = call.args.first() else { return false };
    array.to_field(schema).is_ok_and(|(_, field)| {
        let of_values = matches!(field.data_type(), DataType::List(item) if is_text(item.data_type()));
        of_values && is_jsonb_array(array, &field, schema)
    })
}

/// What was called so already, and has been again.
fn once(mut call: ScalarFunction) -> Transformed<Expr> {
    if matches!(call.args.as_slice(), [Expr::ScalarFunction(inner)] if inner.name() == TOLD)
        && let Some(inner) = call.args.pop()
    {
        return Transformed::yes(inner);
    }
    Transformed::no(Expr::ScalarFunction(call))
}

/// `=` and `||` where a side is seen to be jsonb only now, such as a column of a subquery.
fn operator(binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    let BinaryExpr { left, op, right } = &binary;
    let name = match op {
        Operator::Eq if is_value(left, schema) || is_value(right, schema) => Some("jsonb_equal"),
        // Beside a text of its own type, jsonb is appended as one.
        Operator::StringConcat => {
            let (a, b) = (is_value(left, schema), is_value(right, schema));
            let joins = (a && (b || waits(right))) || (b && waits(left));
            joins.then_some("jsonb_concat")
        }
        _ => None,
    };
    match name.and_then(|name| functions::in_zone(name, Zone::UTC)) {
        Some(function) => Transformed::yes(function.call(vec![*binary.left, *binary.right])),
        None => Transformed::no(Expr::BinaryExpr(binary)),
    }
}

/// Whether values that one is chosen from are jsonb, as far as they have a type.
fn are_jsonb<'a>(values: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> bool {
    let mut any = false;
    for value in values {
        if is_value(value, schema) {
            any = true;
        } else if !waits(value) {
            return false;
        }
    }
    any
}

/// Whether a value is jsonb.
pub(super) fn is_value(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Alias(alias) => is_value(&alias.expr, schema),
        // What chooses is called so by now, and operators are calls: chains of them are not asked for their types.
        Expr::Case(_) | Expr::BinaryExpr(_) => false,
        // Nor is it asked whether all that it chooses from may be NULL.
        Expr::ScalarFunction(call) if call.name() == TOLD => true,
        other => other.to_field(schema).is_ok_and(|(_, field)| is_jsonb(&field)),
    }
}

/// NULL, a text in quotes, or a parameter without a type.
fn waits(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => waits(&alias.expr),
        Expr::Literal(value, None) => value.is_null() || value.try_as_str().is_some(),
        Expr::Placeholder(Placeholder { field: None, .. }) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::common::tree_node::TreeNode;
    use datafusion::functions_nested::expr_fn::{array_element, make_array};
    use datafusion::logical_expr::{col, lit, when};
    use querygate_query_api::column::PG_TYPE_KEY;
    use std::collections::HashMap;

    /// A jsonb and a text.
    fn schema() -> DFSchema {
        let name = [(PG_TYPE_KEY.to_owned(), "jsonb".to_owned())].into();
        let fields =
            vec![Field::new("j", DataType::Utf8, true).with_metadata(name), Field::new("t", DataType::Utf8, true)];
        DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).unwrap()
    }

    fn settled(expr: Expr) -> Expr {
        let schema = schema();
        expr.transform_up(|part| told(part, &schema)).unwrap().data
    }

    #[test]
    fn what_chooses_a_jsonb_is_called_so_once() {
        let inner = when(lit(true), col("j")).otherwise(lit("1")).unwrap();
        let outer = when(lit(false), lit(ScalarValue::Null)).otherwise(inner.clone()).unwrap();
        for expr in [inner, outer] {
            let once = settled(expr);
            assert!(is_value(&once, &schema()), "{once}");
            assert_eq!(settled(once.clone()), once);
        }
        for other in [col("t"), col("j").eq(col("j"))] {
            let mixed = when(lit(true), col("j")).otherwise(other).unwrap();
            assert!(!is_value(&settled(mixed.clone()), &schema()), "{mixed}");
        }
    }

    #[test]
    fn items_of_arrays_of_jsonb_are_called_so_once() {
        let item = |array: Expr| array_element(array, lit(1_i64));
        let once = settled(item(make_array(vec![lit("1"), col("j")])));
        assert!(is_value(&once, &schema()), "{once}");
        assert_eq!(settled(once.clone()), once);
        let within = make_array(vec![make_array(vec![col("j")])]);
        for other in [item(make_array(vec![col("t")])), item(within)] {
            assert_eq!(settled(other.clone()), other);
        }
    }

    #[test]
    fn operators_of_jsonb_are_those_of_jsonb() {
        let chosen = || when(lit(true), col("j")).end().unwrap();
        let concat = |left: Expr, right: Expr| {
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::StringConcat, Box::new(right)))
        };
        for (expr, expected) in [
            (chosen().eq(lit("1.0")), Some("jsonb_equal")),
            (col("t").eq(chosen()), Some("jsonb_equal")),
            (concat(chosen(), lit("{}")), Some("jsonb_concat")),
            (concat(lit("{}"), col("j")), Some("jsonb_concat")),
            (concat(chosen(), col("j")), Some("jsonb_concat")),
            (concat(chosen(), col("t")), None),
            (concat(col("t"), lit("a")), None),
            (col("t").eq(lit("1.0")), None),
        ] {
            let found = settled(expr.clone());
            let name = match &found {
                Expr::ScalarFunction(call) => Some(call.name()),
                _ => None,
            };
            assert_eq!(name, expected, "{expr}");
        }
    }
}
