//! Scalar expressions of a fragment: closed, typed, and without any place for a value's text.

use crate::function::ScalarFunction;
use crate::identifier::ColumnId;
use crate::relation::Relation;
use crate::value::ValueType;

/// A scalar expression. Truth is three-valued as in SQL.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "operands are named by their place in what the variant says")]
pub enum ScalarExpr {
    /// A column in scope, of this query block or of one around it (correlation).
    Column(ColumnId),
    /// The fragment's parameter with this index (from 0) and its type.
    Parameter(usize, ValueType),
    /// A truth value or NULL.
    Constant(Constant),
    /// Both sides are [`ValueType::comparable_with`] each other, or decimals of any places, compared by value. Text by
    /// code point, floats with NaN = NaN largest and −0 = 0, binary by bytes, false < true.
    Comparison { op: ComparisonOp, left: Box<ScalarExpr>, right: Box<ScalarExpr> },
    /// All of them; empty is TRUE.
    And(Vec<ScalarExpr>),
    /// Any of them; empty is FALSE.
    Or(Vec<ScalarExpr>),
    /// Unknown stays unknown.
    Not(Box<ScalarExpr>),
    /// `expr IS [NOT] NULL`; never NULL itself.
    IsNull { expr: Box<ScalarExpr>, negated: bool },
    /// `expr IS [NOT] {TRUE | FALSE | UNKNOWN}`.
    IsTruth { expr: Box<ScalarExpr>, truth: Truth, negated: bool },
    /// `low <= expr AND expr <= high`, with `expr` evaluated once.
    Between { expr: Box<ScalarExpr>, low: Box<ScalarExpr>, high: Box<ScalarExpr>, negated: bool },
    /// `expr = ANY (list)`; an empty list is FALSE even for NULL.
    InList { expr: Box<ScalarExpr>, list: Vec<ScalarExpr>, negated: bool },
    /// `pattern` is the index of a text parameter. `%` any run, `_` one code point, `\` escapes the next character, a
    /// lone `\` at the end is itself; newlines match; case-insensitive: simple case folding.
    Like { expr: Box<ScalarExpr>, pattern: usize, negated: bool, case_insensitive: bool },
    /// Operands and result have `value_type` (decimals: any scale in, this scale out). Integers and decimals are
    /// checked (22003), as are floats (finite operands that give an infinity, or a zero out of non-zeros by `*` and `/`),
    /// and division by zero raises 22012. Integer division truncates to zero, `%` has the dividend's sign.
    Arithmetic { op: ArithmeticOp, left: Box<ScalarExpr>, right: Box<ScalarExpr>, value_type: ValueType },
    /// `-expr`; the least integer raises 22003.
    Negate(Box<ScalarExpr>),
    /// Searched CASE: first branch whose condition is TRUE; conditions and results after it are not evaluated.
    Case { branches: Vec<(ScalarExpr, ScalarExpr)>, otherwise: Option<Box<ScalarExpr>> },
    /// Conversion. To integer: from float rounds half to even, from decimal half away from zero, raises 22003 outside. To decimal: rounds half away
    /// from zero. From text: raises 22P02. Timestamp to date: floor.
    Cast { expr: Box<ScalarExpr>, from: ValueType, to: ValueType },
    /// The caller declares the result's type, which must fit the function's semantics.
    Function { function: ScalarFunction, args: Vec<ScalarExpr>, value_type: ValueType },
    /// The relation has a row. May name columns of the blocks around it.
    Exists { relation: Box<Relation>, negated: bool },
    /// `expr IN (relation of one column)` with SQL's NULL rules: an unknown match is NULL, also negated.
    InSubquery { expr: Box<ScalarExpr>, relation: Box<Relation>, negated: bool },
    /// One column; no row is NULL, more than one raises 21000.
    ScalarSubquery { relation: Box<Relation> },
}

/// What a source's columns hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Values of their type, or the source converts whatever it finds without an error.
    OfType,
    /// Anything: a conversion may meet a value that it fails for.
    OfAnyType,
}

/// The only things that a printer writes down by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the constants of SQL")]
pub enum Constant {
    True,
    False,
    Null(ValueType),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the operators of SQL")]
pub enum ComparisonOp {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    /// Never NULL.
    IsDistinctFrom,
    /// Never NULL.
    IsNotDistinctFrom,
}

impl ComparisonOp {
    /// The comparison that says of `b` and `a` what this one says of `a` and `b`.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
            Self::Eq | Self::NotEq | Self::IsDistinctFrom | Self::IsNotDistinctFrom => self,
        }
    }
}

/// A truth value to test for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the truth values of SQL")]
pub enum Truth {
    True,
    False,
    Unknown,
}

