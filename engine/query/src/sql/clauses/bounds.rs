//! The order of BETWEEN's bounds, which the grammar does not know: `SYMMETRIC` is said before the first bound then.

use super::{Words, space};
use datafusion::sql::sqlparser::tokenizer::Token;

/// Stands before the first of two bounds in either order, overlapping with it, in a token that is never made of a statement's text.
pub(crate) const SYMMETRIC_MARK: &str = "symmetric";

impl Words<'_> {
    /// The word at which the bounds begin whose order is said.
    pub(super) fn ordered_bounds(&mut self, word: usize) -> Option<usize> {
        if !self.is(word, "between") {
            return None;
        }
        let symmetric = self.is(word + 1, "symmetric");
        if !symmetric && !self.is(word + 1, "asymmetric") {
            return None;
        }
        self.drop(word + 1, word + 2);
        if symmetric {
            let mark = Token::TripleSingleQuotedString(SYMMETRIC_MARK.to_owned());
            // No operator binds less in what the grammar takes for a bound.
            self.insert(word + 2, vec![mark, space(), Token::Overlap, space()]);
        }
        Some(word + 2)
    }
}
