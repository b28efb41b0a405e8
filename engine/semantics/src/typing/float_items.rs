//! Arrays that are made of numerics and floats: of floats, as CASE and its kin are. The engine's common type is a numeric, which holds
//! neither infinities nor all of a float's digits. Knows no plan.

use super::binding::as_double;
use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use std::sync::Arc;

/// Functions that make an array of values, or of arrays, that are of one type.
pub(super) const MADE_OF: &[&str] = &["make_array", "array_concat"];

/// Casts what is numeric among the arguments of a call that makes an array of them, or joins them to one, where a float is beside it.
/// Whole numbers are cast by the engine. Twice is as once.
pub fn with_float_items(mut call: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let types: Vec<Option<DataType>> = call.args.iter().map(|arg| arg.get_type(schema).ok()).collect();
    let has = |wanted: &DataType| {
        call.args
            .iter()
            .zip(&types)
            .any(|(arg, of)| !is_written(arg) && of.as_ref().is_some_and(|of| base(of) == wanted))
    };
    let float = [DataType::Float64, DataType::Float32].into_iter().find(has);
    let Some(float) = float else { return Transformed::no(Expr::ScalarFunction(call)) };
    let mut changed = false;
    for (arg, of) in call.args.iter_mut().zip(&types) {
        if let Some(of) = of.as_ref().filter(|of| is_numeric(base(of))) {
            *arg = as_floats(std::mem::take(arg), of, &float);
            changed = true;
        }
    }
    Transformed::new_transformed(Expr::ScalarFunction(call), changed)
}

/// The type of what is in arrays of any dimension, or of a value that is in none.
fn base(of: &DataType) -> &DataType {
    match of {
        DataType::List(item) => base(item.data_type()),
        other => other,
    }
}

fn is_numeric(of: &DataType) -> bool {
    of.is_decimal() || *of == WIDE_NUMERIC
}

/// Whether a value is a constant that was written with a point, which is a numeric beside one.
fn is_written(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, None) if value.data_type() == DataType::Float64 && !value.is_null())
}

fn as_floats(value: Expr, of: &DataType, float: &DataType) -> Expr {
    let (value, is_double) = as_double(value, *float == DataType::Float64);
    if is_double {
        return value;
    }
    let field = Arc::new(Field::new("", with_base(of, float), true));
    Expr::Cast(Cast { expr: Box::new(value), field })
}

/// A type in which something else is in the arrays.
fn with_base(of: &DataType, float: &DataType) -> DataType {
    match of {
        DataType::List(item) => {
            let inner = with_base(item.data_type(), float);
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(inner)))
        }
        _ => float.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::common::ScalarValue;
    use datafusion::functions_nested::expr_fn::{array_append, array_concat, array_prepend};
    use datafusion::functions_nested::make_array::make_array;
    use datafusion::logical_expr::{col, lit};
    use std::collections::HashMap;

    fn schema() -> DFSchema {
        let list = |item: DataType| DataType::new_list(item, true);
        let fields = vec![
            Field::new("n", DataType::Decimal128(10, 2), true),
            Field::new("i", DataType::Int32, true),
            Field::new("r", DataType::Float32, true),
            Field::new("f", DataType::Float64, true),
            Field::new("wides", list(WIDE_NUMERIC), true),
            Field::new("floats", list(DataType::Float64), true),
        ];
        DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).unwrap()
    }

    /// The types of the arguments of a call whose items have met.
    fn types(call: Expr) -> Vec<DataType> {
        let Expr::ScalarFunction(call) = call else { panic!("a call is given") };
        let Expr::ScalarFunction(call) = with_float_items(call, &schema()).data else { panic!("a call stays one") };
        call.args.iter().map(|arg| arg.get_type(&schema()).unwrap()).collect()
    }

    #[test]
    fn numerics_beside_floats_are_floats() {
        use DataType::{Decimal128, Float32, Float64, Int32};
        let point = || lit(ScalarValue::Decimal128(Some(15), 2, 1));
        assert_eq!(types(make_array(vec![col("n"), col("f"), col("i")])), [Float64, Float64, Int32]);
        assert_eq!(types(make_array(vec![col("n"), col("r")])), [Float32, Float32]);
        assert_eq!(types(make_array(vec![col("n"), col("r"), col("f")])), [Float64, Float32, Float64]);
        assert_eq!(types(make_array(vec![point(), col("f")])), [Float64, Float64]);
        assert_eq!(
            types(make_array(vec![point(), col("n"), lit(2.5)])),
            [Decimal128(2, 1), Decimal128(10, 2), Float64]
        );
        assert_eq!(types(make_array(vec![col("n"), col("i")])), [Decimal128(10, 2), Int32]);
    }

    #[test]
    fn arrays_meet_as_their_items_do() {
        let floats = DataType::new_list(DataType::Float64, true);
        let both = [floats.clone(), floats];
        assert_eq!(types(array_concat(vec![col("wides"), col("floats")])), both);
        assert_eq!(types(make_array(vec![make_array(vec![col("n")]), make_array(vec![col("f")])])), both);
    }

    #[test]
    fn an_array_and_what_is_joined_to_it_meet() {
        use DataType::{Float32, Float64};
        let list = |item: DataType| DataType::new_list(item, true);
        assert_eq!(types(array_append(col("wides"), col("r"))), [list(Float32), Float32]);
        assert_eq!(types(array_append(col("floats"), col("n"))), [list(Float64), Float64]);
        assert_eq!(types(array_prepend(col("f"), col("wides"))), [Float64, list(Float64)]);
        assert_eq!(types(array_prepend(col("n"), col("wides"))), [DataType::Decimal128(10, 2), list(WIDE_NUMERIC)]);
    }
}
