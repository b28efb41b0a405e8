//! SQL/JSON paths: what a text says, and the items that it finds in a value. Without `datetime()` and `keyvalue()`, which are refused.

mod eval;
mod parse;

pub(crate) use eval::{Found, Item, find, matches};
pub(crate) use parse::parse;

use crate::functions::PathExpression;
use std::cell::OnceCell;
use std::rc::Rc;

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
    Like(Like),
}

/// Whether texts match an expression, which is compiled when the first one is asked.
#[derive(Debug, Clone)]
struct Like {
    of: Expr,
    pattern: String,
    flags: String,
    compiled: OnceCell<Rc<PathExpression>>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tree::Json;

    #[test]
    fn expressions_are_bounded_as_those_of_functions() {
        let matched = |pattern: &str, text: &str| {
            let path = parse(&format!("$ like_regex \"{pattern}\"")).unwrap();
            let (root, none) = (Json::String(text.to_owned()).node(), Json::Object(Vec::new()).node());
            matches(&path, &root, &none).map_err(|wrong| wrong.error().to_string())
        };
        let long = "a".repeat(1_000_000);
        assert_eq!(matched("^a+$", &long), Ok(Some(true)));
        assert_eq!(matched("(a{1,60}){1,60}b", "ab"), Ok(Some(true)));
        assert!(matched("(a{1,60}){1,60}b", &long).unwrap_err().contains("too complex"));
        assert!(matched("(", "a").unwrap_err().contains("invalid regular expression"));
    }

    #[test]
    fn an_expression_is_asked_of_each_item() {
        let path = parse("$[*] ? (@ like_regex \"^(.)x\\\\1$\" flag \"i\")").unwrap();
        let texts = ["axa", "AXA", "axb"].map(|text| Json::String(text.to_owned()).node());
        let (root, none) = (Json::Array(texts.to_vec()).node(), Json::Object(Vec::new()).node());
        let found = find(&path, &root, &none).map_err(|wrong| wrong.error().to_string()).unwrap();
        assert_eq!(found.len(), 2);
    }
}
