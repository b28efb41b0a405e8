//! Formula fields and the conditions of rules: CEL, compiled once per snapshot and evaluated a row at a time (ObjectStack
//! reference, sections 3 and 4). Knows no table and reads no clock.

mod calendar;
mod cell;
mod compile;
mod evaluate;
mod functions;
mod returns;
mod rights;
#[cfg(test)]
mod tests;

use crate::pattern::Pattern;
pub use cell::Cell;
pub(crate) use compile::{compile, compile_condition, of_no_record};
use functions::Function;
pub use returns::with_return_types;
pub(crate) use rights::ObjectRight;

/// Why a formula has no value for a row. ObjectStack reads null there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An operand of a type that the operator does not take; null counts as one.
    Type,
    /// Integer overflow, division by zero, a date out of range.
    Range,
    /// A text or list longer than [`TEXT_BYTES_MAX`] bytes.
    Size,
}

/// Longest text that a formula may make, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// A compiled formula.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    program: Node,
    inputs: Vec<String>,
}

impl Formula {
    /// Fields of the record that it reads, in the order in which [`Formula::evaluate`] wants their values.
    #[must_use]
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// Its value for one row. `now_ms`: milliseconds since 1970, for `now()` and `today()`.
    ///
    /// # Errors
    /// [`Fault`]: the row has no value.
    pub fn evaluate(&self, row: &[Cell], now_ms: i64) -> Result<Cell, Fault> {
        evaluate::Row { cells: row, now_ms }.value(&self.program)
    }
}

/// What the names of a rule's expression begin with. A formula has the record only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// The record as it would be stored.
    Record,
    /// The record as it is stored.
    Previous,
    /// The master of the record.
    Parent,
    /// Who writes.
    User,
    /// A record that a field of the record refers to.
    Referred,
    /// Whether who writes may do something with an object.
    Right,
}

impl Root {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "record" => Self::Record,
            "previous" => Self::Previous,
            "parent" => Self::Parent,
            "current_user" => Self::User,
            _ => return None,
        })
    }
}

/// What a condition reads: a member of a root, or whether the root is there (any value but null).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) root: Root,
    pub(crate) name: Option<String>,
    /// Of a referred record, the field that refers to it; of a right, which its verb names, the object.
    pub(crate) through: Option<String>,
}

/// A compiled expression of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    program: Node,
    inputs: Vec<Input>,
}

impl Condition {
    /// What it reads, in the order in which [`Condition::evaluate`] wants the values.
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Whether it names a root.
    pub(crate) fn names(&self, root: Root) -> bool {
        self.inputs.iter().any(|input| input.root == root)
    }

    /// Its value for one row.
    pub(crate) fn evaluate(&self, row: &[Cell], now_ms: i64) -> Result<Cell, Fault> {
        evaluate::Row { cells: row, now_ms }.value(&self.program)
    }
}

/// A node of a compiled formula.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Constant(Cell),
    /// Place among the inputs.
    Input(usize),
    List(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    /// Condition, then, otherwise.
    Choose(Box<[Node; 3]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    Compare(Comparison, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    Matches(Box<Node>, Pattern),
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
