//! Lists of IN whose first member begins with a subquery: the grammar takes it for all that IN looks in.

use super::Words;
use datafusion::sql::sqlparser::tokenizer::Token;

/// What goes on with the query that a parenthesis begins.
const QUERY_GOES_ON: [&str; 8] = ["union", "intersect", "except", "order", "limit", "offset", "fetch", "for"];

impl Words<'_> {
    /// Puts such a member into a call that gives what it is given.
    pub(super) fn list_of_subquery(&mut self, word: usize) {
        if !self.is(word, "in") || !self.sign(word + 1, &Token::LParen) {
            return;
        }
        let Some(closed) = self.closes.get(&(word + 2)).copied() else { return };
        let begins = (word + 2..).find(|at| !self.sign(*at, &Token::LParen)).unwrap_or(closed);
        let is_query = ["select", "with"].iter().any(|first| self.is(begins, first));
        let goes_on = QUERY_GOES_ON.iter().any(|next| self.is(closed + 1, next));
        if !is_query || goes_on || self.sign(closed + 1, &Token::RParen) {
            return;
        }
        self.insert(word + 2, vec![Token::make_word("coalesce", None), Token::LParen]);
        self.insert(closed + 1, vec![Token::RParen]);
    }
}
