//! Evaluates a filter on a JSON row: the oracle that plans are tested with, and what `querygate access` answers from.

use super::{CompareOp, FilterValue, Operand, RowFilter, Test, reference_text, text};
use crate::value;
use querygate_types::Result;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Rows as the evaluator needs them. The implementor does the I/O; rows are returned without any policy applied.
pub trait RowLookup {
    /// Rows of `object` whose `column` equals `value` or, for a multi-value column, has it as an element.
    ///
    /// # Errors
    /// When the rows cannot be had. The evaluator then refuses.
    fn rows_where(&self, object: &str, column: &str, value: &str) -> Result<Vec<Map<String, Value>>>;
}

impl RowFilter {
    /// Whether the row passes. Values are read by the type of the value they are compared with; a value of another
    /// type never equals, so it is false except for `Ne` and negated tests.
    ///
    /// # Errors
    /// When related rows cannot be had.
    pub fn evaluate(&self, row: &Map<String, Value>, lookup: &dyn RowLookup) -> Result<bool> {
        match self {
            Self::All => Ok(true),
            Self::Nothing => Ok(false),
            Self::And(members) => {
                for member in members {
                    if !member.evaluate(row, lookup)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(members) => {
                for member in members {
                    if member.evaluate(row, lookup)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(inner) => Ok(!inner.evaluate(row, lookup)?),
            Self::Test(test) => test.evaluate(row, lookup),
        }
    }
}

impl Test {
    fn evaluate(&self, row: &Map<String, Value>, lookup: &dyn RowLookup) -> Result<bool> {
        let at = |column: &str| row.get(column).filter(|v| !v.is_null());
        Ok(match self {
            Self::Compare { column, op, value } => {
                holds(*op, at(column).and_then(|cell| value::compare(cell, value.value())))
            }
            Self::CompareColumns { left, op, right, add_days } => holds(
                *op,
                at(left).zip(at(right)).and_then(|(left, right)| value::compare_cells(left, right, *add_days)),
            ),
            Self::In { column, values, negated } => {
                let found = at(column).is_some_and(|cell| {
                    values.iter().any(|v| value::compare(cell, v.value()) == Some(Ordering::Equal))
                });
                found != *negated
            }
            Self::IsNull { column, negated } => at(column).is_none() != *negated,
            Self::Text { column, kind, pattern, negated } => {
                let found = match (at(column), pattern.value()) {
                    (Some(Value::String(cell)), FilterValue::Text(pattern)) => text::matches(*kind, cell, pattern),
                    _ => false,
                };
                found != *negated
            }
            Self::ListContains { column, value } => match at(column) {
                Some(Value::Array(elements)) => {
                    elements.iter().any(|e| value::compare(e, value.value()) == Some(Ordering::Equal))
                }
                _ => false,
            },
            Self::HasElements { column } => {
                matches!(at(column), Some(Value::Array(elements)) if !elements.is_empty())
            }
            Self::InRelated { column, object, filter, select } => {
                let Some(key) = at(column).and_then(reference_text) else { return Ok(false) };
                for related in lookup.rows_where(object, select, &key)? {
                    if filter.evaluate(&related, lookup)? {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }
}

/// `None`: a null, or values that do not compare.
fn holds(op: CompareOp, ordering: Option<Ordering>) -> bool {
    match (op, ordering) {
        (CompareOp::Ne, None) => true,
        (_, None) => false,
        (CompareOp::Eq, Some(o)) => o.is_eq(),
        (CompareOp::Ne, Some(o)) => o.is_ne(),
        (CompareOp::Lt, Some(o)) => o.is_lt(),
        (CompareOp::Le, Some(o)) => o.is_le(),
        (CompareOp::Gt, Some(o)) => o.is_gt(),
        (CompareOp::Ge, Some(o)) => o.is_ge(),
    }
}

impl From<FilterValue> for Operand {
    fn from(value: FilterValue) -> Self {
        Self::Literal(value)
    }
}
