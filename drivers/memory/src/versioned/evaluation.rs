//! Whether a row passes the conditions of a query: three-valued, and total. Text is compared by code point, floats with one NaN above
//! all numbers, false before true.

use super::cells::key;
use super::language::{Expr, Op};
use querygate_driver_api::value::{Value, ValueType};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

/// The values that a set has.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) keys: HashSet<Vec<u8>>,
    pub(super) has_null: bool,
}

/// What conditions see beside the row.
pub(super) struct Scope<'a> {
    /// Where in a row the columns of the query are.
    pub(super) places: &'a [usize],
    pub(super) parameters: &'a [Value],
    pub(super) sets: &'a [Set],
}

const NULL: Value = Value::Null(ValueType::Boolean);

impl Scope<'_> {
    /// Whether all of these are true of a row.
    pub(super) fn holds(&self, conditions: &[Expr], row: &[Value]) -> bool {
        conditions.iter().all(|condition| self.truth(condition, row) == Some(true))
    }

    fn truth(&self, expr: &Expr, row: &[Value]) -> Option<bool> {
        match expr {
            Expr::Constant(truth) => *truth,
            Expr::Column(_) | Expr::Parameter(_) => match self.value(expr, row).as_ref() {
                Value::Boolean(truth) => Some(*truth),
                _ => None,
            },
            Expr::Compare(op, left, right) => compared(*op, &self.value(left, row), &self.value(right, row)),
            Expr::All(all) => {
                let mut truth = Some(true);
                for member in all {
                    match self.truth(member, row) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => truth = None,
                    }
                }
                truth
            }
            Expr::Any(all) => {
                let mut truth = Some(false);
                for member in all {
                    match self.truth(member, row) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => truth = None,
                    }
                }
                truth
            }
            Expr::Not(expr) => self.truth(expr, row).map(|truth| !truth),
            Expr::IsNull(expr) => Some(self.value(expr, row).is_null()),
            Expr::Is(expr, truth) => Some(self.truth(expr, row) == *truth),
            Expr::In(expr, list) => self.in_list(expr, list, row),
            Expr::InSet(expr, set) => self.in_set(expr, *set, row),
            Expr::StartsWith(text, part) => {
                texts(&self.value(text, row), &self.value(part, row), |text, part| text.starts_with(part))
            }
            Expr::Contains(text, part) => {
                texts(&self.value(text, row), &self.value(part, row), |text, part| text.contains(part))
            }
        }
    }

    fn in_list(&self, expr: &Expr, list: &[Expr], row: &[Value]) -> Option<bool> {
        let value = self.value(expr, row);
        let mut truth = Some(false);
        for item in list {
            match compared(Op::Eq, &value, &self.value(item, row)) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => truth = None,
            }
        }
        truth
    }

    fn in_set(&self, expr: &Expr, set: usize, row: &[Value]) -> Option<bool> {
        let set = self.sets.get(set)?;
        if set.keys.is_empty() && !set.has_null {
            return Some(false);
        }
        let key = key([self.value(expr, row).as_ref()])?;
        match set.keys.contains(&key) {
            true => Some(true),
            false if set.has_null => None,
            false => Some(false),
        }
    }

    fn value<'a>(&'a self, expr: &Expr, row: &'a [Value]) -> Cow<'a, Value> {
        match expr {
            Expr::Column(column) => {
                let value = self.places.get(*column).and_then(|place| row.get(*place));
                Cow::Borrowed(value.unwrap_or(&NULL))
            }
            Expr::Parameter(index) => Cow::Borrowed(self.parameters.get(*index).unwrap_or(&NULL)),
            _ => Cow::Owned(self.truth(expr, row).map_or(NULL, Value::Boolean)),
        }
    }
}

fn texts(text: &Value, part: &Value, of: impl Fn(&str, &str) -> bool) -> Option<bool> {
    match (text, part) {
        (Value::Text(text), Value::Text(part)) => Some(of(text, part)),
        _ => None,
    }
}

fn compared(op: Op, left: &Value, right: &Value) -> Option<bool> {
    let ordering = match (left.is_null(), right.is_null()) {
        (false, false) => Some(order(left, right)),
        (true, true) => (op == Op::Distinct || op == Op::Same).then_some(Ordering::Equal),
        (true, false) | (false, true) => (op == Op::Distinct || op == Op::Same).then_some(Ordering::Less),
    };
    let ordering = ordering?;
    Some(match op {
        Op::Eq | Op::Same => ordering.is_eq(),
        Op::NotEq | Op::Distinct => ordering.is_ne(),
        Op::Lt => ordering.is_lt(),
        Op::LtEq => ordering.is_le(),
        Op::Gt => ordering.is_gt(),
        Op::GtEq => ordering.is_ge(),
    })
}

/// Of two values of one type; what is compared at all was looked at when the statement was compiled.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Int16(a), Value::Int16(b)) => a.cmp(b),
        (Value::Int32(a), Value::Int32(b)) => a.cmp(b),
        (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
        (Value::Float32(a), Value::Float32(b)) => floats(f64::from(*a), f64::from(*b)),
        (Value::Float64(a), Value::Float64(b)) => floats(*a, *b),
        (Value::Decimal128 { value: a, .. }, Value::Decimal128 { value: b, .. }) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Binary(a), Value::Binary(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Timestamp { micros: a, .. }, Value::Timestamp { micros: b, .. }) => a.cmp(b),
        (Value::TextList(a), Value::TextList(b)) => a.cmp(b),
        _ => Ordering::Less,
    }
}

fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
