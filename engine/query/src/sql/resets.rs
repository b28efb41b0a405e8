//! RESET of settings that are named with several words, which the library does not read. Knows no value.

use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, Reset, ResetStatement, Statement as Ast};
use datafusion::sql::sqlparser::parser::Parser;

/// Settings that RESET names with several words.
const WORDED: &[(&[&str], &str)] = &[
    (&["time", "zone"], "TimeZone"),
    (&["session", "authorization"], "session_authorization"),
    (&["transaction", "isolation", "level"], "transaction_isolation"),
];

/// A RESET of one of them; nothing is taken of another statement.
pub(super) fn reset_of_words(parser: &mut Parser<'_>) -> Option<Ast> {
    if !is_word(&parser.peek_token_ref().token, "reset") {
        return None;
    }
    let mut worded = WORDED.iter();
    let (words, name) = worded.find(|(words, _)| {
        let mut places = (1..).zip(words.iter());
        places.all(|(at, word)| is_word(&parser.peek_nth_token_ref(at).token, word))
    })?;
    for _ in 0..=words.len() {
        parser.next_token();
    }
    let name = ObjectName::from(vec![Ident::new(*name)]);
    Some(Ast::Reset(ResetStatement { reset: Reset::ConfigurationParameter(name) }))
}
