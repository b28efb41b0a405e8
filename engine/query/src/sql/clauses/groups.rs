//! GROUP BY: ALL and DISTINCT before its keys, and keys of sets that begin with a parenthesis and go on behind it.

use super::Words;
use datafusion::sql::sqlparser::tokenizer::Token;

/// Stands among the keys of a GROUP BY DISTINCT.
pub(crate) const DISTINCT_MARK: &str = "distinct groups";

impl Words<'_> {
    /// Whether GROUP BY ALL or DISTINCT begins at a word; the first is said by leaving it out, the other one by a key. The keys of ROLLUP
    /// and CUBE are put right on the way.
    pub(super) fn grouped_by(&mut self, word: usize) -> bool {
        if self.is(word, "rollup") || self.is(word, "cube") {
            self.put_in_parentheses(word + 1);
            return false;
        }
        let distinct = self.are(word, &["group", "by", "distinct"]);
        if !(distinct || self.are(word, &["group", "by", "all"])) || !self.key_follows(word + 3) {
            return false;
        }
        self.drop(word + 2, word + 3);
        if distinct {
            // A token that is never made of a statement's text.
            let mark = Token::TripleSingleQuotedString(DISTINCT_MARK.to_owned());
            self.insert(word + 3, vec![mark, Token::Comma]);
        }
        true
    }

    /// `ROLLUP ((a)::int, b)` is `ROLLUP (((a)::int), b)`: the grammar takes a parenthesis at the beginning for the whole, and what is in
    /// it for keys, so that a subquery gets one more, too.
    pub(super) fn put_in_parentheses(&mut self, open: usize) {
        let Some(end) = self.closes.get(&open).copied() else { return };
        let (mut begins, mut at) = (open + 1, open + 1);
        while at <= end {
            if at < end && !self.sign(at, &Token::Comma) {
                at = self.closes.get(&at).map_or(at + 1, |closed| closed + 1);
                continue;
            }
            let is_query = self.is(begins + 1, "select") || self.is(begins + 1, "with");
            if self.closes.get(&begins).is_some_and(|closed| closed + 1 < at || is_query) {
                self.insert(begins, vec![Token::LParen]);
                self.insert(at, vec![Token::RParen]);
            }
            begins = at + 1;
            at += 1;
        }
    }

    /// Whether a key of GROUP BY stands there.
    fn key_follows(&self, word: usize) -> bool {
        let ends = ["having", "order", "limit", "offset", "window", "union", "intersect", "except", "fetch", "for"];
        match self.token(word) {
            None | Some(Token::EOF | Token::SemiColon | Token::RParen | Token::Comma) => false,
            Some(_) => !ends.iter().any(|end| self.is(word, end)),
        }
    }
}
