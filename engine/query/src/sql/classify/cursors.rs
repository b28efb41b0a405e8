//! DECLARE, and where FETCH and MOVE go.

use super::{Classified, unsupported};
use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::ast::{Declare, FetchDirection};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use querygate_types::{Error, ErrorCode, Result};
use std::fmt::Display;

/// Where FETCH and MOVE go from the row that a cursor is on. `None`: all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// None at all: the current row once more.
    Forward(Option<u64>),
    Backward(Option<u64>),
    /// To a row counted from the first, or from behind the last where negative.
    Absolute(i64),
    /// A number of rows on, or back where negative; only the last of them counts.
    Relative(i64),
}

pub(super) fn declare(mut stmts: Vec<Declare>) -> Result<Classified> {
    let (Some(one), true) = (stmts.pop(), stmts.is_empty()) else {
        return Err(unsupported("DECLARE of several names"));
    };
    let (Some(query), [name]) = (one.for_query, one.names.as_slice()) else {
        return Err(unsupported("DECLARE without a query"));
    };
    if one.binary == Some(true) {
        return Err(unsupported("a binary cursor"));
    }
    if !query.locks.is_empty() {
        let refusal = unsupported("a cursor whose query says FOR UPDATE or FOR SHARE");
        return Err(refusal.with_hint("A SELECT without a cursor locks its rows, where changes are enabled."));
    }
    Ok(Classified::Declare {
        name: name.value.clone(),
        query,
        hold: one.hold == Some(true),
        scroll: one.scroll == Some(true),
    })
}

/// A change of the row that a cursor stands on: it may be none any more.
///
/// # Errors
/// 0A000.
pub(crate) fn refuse_current_of(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut words = tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_)));
    let (mut first, mut second) = (words.next(), words.next());
    for third in words {
        let of_cursor = |one: &Token, two: &Token| is_word(one, "where") && is_word(two, "current");
        if first.zip(second).is_some_and(|(one, two)| of_cursor(one, two)) && is_word(third, "of") {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "WHERE CURRENT OF is not supported")
                .with_hint("Change rows by their keys."));
        }
        (first, second) = (second, Some(third));
    }
    Ok(())
}

pub(super) fn walk(direction: &FetchDirection) -> Result<Walk> {
    Ok(match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Walk::Forward(Some(1)),
        FetchDirection::Prior | FetchDirection::Backward { limit: None } => Walk::Backward(Some(1)),
        FetchDirection::First => Walk::Absolute(1),
        FetchDirection::Last => Walk::Absolute(-1),
        FetchDirection::Absolute { limit } => Walk::Absolute(number(limit)?),
        FetchDirection::Relative { limit } => Walk::Relative(number(limit)?),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => rows(number(limit)?, false),
        FetchDirection::Backward { limit: Some(limit) } => rows(number(limit)?, true),
        FetchDirection::All | FetchDirection::ForwardAll => Walk::Forward(None),
        FetchDirection::BackwardAll => Walk::Backward(None),
    })
}

/// A negative number goes the other way.
const fn rows(number: i64, back: bool) -> Walk {
    let count = Some(number.unsigned_abs());
    if back == (number < 0) { Walk::Forward(count) } else { Walk::Backward(count) }
}

fn number(written: &impl Display) -> Result<i64> {
    let text = written.to_string();
    text.parse().map_err(|_| Error::new(ErrorCode::SyntaxError, format!("syntax error at or near \"{text}\"")))
}
