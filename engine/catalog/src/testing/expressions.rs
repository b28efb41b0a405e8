//! What a source makes of the few expressions that are added to fragments here, on one row. Truth has three values.

use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::scalar::{ComparisonOp, Constant, ScalarExpr};
use querygate_driver_api::value::Value;
use std::cmp::Ordering;

/// A row's values by the ids of their columns, and the parameters.
pub(crate) struct Row<'a> {
    pub(crate) cells: &'a [(ColumnId, Value)],
    pub(crate) parameters: &'a [Value],
}

impl Row<'_> {
    /// The truth of conditions of which one decides about all, if it has this truth.
    fn unless_one_is(&self, decisive: bool, all: &[ScalarExpr]) -> Option<bool> {
        let truths: Vec<Option<bool>> = all.iter().map(|each| self.truth(each)).collect();
        if truths.contains(&Some(decisive)) {
            return Some(decisive);
        }
        (!truths.contains(&None)).then_some(!decisive)
    }

    /// `None` is unknown.
    pub(crate) fn truth(&self, expr: &ScalarExpr) -> Option<bool> {
        match expr {
            ScalarExpr::Constant(Constant::True) => Some(true),
            ScalarExpr::Constant(Constant::False) => Some(false),
            ScalarExpr::And(all) => self.unless_one_is(false, all),
            ScalarExpr::Or(all) => self.unless_one_is(true, all),
            ScalarExpr::Not(inner) => self.truth(inner).map(|truth| !truth),
            ScalarExpr::IsNull { expr, negated } => Some(self.value(expr).is_null() != *negated),
            ScalarExpr::Comparison { op, left, right } => {
                let order = order(&self.value(left), &self.value(right))?;
                Some(match op {
                    ComparisonOp::Eq => order.is_eq(),
                    ComparisonOp::NotEq => order.is_ne(),
                    ComparisonOp::Lt => order.is_lt(),
                    ComparisonOp::LtEq => order.is_le(),
                    ComparisonOp::Gt => order.is_gt(),
                    ComparisonOp::GtEq => order.is_ge(),
                    ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom => panic!("{op:?}"),
                })
            }
            ScalarExpr::InList { list, .. } if list.is_empty() => panic!("an empty list is a constant"),
            ScalarExpr::InList { expr, list, negated } => {
                let value = self.value(expr);
                let found = list.iter().map(|item| order(&value, &self.value(item))).collect::<Option<Vec<_>>>()?;
                Some(found.contains(&Ordering::Equal) != *negated)
            }
            ScalarExpr::Function { function, args, .. } => match (self.value(&args[0]), self.value(&args[1])) {
                (Value::Text(text), Value::Text(part)) => Some(match function {
                    ScalarFunction::Contains => text.contains(&*part),
                    ScalarFunction::StartsWith => text.starts_with(&*part),
                    other => panic!("{other:?}"),
                }),
                (text, part) => {
                    assert!(text.is_null() || part.is_null(), "{text:?} {part:?}");
                    None
                }
            },
            other => panic!("{other:?}"),
        }
    }

    fn value(&self, expr: &ScalarExpr) -> Value {
        match expr {
            ScalarExpr::Column(id) => self.cells.iter().find(|(known, _)| known == id).unwrap().1.clone(),
            ScalarExpr::Parameter(index, value_type) => {
                let value = self.parameters[*index].clone();
                assert_eq!(value.value_type(), *value_type);
                value
            }
            other => panic!("{other:?}"),
        }
    }
}

/// `None` beside NULL.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null(_), _) | (_, Value::Null(_)) => None,
        (Value::Int64(left), Value::Int64(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        other => panic!("{other:?}"),
    }
}
