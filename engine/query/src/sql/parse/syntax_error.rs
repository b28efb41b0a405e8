//! Failures of the library's parser as PostgreSQL words them, with the place of the token. Parses nothing.

use crate::sql::foreign::hinted;
use crate::sql::tokens::character;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};
use querygate_types::{Error, ErrorCode, limits};

/// With a hint where another system's words are the failure. `at`: where the parser stands; the failure may say better.
pub(super) fn syntax_error(sql: &str, error: ParserError, at: Option<Location>) -> Error {
    hinted(worded(sql, error, at), sql)
}

fn worded(sql: &str, error: ParserError, at: Option<Location>) -> Error {
    // The tokenizer's own text counts lines, tokens count characters.
    let is_tokenizer = matches!(error, ParserError::TokenizerError(_));
    match error {
        ParserError::RecursionLimitExceeded => {
            Error::new(ErrorCode::StatementTooComplex, "statement is nested too deep")
                .with_hint(format!("At most {} levels are accepted.", limits::SQL_DEPTH_MAX))
        }
        // The library tries several readings and may report another one's failure.
        ParserError::ParserError(_) if is_deep(sql) => worded(sql, ParserError::RecursionLimitExceeded, at),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let location = at.filter(|_| is_tokenizer).or_else(|| location_in(&text)).or(at);
            match found_token(&text) {
                Some("EOF") => {
                    let end = u32::try_from(sql.chars().count()).unwrap_or(u32::MAX).saturating_add(1);
                    Error::new(ErrorCode::SyntaxError, "syntax error at end of input").with_position(end)
                }
                Some(token) => near(token, location),
                None => with_location(
                    Error::new(ErrorCode::SyntaxError, format!("syntax error: {}", without_location(&text))),
                    location,
                ),
            }
        }
    }
}

/// Whether parentheses nest, or prefix operators follow one another, beyond the limit.
fn is_deep(sql: &str) -> bool {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return false };
    let (mut open, mut prefixes) = (0_usize, 0_usize);
    for token in tokens {
        match token {
            Token::Whitespace(_) => {}
            Token::LParen | Token::LBracket => open += 1,
            Token::RParen | Token::RBracket => open = open.saturating_sub(1),
            Token::Minus | Token::Plus | Token::Tilde => prefixes += 1,
            Token::Word(word) if word.keyword == Keyword::NOT => prefixes += 1,
            Token::Word(word) if word.keyword == Keyword::CASE => open += 1,
            Token::Word(word) if word.keyword == Keyword::END => open = open.saturating_sub(1),
            _ => prefixes = 0,
        }
        if open > limits::SQL_DEPTH_MAX || prefixes > limits::SQL_DEPTH_MAX / 2 {
            return true;
        }
    }
    false
}

fn near(token: &str, at: Option<Location>) -> Error {
    with_location(Error::new(ErrorCode::SyntaxError, format!("syntax error at or near \"{token}\"")), at)
}

fn with_location(error: Error, at: Option<Location>) -> Error {
    match at {
        Some(location) if location.line > 0 => {
            error.with_position(u32::try_from(character(location)).unwrap_or(u32::MAX))
        }
        _ => error,
    }
}

/// The library writes "…, found: TOKEN at Line: 1, Column: 8".
fn found_token(text: &str) -> Option<&str> {
    let rest = text.split_once("found: ")?.1;
    Some(rest.rsplit_once(" at Line:").map_or(rest, |(token, _)| token))
}

fn without_location(text: &str) -> &str {
    text.rsplit_once(" at Line:").map_or(text, |(head, _)| head)
}

fn location_in(text: &str) -> Option<Location> {
    let (_, tail) = text.rsplit_once("Line: ")?;
    let (line, rest) = tail.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Location { line: line.trim().parse().ok()?, column: digits.parse().ok()? })
}
