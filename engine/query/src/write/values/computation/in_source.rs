//! Expressions that a source computes of a row as the gate does: fields as they are stored, values that are given, and sums,
//! differences and products of whole numbers of one type. What is stored is compared with what the gate computes, so that nothing here
//! decides what it is.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use querygate_catalog::leaf::GovernedColumn;
use querygate_catalog::write::NewValueExpr;
use querygate_driver_api::scalar::ArithmeticOp;
use querygate_driver_api::value::ValueType;

/// What an expression's columns are: those of a table, as places among its governed ones, and behind them parameters.
pub(super) struct Row<'a> {
    pub(super) input: &'a DFSchema,
    pub(super) places: &'a [usize],
    pub(super) columns: &'a [GovernedColumn],
}

impl Row<'_> {
    /// The expression over the row. Given values are the parameters, by their numbers, and behind `parameters` of them the constants.
    /// `None`: the source is not asked for it.
    pub(super) fn in_source(
        &self,
        expr: &Expr,
        parameters: usize,
        constants: &mut Vec<ScalarValue>,
    ) -> Option<NewValueExpr> {
        match expr {
            Expr::Alias(alias) => self.in_source(&alias.expr, parameters, constants),
            Expr::Column(column) => {
                let at = self.input.index_of_column(column).ok()?;
                match self.places.get(at) {
                    Some(place) => {
                        let column = self.columns.get(*place)?;
                        (0..self.columns.len()).find(|raw| column.is_raw(*raw)).map(NewValueExpr::Field)
                    }
                    None => {
                        let number = at.checked_sub(self.places.len())?;
                        let value_type = ValueType::from_arrow(self.input.field(at).data_type())?;
                        Some(NewValueExpr::Given(number, value_type))
                    }
                }
            }
            Expr::Literal(value, _) => {
                let value_type = ValueType::from_arrow(&value.data_type())?;
                constants.push(value.clone());
                Some(NewValueExpr::Given(parameters + constants.len() - 1, value_type))
            }
            // The type is given again to what has it.
            Expr::Cast(cast) if self.type_of(&cast.expr)? == ValueType::from_arrow(cast.field.data_type())? => {
                self.in_source(&cast.expr, parameters, constants)
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let op = match op {
                    Operator::Plus => ArithmeticOp::Add,
                    Operator::Minus => ArithmeticOp::Subtract,
                    Operator::Multiply => ArithmeticOp::Multiply,
                    _ => return None,
                };
                self.arithmetic((expr, op), left, right, (parameters, constants))
            }
            Expr::ScalarFunction(call) => {
                let [left, right] = call.args.as_slice() else { return None };
                let op = match call.func.name() {
                    "checked_add" => ArithmeticOp::Add,
                    "checked_subtract" => ArithmeticOp::Subtract,
                    "checked_multiply" => ArithmeticOp::Multiply,
                    _ => return None,
                };
                self.arithmetic((expr, op), left, right, (parameters, constants))
            }
            _ => None,
        }
    }

    fn type_of(&self, expr: &Expr) -> Option<ValueType> {
        ValueType::from_arrow(&expr.get_type(self.input).ok()?)
    }

    fn arithmetic(
        &self,
        (whole, op): (&Expr, ArithmeticOp),
        left: &Expr,
        right: &Expr,
        (parameters, constants): (usize, &mut Vec<ScalarValue>),
    ) -> Option<NewValueExpr> {
        let value_type = self.type_of(whole)?;
        let is_of_type = |side: &Expr| self.type_of(side) == Some(value_type);
        if !value_type.is_integer() || !is_of_type(left) || !is_of_type(right) {
            return None;
        }
        let left = self.in_source(left, parameters, constants)?;
        let right = self.in_source(right, parameters, constants)?;
        Some(NewValueExpr::Arithmetic { op, sides: Box::new((left, right)), value_type })
    }
}
