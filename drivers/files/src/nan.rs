//! Conditions that files may be pruned by. The least and greatest values that files tell of numbers leave NaN out, which is greater
//! than all of them here: a group of rows may hold one that a condition wants though its greatest number is too small. What joins
//! and first rows have found by the time of the scan is handed on as it is: of a NaN as a key, rows may be missed.

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, DynamicFilterPhysicalExpr, IsNotNullExpr, IsNullExpr, Literal,
};
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use std::collections::HashSet;
use std::sync::Arc;

/// Which of the conditions, that all hold of a row, may prune: all of whose numbers cannot be NaN in a row that they leave.
pub(crate) fn may_prune(filters: &[Arc<dyn PhysicalExpr>], schema: &Schema) -> Vec<bool> {
    let no_nan: HashSet<Column> = filters.iter().flat_map(split_conjunction).filter_map(is_no_nan).cloned().collect();
    filters.iter().map(|filter| is_safe(filter, schema, &no_nan)).collect()
}

fn is_safe(filter: &Arc<dyn PhysicalExpr>, schema: &Schema, no_nan: &HashSet<Column>) -> bool {
    let numbers = |expr: &Arc<dyn PhysicalExpr>| {
        collect_columns(expr).iter().any(|column| is_float(column, schema) && !no_nan.contains(column))
    };
    // With it go the keys that the leaf of a table with hidden rows compares row by row.
    if filter.is::<DynamicFilterPhysicalExpr>() {
        return true;
    }
    if !numbers(filter) || filter.is::<IsNullExpr>() || filter.is::<IsNotNullExpr>() || is_no_nan(filter).is_some() {
        return true;
    }
    match filter.downcast_ref::<BinaryExpr>() {
        Some(binary) if matches!(binary.op(), Operator::And | Operator::Or) => {
            is_safe(binary.left(), schema, no_nan) && is_safe(binary.right(), schema, no_nan)
        }
        _ => false,
    }
}

/// The column that is no NaN where the condition holds: less than a number, or equal to one.
fn is_no_nan(filter: &Arc<dyn PhysicalExpr>) -> Option<&Column> {
    let binary = filter.downcast_ref::<BinaryExpr>()?;
    let (column, op, value) = match (binary.left().downcast_ref::<Column>(), binary.right().downcast_ref::<Literal>()) {
        (Some(column), Some(value)) => (column, *binary.op(), value),
        _ => {
            let value = binary.left().downcast_ref::<Literal>()?;
            (binary.right().downcast_ref::<Column>()?, binary.op().swap()?, value)
        }
    };
    let bounds = match op {
        Operator::Lt => true,
        Operator::LtEq | Operator::Eq => !is_nan(value.value()),
        _ => false,
    };
    bounds.then_some(column)
}

fn is_float(column: &Column, schema: &Schema) -> bool {
    // What the schema does not know is no reason to prune.
    schema.fields().get(column.index()).is_none_or(|field| holds_floats(field.data_type()))
}

fn holds_floats(of: &DataType) -> bool {
    match of {
        DataType::Struct(fields) => fields.iter().any(|field| holds_floats(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            holds_floats(item.data_type())
        }
        other => other.is_floating(),
    }
}

fn is_nan(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float16(Some(value)) => value.is_nan(),
        ScalarValue::Float32(Some(value)) => value.is_nan(),
        ScalarValue::Float64(Some(value)) => value.is_nan(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::physical_expr::expressions::{binary, col, is_not_null, lit, not};

    fn schema() -> Schema {
        let field = |name: &str, of| Field::new(name, of, true);
        Schema::new(vec![field("v", DataType::Float64), field("n", DataType::Int64), field("w", DataType::Float64)])
    }

    fn on(name: &str, op: Operator, value: impl datafusion::logical_expr::Literal) -> Arc<dyn PhysicalExpr> {
        let schema = schema();
        binary(col(name, &schema).unwrap(), op, lit(value), &schema).unwrap()
    }

    #[test]
    fn what_a_nan_may_meet_prunes_nothing() {
        use Operator as O;
        let prunes = |filter: Arc<dyn PhysicalExpr>| may_prune(&[filter], &schema())[0];
        for op in [O::Lt, O::LtEq, O::Eq] {
            assert!(prunes(on("v", op, 1.0)), "{op}");
        }
        for op in [O::Gt, O::GtEq, O::NotEq, O::IsDistinctFrom, O::IsNotDistinctFrom] {
            assert!(!prunes(on("v", op, 1.0)), "{op}");
            assert!(prunes(on("n", op, 1_i64)), "{op}");
        }
        assert!(!prunes(on("v", O::Eq, f64::NAN)) && !prunes(on("v", O::LtEq, f64::NAN)));
        assert!(prunes(on("v", O::Lt, f64::NAN)), "less than NaN is a number");
        assert!(!prunes(not(on("v", O::Lt, 1.0)).unwrap()));
        let schema = schema();
        assert!(prunes(is_not_null(col("v", &schema).unwrap()).unwrap()));
        let turned = binary(lit(1.0), O::Gt, col("v", &schema).unwrap(), &schema).unwrap();
        assert!(prunes(turned));
        let turned = binary(lit(1.0), O::Lt, col("v", &schema).unwrap(), &schema).unwrap();
        assert!(!prunes(turned));
        let either = |right| binary(on("v", O::Lt, 1.0), O::Or, right, &schema).unwrap();
        assert!(prunes(either(on("n", O::Gt, 5_i64))) && !prunes(either(on("v", O::Gt, 5.0))));
        assert!(!prunes(either(on("w", O::Gt, 5.0))));
    }

    #[test]
    fn a_number_that_another_condition_bounds_is_no_nan() {
        use Operator as O;
        let both = [on("v", O::Gt, 1.0), on("v", O::LtEq, 9.0), on("w", O::Gt, 1.0)];
        assert_eq!(may_prune(&both, &schema()), [true, true, false]);
        let between = binary(on("v", O::GtEq, 1.0), O::And, on("v", O::LtEq, 9.0), &schema()).unwrap();
        assert_eq!(may_prune(&[between], &schema()), [true]);
    }
}
