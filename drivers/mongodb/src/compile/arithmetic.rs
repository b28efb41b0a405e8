//! Arithmetic as aggregation expressions that raise where the vocabulary does: the source would go on with a double, an
//! infinity or a rounded decimal.

use crate::compile::compiler::{Columns, Compiler};
use crate::compile::expression::{Named, either};
use crate::tree::node::{Node, call, one, text, unary};
use crate::tree::place::is_type;
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::scalar::{ArithmeticOp, ScalarExpr};
use querygate_driver_api::value::ValueType;

/// Digits that the source's decimals keep.
const DECIMAL_DIGITS: u8 = 34;

fn refused<T>(value_type: ValueType) -> Result<T, Refusal> {
    refuse(RefusalReason::Overflow, format!("the source does not overflow as {} does", value_type.name()))
}

impl Compiler<'_> {
    pub(crate) fn arithmetic(
        &mut self,
        op: ArithmeticOp,
        operands: (&ScalarExpr, &ScalarExpr),
        to: ValueType,
        columns: &Columns,
    ) -> Result<Node, Refusal> {
        let (left, right) = operands;
        supported(op, self.type_of(left)?, self.type_of(right)?, to)?;
        let (left, right) = (self.value(left, columns)?, self.value(right, columns)?);
        self.checked(op, left, right, to)
    }

    pub(crate) fn negated(&mut self, expr: &ScalarExpr, columns: &Columns) -> Result<Node, Refusal> {
        let to = self.type_of(expr)?;
        match to {
            ValueType::Int64 | ValueType::Float64 => {}
            ValueType::Decimal128 { precision, .. } if precision <= DECIMAL_DIGITS => {}
            other => return refused(other),
        }
        let value = self.value(expr, columns)?;
        self.checked(ArithmeticOp::Multiply, value, Node::Int(-1), to)
    }

    /// The operation on operands of one kind of number, NULL for anything else, or an error of the source.
    fn checked(&mut self, op: ArithmeticOp, left: Node, right: Node, to: ValueType) -> Result<Node, Refusal> {
        let mut operands = Named::default();
        let (left, right) = (operands.once(self, left), operands.once(self, right));
        let numbers = [left.clone(), right.clone()].map(|value| is_type(value, to, false));
        let convert = match to {
            ValueType::Float64 => "$toDouble",
            ValueType::Decimal128 { .. } => "$toDecimal",
            _ => "$toLong",
        };
        let mut converted = Named::default();
        let left = converted.once(self, unary(convert, left));
        let right = converted.once(self, unary(convert, right));
        let operator = match op {
            ArithmeticOp::Add => "$add",
            ArithmeticOp::Subtract => "$subtract",
            ArithmeticOp::Multiply => "$multiply",
            ArithmeticOp::Divide => "$divide",
            ArithmeticOp::Remainder => "$mod",
        };
        let computed = call(operator, [left.clone(), right.clone()]);
        let computed = match op {
            // A remainder by zero has an error code of its own, a quotient has not.
            ArithmeticOp::Divide => {
                let zero = call("$eq", [right.clone(), Node::Int(0)]);
                either(zero, call("$mod", [left.clone(), right.clone()]), computed)
            }
            _ => computed,
        };
        let mut result = Named::default();
        let value = result.once(self, computed);
        let lost = match to {
            ValueType::Float64 => Some(lost(op, left, right, value.clone())),
            // A whole number that is no longer one.
            ValueType::Int64 => Some(call("$eq", [unary("$type", value.clone()), text("double")])),
            _ => None,
        };
        let checked = match lost {
            // Converting what is no number raises, and says nothing of the operands.
            Some(lost) => {
                let raised = unary("$toInt", call("$multiply", [value.clone(), Node::NotANumber]));
                either(lost, raised, value)
            }
            None => value,
        };
        let body = converted.within(result.within(checked));
        Ok(operands.within(either(one("$and", Node::Array(numbers.into())), body, Node::Null)))
    }
}

/// Whether finite operands gave an infinity, or a zero out of non-zeros.
fn lost(op: ArithmeticOp, left: Node, right: Node, value: Node) -> Node {
    let size = |value: Node| unary("$abs", value);
    let finite = |value: Node| call("$lt", [size(value), Node::Infinity]);
    let is_zero = |value: Node| call("$eq", [value, Node::Int(0)]);
    let infinite = call("$eq", [size(value.clone()), Node::Infinity]);
    let lost = match op {
        ArithmeticOp::Multiply | ArithmeticOp::Divide => {
            let zeros = call("$or", [is_zero(left.clone()), is_zero(right.clone())]);
            call("$or", [infinite, call("$and", [is_zero(value), unary("$not", zeros)])])
        }
        ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Remainder => infinite,
    };
    call("$and", [lost, finite(left), finite(right)])
}

fn supported(op: ArithmeticOp, left: ValueType, right: ValueType, to: ValueType) -> Result<(), Refusal> {
    let sums = matches!(op, ArithmeticOp::Add | ArithmeticOp::Subtract);
    let fits = match (left, right, to) {
        (ValueType::Float64, ValueType::Float64, ValueType::Float64) => true,
        (ValueType::Int64, ValueType::Int64, ValueType::Int64) => sums || op == ArithmeticOp::Multiply,
        (
            ValueType::Decimal128 { precision: p, scale: s },
            ValueType::Decimal128 { precision: q, scale: t },
            ValueType::Decimal128 { precision, scale },
        ) => {
            let (p, s, q, t) = (i16::from(p), i16::from(s), i16::from(q), i16::from(t));
            let (digits, fraction) = if sums { ((p - s).max(q - t) + s.max(t) + 1, s.max(t)) } else { (p + q, s + t) };
            let exact = i16::from(scale) == fraction && i16::from(precision) >= digits;
            (sums || op == ArithmeticOp::Multiply) && exact && precision <= DECIMAL_DIGITS
        }
        _ => false,
    };
    if fits { Ok(()) } else { refused(to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_rounded_is_computed_there() {
        let decimal = |precision, scale| ValueType::Decimal128 { precision, scale };
        let (int, float) = (ValueType::Int64, ValueType::Float64);
        for (op, left, right, to, expected) in [
            (ArithmeticOp::Add, int, int, int, true),
            (ArithmeticOp::Divide, int, int, int, false),
            (ArithmeticOp::Remainder, int, int, int, false),
            (ArithmeticOp::Divide, float, float, float, true),
            (ArithmeticOp::Add, ValueType::Int32, ValueType::Int32, ValueType::Int32, false),
            (ArithmeticOp::Multiply, decimal(15, 2), decimal(15, 2), decimal(31, 4), true),
            (ArithmeticOp::Multiply, decimal(20, 2), decimal(15, 2), decimal(36, 4), false),
            (ArithmeticOp::Multiply, decimal(15, 2), decimal(15, 2), decimal(31, 3), false),
            (ArithmeticOp::Subtract, decimal(15, 2), decimal(10, 4), decimal(18, 4), true),
            (ArithmeticOp::Subtract, decimal(15, 2), decimal(10, 4), decimal(17, 4), false),
            (ArithmeticOp::Divide, decimal(9, 2), decimal(9, 2), decimal(20, 6), false),
        ] {
            assert_eq!(supported(op, left, right, to).is_ok(), expected, "{op:?} {left:?} {right:?} {to:?}");
        }
    }
}
