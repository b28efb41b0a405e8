//! Names that a text may not write: the engine's own may be equal to them, so that a client would meet those. Knows words, no statements.

use crate::sql::tokens::character;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use querygate_query_api::own_names::is_reserved;
use querygate_types::{Error, ErrorCode, Result};

/// What is said of such a name.
pub(crate) const RESERVED: &str = "names with the character U+0000 or U+0001 are not supported";

/// Refuses a text with such a name. Without quotes no name holds such a character.
///
/// # Errors
/// 0A000 with the name's place. PostgreSQL knows such names.
pub(crate) fn refuse_reserved(tokens: &[TokenWithSpan]) -> Result<()> {
    let is_one = |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if is_reserved(&word.value));
    let Some(found) = tokens.iter().find(is_one) else { return Ok(()) };
    let place = u32::try_from(character(found.span.start)).unwrap_or(u32::MAX);
    Err(Error::new(ErrorCode::FeatureNotSupported, RESERVED).with_position(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;

    #[test]
    fn names_of_the_engines_own_are_refused_wherever_they_stand() {
        for (sql, place) in [
            ("SELECT 1 AS \"a\u{1}b\"", 13),
            ("SELECT x.\"card\u{1}1\" FROM (SELECT 1 AS card, 2 AS card) x", 10),
            ("SELECT \"\u{1}1\" FROM t", 8),
            ("SELECT * FROM \"\0search_path\".t", 15),
            ("SELECT * FROM (VALUES (1)) \"\u{1}rows\"", 28),
            ("WITH q(\"\u{1}1\") AS (SELECT 1) SELECT * FROM q", 8),
            ("INSERT INTO t (\"\u{1}1\") VALUES (1)", 16),
            ("SELECT 1; SET search_path = \"a\u{1}\"", 29),
        ] {
            let error = parse(sql).unwrap_err();
            assert_eq!((error.code(), error.message()), (ErrorCode::FeatureNotSupported, RESERVED), "{sql:?}");
            assert_eq!(error.position(), Some(place), "{sql:?}");
        }
    }

    /// Values are no names.
    #[test]
    fn values_may_hold_any_character() {
        for sql in ["SELECT 'a\u{1}b' AS a", "SELECT E'\\x01', U&'\\0001'", "SELECT 1 /* \u{1} */ AS \"\u{2}\""] {
            assert!(parse(sql).is_ok(), "{sql:?}");
        }
    }
}
