//! SQL/JSON paths: what a text says, and the items that it finds in a value. Without `datetime()` and `keyvalue()`, which are refused.

mod eval;
mod parse;

pub(crate) use eval::{Found, Item, find, matches};
pub(crate) use parse::parse;

/// A path as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    strict: bool,
    root: Expr,
}

/// An expression of a path: a sequence of items.
#[derive(Debug, Clone)]
enum Expr {
    Root,
    /// `@`: the item that a filter looks at.
    Current,
    /// `last`: the last place of the array whose element is looked for.
    Last,
    Variable(String),
    Text(String),
    Number(String),
    Bool(bool),
    Null,
    Step(Box<Expr>, Step),
    Arithmetic(char, Box<Expr>, Box<Expr>),
    Sign(char, Box<Expr>),
    Predicate(Box<Predicate>),
}

#[derive(Debug, Clone)]
enum Step {
    Member(String),
    AnyMember,
    /// `.**{from to to}`; `None` is `last`.
    Descend(Option<u32>, Option<u32>),
    Elements(Vec<(Expr, Option<Expr>)>),
    AnyElement,
    Filter(Box<Predicate>),
    Method(Method),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
}

#[derive(Debug, Clone)]
enum Predicate {
    Compare(Comparison, Expr, Expr),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
    Not(Box<Predicate>),
    IsUnknown(Box<Predicate>),
    Exists(Expr),
    StartsWith(Expr, Expr),
    Like { of: Expr, pattern: String, flags: String },
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
