//! The values of a statement's parameters while a plan is made that serves with other values later. Knows no plan.

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use querygate_driver_api::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The note at a value of which parameter's it is.
const PARAMETER_KEY: &str = "querygate.parameter";

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

    /// Values for nodes of the gate alone, which no fragment takes. `None`: one is NULL.
    #[must_use]
    pub fn of_gate(scalars: Vec<ScalarValue>) -> Option<Self> {
        let known = !scalars.iter().any(ScalarValue::is_null);
        known.then_some(Self { scalars, values: Vec::new() })
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
        self.with_values(expr, |_| None)
    }

    /// The expressions with the values in them.
    ///
    /// # Errors
    /// As [`Arguments::value`].
    pub(crate) fn all_filled(&self, exprs: &[Expr]) -> Result<Vec<Expr>> {
        exprs.iter().map(|expr| self.filled(expr)).collect()
    }

    /// As [`Arguments::filled`], with a note at each value of which parameter's it is.
    ///
    /// # Errors
    /// As [`Arguments::value`].
    pub(crate) fn noted(&self, expr: &Expr) -> Result<Expr> {
        self.with_values(expr, |parameter| {
            Some(FieldMetadata::new(BTreeMap::from([(PARAMETER_KEY.to_owned(), parameter.id.clone())])))
        })
    }

    fn with_values(&self, expr: &Expr, note: impl Fn(&Placeholder) -> Option<FieldMetadata>) -> Result<Expr> {
        let filled = expr.clone().transform_up(|part| match part {
            Expr::Placeholder(parameter) => {
                Ok(Transformed::yes(Expr::Literal(self.value(&parameter)?, note(&parameter))))
            }
            other => Ok(Transformed::no(other)),
        });
        filled.map(|filled| filled.data)
    }

    /// The value in the place of one that was noted, of the same type. `None`: there is none.
    pub(crate) fn in_place_of(&self, kept: NotedValue) -> Option<ScalarValue> {
        let field = Some(Arc::new(Field::new("", kept.data_type, false)));
        self.value(&Placeholder { id: kept.parameter, field }).ok()
    }
}

/// A value of a physical condition that is known to be a parameter's.
pub(crate) struct NotedValue {
    parameter: String,
    data_type: DataType,
}

impl NotedValue {
    /// `None`: the constant is no parameter's.
    pub(crate) fn of(literal: &Literal) -> Option<Self> {
        let field = literal.return_field(&Schema::empty()).ok()?;
        let parameter = field.metadata().get(PARAMETER_KEY)?.clone();
        Some(Self { parameter, data_type: literal.value().data_type() })
    }

    pub(crate) const fn data_type(&self) -> &DataType {
        &self.data_type
    }
}

/// Whether a parameter stands in the expression.
#[must_use]
pub fn is_open(expr: &Expr) -> bool {
    let mut open = false;
    // A walk that only reads cannot fail.
    let _walked = expr.apply(|part| {
        open |= matches!(part, Expr::Placeholder(_));
        Ok(if open { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    open
}

/// In how many places of the expression a parameter stands.
pub(crate) fn parameters_in(expr: &Expr) -> usize {
    let mut places = 0;
    // A walk that only reads cannot fail.
    let _walked = expr.apply(|part| {
        places += usize::from(matches!(part, Expr::Placeholder(_)));
        Ok(TreeNodeRecursion::Continue)
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

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
    fn a_noted_value_is_found_in_a_physical_condition_and_another_one_stands_in_its_place() {
        let first = Arguments::new(vec![ScalarValue::Int32(Some(5))], vec![Value::Int32(5)]).unwrap();
        let open = Expr::Placeholder(parameter(1, DataType::Int64));
        let Expr::Literal(value, note) = first.noted(&open).unwrap() else { panic!("it is no constant") };
        let noted = NotedValue::of(&Literal::new_with_metadata(value, note)).unwrap();
        assert_eq!(noted.data_type(), &DataType::Int64);
        let second = Arguments::new(vec![ScalarValue::Int32(Some(7))], vec![Value::Int32(7)]).unwrap();
        assert_eq!(second.in_place_of(noted), Some(ScalarValue::Int64(Some(7))));
        let Expr::Literal(value, note) = first.filled(&open).unwrap() else { panic!("it is no constant") };
        assert!(NotedValue::of(&Literal::new_with_metadata(value, note)).is_none());
    }

    #[test]
    fn a_null_and_a_missing_value_are_no_arguments() {
        assert!(Arguments::new(vec![ScalarValue::Int32(None)], vec![Value::Int32(1)]).is_none());
        assert!(Arguments::new(vec![ScalarValue::Int32(Some(1))], Vec::new()).is_none());
        assert!(Arguments::new(Vec::new(), Vec::new()).is_some());
    }
}
