//! The values of a statement's parameters while a plan is made that serves with other values later. Knows no plan.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;
use querygate_driver_api::value::Value;

/// One value for each parameter, none of them NULL. As an extension of the state that plans a statement it says that parameters are
/// open: leaves then keep what they are planned from.
#[derive(Debug, Clone)]
pub struct Arguments {
    scalars: Vec<ScalarValue>,
    values: Vec<Value>,
}

impl Arguments {
    /// Values as the engine takes them, beside the same ones as fragments do. `None`: one is NULL, which conditions are planned otherwise with.
    #[must_use]
    pub fn new(scalars: Vec<ScalarValue>, values: Vec<Value>) -> Option<Self> {
        let known = scalars.iter().all(|value| !value.is_null()) && scalars.len() == values.len();
        known.then_some(Self { scalars, values })
    }

    /// The place of a parameter among the values. `None`: it is no numbered one.
    #[must_use]
    pub fn place(parameter: &Placeholder) -> Option<usize> {
        parameter.id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
    }

    /// As fragments take them.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values as the engine takes them.
    #[must_use]
    pub fn scalars(&self) -> &[ScalarValue] {
        &self.scalars
    }

    /// The value of a parameter in the type that it has in its place.
    ///
    /// # Errors
    /// There is none, or it has no equal in that type.
    pub fn value(&self, parameter: &Placeholder) -> Result<ScalarValue> {
        let value = Self::place(parameter).and_then(|place| self.scalars.get(place));
        let (Some(value), Some(field)) = (value, &parameter.field) else {
            return plan_err!("a parameter has no value or no type");
        };
        if value.data_type() == *field.data_type() {
            return Ok(value.clone());
        }
        let cast = value.cast_to(field.data_type())?;
        if cast.is_null() { plan_err!("a parameter's value is none of its type") } else { Ok(cast) }
    }

    /// The expression with the values in it.
    ///
    /// # Errors
    /// As [`Arguments::value`].
    pub(crate) fn filled(&self, expr: &Expr) -> Result<Expr> {
        let filled = expr.clone().transform_up(|part| match part {
            Expr::Placeholder(parameter) => Ok(Transformed::yes(Expr::Literal(self.value(&parameter)?, None))),
            other => Ok(Transformed::no(other)),
        });
        filled.map(|filled| filled.data)
    }
}

/// Whether a parameter stands in the expression.
pub(crate) fn is_open(expr: &Expr) -> bool {
    let mut open = false;
    // A walk that only reads cannot fail.
    let _walked = expr.apply(|part| {
        open |= matches!(part, Expr::Placeholder(_));
        Ok(if open { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use datafusion::prelude::{col, lit};
    use std::sync::Arc;

    fn parameter(number: usize, data_type: DataType) -> Placeholder {
        Placeholder { id: format!("${number}"), field: Some(Arc::new(Field::new("", data_type, true))) }
    }

    #[test]
    fn values_stand_in_the_types_of_their_places() {
        let scalars = vec![ScalarValue::from("7"), ScalarValue::Int32(Some(5))];
        let arguments = Arguments::new(scalars, vec![Value::text("7"), Value::Int32(5)]).unwrap();
        assert_eq!(
            arguments.value(&parameter(1, DataType::Utf8View)).unwrap(),
            ScalarValue::Utf8View(Some("7".into()))
        );
        assert_eq!(arguments.value(&parameter(2, DataType::Int64)).unwrap(), ScalarValue::Int64(Some(5)));
        assert!(arguments.value(&parameter(3, DataType::Int64)).is_err(), "there is no third");
        assert!(arguments.value(&Placeholder { id: "$1".to_owned(), field: None }).is_err());
        let open = col("a").eq(Expr::Placeholder(parameter(2, DataType::Int32)));
        assert!(is_open(&open) && !is_open(&col("a").eq(lit(5))));
        assert_eq!(arguments.filled(&open).unwrap(), col("a").eq(lit(5)));
    }

    #[test]
    fn a_null_and_a_missing_value_are_no_arguments() {
        assert!(Arguments::new(vec![ScalarValue::Int32(None)], vec![Value::Int32(1)]).is_none());
        assert!(Arguments::new(vec![ScalarValue::Int32(Some(1))], Vec::new()).is_none());
        assert!(Arguments::new(Vec::new(), Vec::new()).is_some());
    }
}
