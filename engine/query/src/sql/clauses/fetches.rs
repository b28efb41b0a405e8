//! Counts of FETCH that the grammar does not read: in parentheses, or with a sign. They stand in LIMIT then.

use super::{Words, space};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The count of a FETCH whose count stands in LIMIT, in a token that is never made of a statement's text.
pub(crate) const LIMIT_MARK: &str = "limit";

impl Words<'_> {
    /// The word behind the count of a FETCH that is computed, or has a sign.
    pub(super) fn computed_fetch(&self, word: usize) -> Option<usize> {
        if !self.is(word, "fetch") || !self.is(word + 1, "first") && !self.is(word + 1, "next") {
            return None;
        }
        let rows = match self.token(word + 2)? {
            Token::LParen => self.closes.get(&(word + 2))? + 1,
            Token::Minus | Token::Plus => word + 4,
            _ => return None,
        };
        (self.is(rows, "row") || self.is(rows, "rows")).then_some(rows)
    }

    /// `FETCH FIRST (a) ROWS` is `LIMIT (a)`, and a FETCH that says so.
    pub(super) fn limit_of(&mut self, word: usize, rows: usize) {
        self.drop(word, word + 2);
        self.insert(word + 2, vec![Token::make_keyword("LIMIT"), space()]);
        let fetch = [Token::make_keyword("FETCH"), space(), Token::make_keyword("FIRST"), space()];
        let mark = [Token::TripleSingleQuotedString(LIMIT_MARK.to_owned()), space()];
        self.insert(rows, [space()].into_iter().chain(fetch).chain(mark).collect());
    }
}