/// An arithmetic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the operations of SQL")]
pub enum ArithmeticOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl ScalarExpr {
    /// `left op right`.
    #[must_use]
    pub fn compare(op: ComparisonOp, left: Self, right: Self) -> Self {
        Self::Comparison { op, left: Box::new(left), right: Box::new(right) }
    }

    /// Always true.
    #[must_use]
    pub const fn always() -> Self {
        Self::Constant(Constant::True)
    }

    /// Direct scalar operands, in the order in which they are written.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Column(_)
            | Self::Parameter(..)
            | Self::Constant(_)
            | Self::Exists { .. }
            | Self::ScalarSubquery { .. } => Vec::new(),
            Self::Comparison { left, right, .. } | Self::Arithmetic { left, right, .. } => vec![left, right],
            Self::And(all) | Self::Or(all) => all.iter().collect(),
            Self::Not(expr)
            | Self::Negate(expr)
            | Self::IsNull { expr, .. }
            | Self::IsTruth { expr, .. }
            | Self::Like { expr, .. }
            | Self::Cast { expr, .. }
            | Self::InSubquery { expr, .. } => vec![expr],
            Self::Between { expr, low, high, .. } => vec![expr, low, high],
            Self::InList { expr, list, .. } => std::iter::once(expr.as_ref()).chain(list).collect(),
            Self::Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
            Self::Function { args, .. } => args.iter().collect(),
        }
    }

    /// The relation of a subquery expression.
    #[must_use]
    pub fn subquery(&self) -> Option<&Relation> {
        match self {
            Self::Exists { relation, .. } | Self::InSubquery { relation, .. } | Self::ScalarSubquery { relation } => {
                Some(relation)
            }
            Self::Column(_)
            | Self::Parameter(..)
            | Self::Constant(_)
            | Self::Comparison { .. }
            | Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::IsNull { .. }
            | Self::IsTruth { .. }
            | Self::Between { .. }
            | Self::InList { .. }
            | Self::Like { .. }
            | Self::Arithmetic { .. }
            | Self::Negate(_)
            | Self::Case { .. }
            | Self::Cast { .. }
            | Self::Function { .. } => None,
        }
    }

    /// Whether some row can make it raise (or take unbounded time), where each column holds values of its type only.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        self.can_fail_over(Held::OfType)
    }

    /// Whether some row can make it raise (or take unbounded time): such an expression must not meet hidden rows.
    #[must_use]
    pub fn can_fail_over(&self, held: Held) -> bool {
        let own = match self {
            Self::Column(_)
            | Self::Parameter(..)
            | Self::Constant(_)
            | Self::Comparison { .. }
            | Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::IsNull { .. }
            | Self::IsTruth { .. }
            | Self::Between { .. }
            | Self::InList { .. }
            | Self::Case { .. } => false,
            // Patterns are matched without backtracking limits only in their case-sensitive form.
            Self::Like { case_insensitive, .. } => *case_insensitive,
            Self::Arithmetic { .. } | Self::Negate(_) => true,
            Self::Cast { from, to, .. } => match held {
                Held::OfType => cast_can_fail(*from, *to),
                Held::OfAnyType => converts(*from, *to),
            },
            // A column holds what its type is; a text that a statement brings need not be jsonb.
            Self::Function { function: ScalarFunction::OrderKey, args, .. } => {
                matches!(args.as_slice(), [Self::Parameter(_, ValueType::Text)])
            }
            Self::Function { function, .. } => function.can_fail(),
            Self::Exists { relation, .. } | Self::InSubquery { relation, .. } => relation.can_fail_over(held),
            Self::ScalarSubquery { .. } => true,
        };
        own || self.children().into_iter().any(|child| child.can_fail_over(held))
    }
}

/// Whether a value of another type than `from` can make the conversion raise: each can, unless the value stays what it is.
fn converts(from: ValueType, to: ValueType) -> bool {
    from != to && !(from.is_integer() && to.is_integer() && !cast_can_fail(from, to))
}

/// Whether some value of `from` has no counterpart in `to`. A decimal's precision is what metadata declares; the source may
/// hold larger numbers (an integer, a numeric of any width), which a cast to whatever type computes with: each can fail.
fn cast_can_fail(from: ValueType, to: ValueType) -> bool {
    use ValueType::{Date, Float32, Float64, Int16, Int32, Int64, Text, Timestamp};
    match (from, to) {
        (a, b) if a == b => false,
        (Int16, Int32 | Int64 | Float32 | Float64) | (Int32, Int64 | Float32 | Float64) => false,
        (Int64, Float32 | Float64) | (Float32, Float64) => false,
        (Int16 | Int32 | Int64, Text) => false,
        (Timestamp { .. }, Date) => false,
        _ => true,
    }
}
