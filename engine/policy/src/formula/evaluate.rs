//! Evaluates a compiled formula on one row, with CEL's rules: null is a value of its own type, `&&` and `||` take the
//! side that decides even when the other has none.

use super::functions::bounded;
use super::{Arithmetic, Cell, Comparison, Fault, Node};
use std::cmp::Ordering;

pub(super) struct Row<'a> {
    pub(super) cells: &'a [Cell],
    pub(super) now_ms: i64,
}

impl Row<'_> {
    pub(super) fn value(&self, node: &Node) -> Result<Cell, Fault> {
        match node {
            Node::Constant(cell) => Ok(cell.clone()),
            Node::Input(place) => self.cells.get(*place).cloned().ok_or(Fault::Type),
            Node::List(items) => items.iter().map(|item| self.value(item)).collect::<Result<_, _>>().map(Cell::List),
            Node::Not(inner) => Ok(Cell::Boolean(!self.value(inner)?.truth()?)),
            Node::Negate(inner) => match self.value(inner)? {
                Cell::Integer(n) => n.checked_neg().map(Cell::Integer).ok_or(Fault::Range),
                other => Ok(Cell::Float(-other.float()?)),
            },
            Node::And(sides) => self.decide(sides, false),
            Node::Or(sides) => self.decide(sides, true),
            Node::Choose(parts) => {
                let [condition, then, otherwise] = parts.as_ref();
                self.value(if self.value(condition)?.truth()? { then } else { otherwise })
            }
            Node::Arithmetic(operator, sides) => {
                let [left, right] = sides.as_ref();
                arithmetic(*operator, self.value(left)?, &self.value(right)?)
            }
            Node::Compare(operator, sides) => {
                let [left, right] = sides.as_ref();
                compare(*operator, &self.value(left)?, &self.value(right)?).map(Cell::Boolean)
            }
            Node::In(sides) => {
                let [member, list] = sides.as_ref();
                let member = self.value(member)?;
                let Cell::List(items) = self.value(list)? else { return Err(Fault::Type) };
                Ok(Cell::Boolean(items.iter().any(|item| item.equals(&member))))
            }
            Node::Matches(text, pattern) => Ok(Cell::Boolean(pattern.matches(self.value(text)?.text()?))),
            Node::Call(function, arguments) => {
                let cells = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
                function.call(&cells, self.now_ms)
            }
        }
    }

    /// `decisive` on either side decides.
    fn decide(&self, sides: &[Node; 2], decisive: bool) -> Result<Cell, Fault> {
        let [left, right] = sides;
        let left = self.value(left).and_then(|cell| cell.truth());
        if left == Ok(decisive) {
            return Ok(Cell::Boolean(decisive));
        }
        let right = self.value(right)?.truth()?;
        if right == decisive { Ok(Cell::Boolean(decisive)) } else { left.map(Cell::Boolean) }
    }
}

fn compare(operator: Comparison, left: &Cell, right: &Cell) -> Result<bool, Fault> {
    let order = |wanted: fn(Ordering) -> bool| Ok(left.order(right)?.is_some_and(wanted));
    match operator {
        Comparison::Equal => Ok(left.equals(right)),
        Comparison::NotEqual => Ok(!left.equals(right)),
        Comparison::Less => order(Ordering::is_lt),
        Comparison::LessOrEqual => order(Ordering::is_le),
        Comparison::Greater => order(Ordering::is_gt),
        Comparison::GreaterOrEqual => order(Ordering::is_ge),
    }
}

fn arithmetic(operator: Arithmetic, left: Cell, right: &Cell) -> Result<Cell, Fault> {
    match (left, right) {
        (Cell::Integer(a), Cell::Integer(b)) => {
            let value = match operator {
                Arithmetic::Add => a.checked_add(*b),
                Arithmetic::Subtract => a.checked_sub(*b),
                Arithmetic::Multiply => a.checked_mul(*b),
                Arithmetic::Divide => a.checked_div(*b),
                Arithmetic::Remainder => a.checked_rem(*b),
            };
            value.map(Cell::Integer).ok_or(Fault::Range)
        }
        (Cell::Text(mut a), Cell::Text(b)) if operator == Arithmetic::Add => {
            a.push_str(b);
            bounded(a)
        }
        (Cell::List(mut a), Cell::List(b)) if operator == Arithmetic::Add => {
            a.extend(b.iter().cloned());
            Ok(Cell::List(a))
        }
        (a, b) => {
            let (a, b) = (a.float()?, b.float()?);
            let value = match operator {
                Arithmetic::Add => a + b,
                Arithmetic::Subtract => a - b,
                Arithmetic::Multiply => a * b,
                Arithmetic::Divide => a / b,
                Arithmetic::Remainder => a % b,
            };
            if value.is_finite() { Ok(Cell::Float(value)) } else { Err(Fault::Range) }
        }
    }
}
