//! Clauses that the grammar does not know. What says the same in other words is put into those: groups of sets within sets, joins within
//! joins, one function in ROWS FROM. What the gate does not have is taken out and remembered: the rest is bound, so that a name that does
//! not exist is told first, and then the clause is refused. Knows words, no statements.

use crate::tokens::{character, is_word};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace};
use std::collections::BTreeMap;

/// A clause that was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absent {
    /// The character of the text, counted from 1, at which it begins.
    pub(crate) at: u64,
    pub(crate) clause: &'static str,
}

/// The words of a clause that is looked through to its end.
const CLAUSE_WORDS_MAX: usize = 1_000;

/// The tokens as the grammar reads them, and what it does not.
pub(crate) fn known(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Absent>) {
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let places: Vec<usize> = (0..tokens.len()).filter(|at| tokens.get(*at).is_some_and(|t| !blank(t))).collect();
    let mut reader = Words { tokens: &tokens, places, gone: Vec::new(), before: BTreeMap::new(), absent: Vec::new() };
    reader.read();
    let (gone, mut before, absent) = (reader.gone, reader.before, reader.absent);
    if gone.is_empty() && before.is_empty() {
        return (tokens, absent);
    }
    let mut taken = vec![false; tokens.len()];
    for at in gone {
        if let Some(taken) = taken.get_mut(at) {
            *taken = true;
        }
    }
    let mut out = Vec::with_capacity(tokens.len());
    let (end, last) = (tokens.len(), tokens.last().map(|token| token.span));
    for (at, token) in tokens.into_iter().enumerate() {
        for word in before.remove(&at).into_iter().flatten() {
            out.push(TokenWithSpan::new(word, token.span));
        }
        if taken.get(at) == Some(&true) {
            out.push(TokenWithSpan::new(Token::Whitespace(Whitespace::Space), token.span));
        } else {
            out.push(token);
        }
    }
    let span = last.unwrap_or_else(Span::empty);
    out.extend(before.remove(&end).into_iter().flatten().map(|word| TokenWithSpan::new(word, span)));
    (out, absent)
}

/// What an open parenthesis holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Sets of GROUP BY; of sets within sets the parentheses are left out.
    Sets {
        left_out: bool,
    },
    /// Functions in ROWS FROM, whose parentheses are left out.
    Rows,
    Other,
}

/// A join whose condition is still to come.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// The word at which its right side begins.
    operand: usize,
    /// Whether its right side is a join.
    joined: bool,
}

struct Words<'a> {
    tokens: &'a [TokenWithSpan],
    /// Where words and signs stand among the tokens.
    places: Vec<usize>,
    /// Tokens to leave out.
    gone: Vec<usize>,
    /// What to put before a token.
    before: BTreeMap<usize, Vec<Token>>,
    absent: Vec<Absent>,
}

impl Words<'_> {
    fn token(&self, word: usize) -> Option<&Token> {
        self.tokens.get(*self.places.get(word)?).map(|token| &token.token)
    }

    fn is(&self, word: usize, text: &str) -> bool {
        self.token(word).is_some_and(|token| is_word(token, text))
    }

    fn are(&self, word: usize, texts: &[&str]) -> bool {
        (word..).zip(texts).all(|(at, text)| self.is(at, text))
    }

    fn sign(&self, word: usize, sign: &Token) -> bool {
        self.token(word) == Some(sign)
    }

    fn is_name(&self, word: usize) -> bool {
        matches!(self.token(word), Some(Token::Word(_)))
    }

    fn drop(&mut self, from: usize, to: usize) {
        self.gone.extend(self.places.get(from..to).unwrap_or_default());
    }

    fn insert(&mut self, word: usize, tokens: Vec<Token>) {
        if let Some(place) = self.places.get(word) {
            self.before.entry(*place).or_default().extend(tokens);
        }
    }

    fn refuse(&mut self, from: usize, to: usize, clause: &'static str) {
        self.drop(from, to);
        if let Some(token) = self.places.get(from).and_then(|place| self.tokens.get(*place)) {
            self.absent.push(Absent { at: character(token.span.start), clause });
        }
    }

    fn read(&mut self) {
        let mut open: Vec<(Within, Vec<Pending>)> = vec![(Within::Other, Vec::new())];
        let mut word = 0;
        while let Some(token) = self.token(word) {
            match token {
                Token::LParen => open.push((Within::Other, Vec::new())),
                Token::RParen if open.len() > 1 => {
                    if let Some((Within::Rows | Within::Sets { left_out: true }, _)) = open.pop() {
                        self.drop(word, word + 1);
                    }
                }
                Token::SemiColon => open = vec![(Within::Other, Vec::new())],
                Token::Comma => {
                    if let Some((within, pending)) = open.last_mut() {
                        pending.clear();
                        if *within == Within::Rows {
                            self.insert(word, vec![Token::make_keyword("CROSS"), space(), Token::make_keyword("JOIN")]);
                            self.refuse(word, word + 1, "ROWS FROM of several functions");
                        }
                    }
                }
                Token::Word(_) => {
                    word = self.clause(word, &mut open);
                    continue;
                }
                _ => {}
            }
            word += 1;
        }
    }

    /// Reads what begins at a word; the word behind it.
    fn clause(&mut self, word: usize, open: &mut Vec<(Within, Vec<Pending>)>) -> usize {
        let within = open.last().map_or(Within::Other, |(within, _)| *within);
        if self.are(word, &["grouping", "sets"]) && self.sign(word + 2, &Token::LParen) {
            let left_out = matches!(within, Within::Sets { .. });
            if left_out {
                self.drop(word, word + 3);
            }
            open.push((Within::Sets { left_out }, Vec::new()));
            return word + 3;
        }
        if self.are(word, &["rows", "from"]) && self.sign(word + 2, &Token::LParen) {
            self.drop(word, word + 3);
            open.push((Within::Rows, Vec::new()));
            return word + 3;
        }
        if self.is(word, "select") && self.selects_nothing(word + 1) {
            self.one_row(word + 1);
            return word + 1;
        }
        if self.is(word, "name") && self.begins_value(word) {
            // `name 'a'` is `'a'::name`.
            self.drop(word, word + 1);
            self.insert(word + 2, vec![Token::DoubleColon, Token::make_word("name", None), space()]);
            return word + 2;
        }
        if let Some((clause, end)) = self.absent_clause(word, within) {
            self.refuse(word, end, clause);
            return end;
        }
        if self.is(word, "exclude")
            && let Some(words) = self.excludes(word)
        {
            self.drop(word, word + 1 + words);
            if !self.is(word + 1, "no") {
                self.mark_exclusion(word);
            }
            return word + 1 + words;
        }
        if self.are(word, &["group", "by", "all"]) && self.key_follows(word + 3) {
            self.drop(word + 2, word + 3);
            return word + 3;
        }
        if let Some((_, pending)) = open.last_mut() {
            self.join(word, pending);
        }
        word + 1
    }

    /// A clause that the gate does not have, and the word behind it.
    fn absent_clause(&self, word: usize, within: Within) -> Option<(&'static str, usize)> {
        let before = word.checked_sub(1);
        let closed = before.is_some_and(|before| self.sign(before, &Token::RParen));
        if closed && self.is(word, "search") && (self.is(word + 1, "depth") || self.is(word + 1, "breadth")) {
            let set = self.find(word, "set").filter(|_| self.are(word + 2, &["first", "by"]))?;
            return Some(("SEARCH", set + 2));
        }
        if self.is(word, "cycle") && self.is_name(word + 1) && (closed || before.is_some_and(|b| self.is_name(b))) {
            let set = self.find(word, "set")?;
            let names = (word + 1..set).all(|at| self.is_name(at) || self.sign(at, &Token::Comma));
            return self.find(set, "using").filter(|_| names).map(|using| ("CYCLE", using + 2));
        }
        if closed && self.is(word, "as") && self.is_name(word + 1) && self.closes_using(word - 1) {
            return Some(("an alias of USING", word + 2));
        }
        if within == Within::Rows && self.is(word, "as") && self.sign(word + 1, &Token::LParen) {
            return Some(("a column definition list in ROWS FROM", self.closing(word + 1)? + 1));
        }
        None
    }

    /// How many words follow EXCLUDE at the end of a frame.
    fn excludes(&self, word: usize) -> Option<usize> {
        let kinds: [&[&str]; 4] = [&["no", "others"], &["current", "row"], &["group"], &["ties"]];
        let kind = kinds.into_iter().find(|kind| self.are(word + 1, kind))?;
        let frame = word.checked_sub(1)?;
        let ends = ["row", "preceding", "following"].iter().any(|end| self.is(frame, end));
        (ends && self.sign(word + 1 + kind.len(), &Token::RParen)).then_some(kind.len())
    }

    /// Says in the window before a frame which rows it leaves out: `PARTITION BY` has one constant key more.
    fn mark_exclusion(&mut self, word: usize) {
        let kind = ["current row", "group", "ties"]
            .into_iter()
            .find(|kind| self.is(word + 1, kind.split(' ').next().unwrap_or(kind)));
        let (mut depth, mut begins, mut partition) = (0_usize, word, None);
        for at in (0..word).rev().take(CLAUSE_WORDS_MAX) {
            match self.token(at) {
                Some(Token::RParen) => depth += 1,
                Some(Token::LParen) if depth == 0 => break,
                Some(Token::LParen) => depth -= 1,
                _ if depth > 0 => {}
                _ if self.are(at, &["partition", "by"]) => partition = Some(at),
                _ if self.are(at, &["order", "by"]) => begins = at,
                _ if begins == word && ["rows", "range", "groups"].iter().any(|unit| self.is(at, unit)) => begins = at,
                _ => {}
            }
        }
        // A token that is never made of a statement's text.
        let mark = Token::TripleSingleQuotedString(format!("exclude {}", kind.unwrap_or_default()));
        match partition {
            Some(at) => self.insert(at + 2, vec![mark, Token::Comma]),
            None => {
                let by = [Token::make_keyword("PARTITION"), space(), Token::make_keyword("BY"), space(), mark, space()];
                self.insert(begins, by.into());
            }
        }
    }

    fn find(&self, from: usize, text: &str) -> Option<usize> {
        (from..from + CLAUSE_WORDS_MAX)
            .take_while(|at| !self.sign(*at, &Token::SemiColon))
            .find(|at| self.is(*at, text))
    }

    /// Where a parenthesis is closed.
    fn closing(&self, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in from..from + CLAUSE_WORDS_MAX {
            match self.token(at)? {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => return Some(at),
                Token::RParen => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
        None
    }

    /// Whether a parenthesis closes the names of a join's USING.
    fn closes_using(&self, word: usize) -> bool {
        let names = (0..word).rev().take(CLAUSE_WORDS_MAX);
        let open = names.take_while(|at| self.is_name(*at) || self.sign(*at, &Token::Comma)).last();
        let Some(open) = open.and_then(|first| first.checked_sub(1)) else { return false };
        self.sign(open, &Token::LParen) && open.checked_sub(1).is_some_and(|using| self.is(using, "using"))
    }

    /// Whether a text stands behind a word that begins a value.
    fn begins_value(&self, word: usize) -> bool {
        let begins = word.checked_sub(1).is_some_and(|before| {
            self.is(before, "select") || matches!(self.token(before), Some(Token::LParen | Token::Comma))
        });
        begins && matches!(self.token(word + 1), Some(Token::SingleQuotedString(_)))
    }

    /// Whether a SELECT ends where its list would begin.
    fn selects_nothing(&self, word: usize) -> bool {
        match self.token(word) {
            None | Some(Token::EOF | Token::SemiColon | Token::RParen) => true,
            Some(_) => ["union", "intersect", "except"].iter().any(|end| self.is(word, end)),
        }
    }

    /// One row of nothing.
    fn one_row(&mut self, word: usize) {
        let place = self.places.get(word).copied().unwrap_or(self.tokens.len());
        let name = |name: &str| Token::make_word(name, Some('"'));
        let one = [Token::make_keyword("SELECT"), space(), Token::Number("1".to_owned(), false)];
        let from = [space(), Token::make_keyword("FROM"), space(), Token::LParen];
        let end = [Token::RParen, space(), Token::make_keyword("AS"), space(), name("nothing"), space()];
        self.before.entry(place).or_default().extend(from.into_iter().chain(one).chain(end));
    }

    /// Whether a key of GROUP BY stands there.
    fn key_follows(&self, word: usize) -> bool {
        let ends = ["having", "order", "limit", "offset", "window", "union", "intersect", "except", "fetch", "for"];
        match self.token(word) {
            None | Some(Token::EOF | Token::SemiColon | Token::RParen | Token::Comma) => false,
            Some(_) => !ends.iter().any(|end| self.is(word, end)),
        }
    }

    /// `a JOIN b JOIN c ON x ON y` is `a JOIN (b JOIN c ON x) ON y`.
    fn join(&mut self, word: usize, pending: &mut Vec<Pending>) {
        let ends = ["select", "from", "where", "group", "having", "order", "limit", "union", "except", "intersect"];
        if ends.iter().any(|end| self.is(word, end)) {
            pending.clear();
        } else if self.is(word, "join") {
            if let Some(last) = pending.last_mut() {
                last.joined = true;
            }
            let kind = (0..word)
                .rev()
                .take(3)
                .find(|at| !["inner", "outer", "left", "right", "full"].iter().any(|kind| self.is(*at, kind)));
            if !kind.is_some_and(|at| self.is(at, "cross") || self.is(at, "natural")) {
                pending.push(Pending { operand: word + 1, joined: false });
            }
        } else if self.is(word, "on") || self.is(word, "using") && self.sign(word + 1, &Token::LParen) {
            if let Some(Pending { operand, joined: true }) = pending.pop() {
                self.insert(operand, vec![Token::LParen]);
                self.insert(word, vec![Token::RParen, space()]);
            }
        }
    }
}

fn space() -> Token {
    Token::Whitespace(Whitespace::Space)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::tokens;

    fn read(sql: &str) -> (String, Vec<&'static str>) {
        let (tokens, absent) = known(tokens(sql).unwrap());
        let text: String = tokens.iter().map(|token| token.token.to_string()).collect();
        let words: Vec<&str> = text.split_whitespace().collect();
        (words.join(" "), absent.iter().map(|absent| absent.clause).collect())
    }

    #[test]
    fn other_words_for_the_same_are_put_right() {
        for (sql, same) in [
            ("a JOIN b JOIN c ON x ON y WHERE z", "a JOIN (b JOIN c ON x ) ON y WHERE z"),
            (
                "a JOIN b LEFT JOIN c JOIN d USING (i) ON x ON y",
                "a JOIN (b LEFT JOIN (c JOIN d USING (i) ) ON x ) ON y",
            ),
            ("a JOIN b CROSS JOIN c ON x", "a JOIN (b CROSS JOIN c ) ON x"),
            ("a NATURAL LEFT JOIN b JOIN c ON x", "a NATURAL LEFT JOIN b JOIN c ON x"),
            (
                "SELECT DISTINCT ON (a) a FROM b JOIN c ON d JOIN e ON f",
                "SELECT DISTINCT ON (a) a FROM b JOIN c ON d JOIN e ON f",
            ),
            ("GROUPING SETS (a, GROUPING SETS ((b), ()))", "GROUPING SETS (a, (b), () )"),
            ("GROUP BY ALL ROLLUP (a)", "GROUP BY ROLLUP (a)"),
            (
                "SELECT UNION (SELECT) EXCEPT SELECT FROM a",
                "SELECT FROM (SELECT 1) AS \"nothing\" UNION (SELECT FROM (SELECT 1) AS \"nothing\" ) EXCEPT SELECT FROM a",
            ),
            ("GROUP BY ALL ORDER BY a", "GROUP BY ALL ORDER BY a"),
            ("FROM ROWS FROM (f(1, 2)) WITH ORDINALITY", "FROM f(1, 2) WITH ORDINALITY"),
            ("(ROWS 1 PRECEDING EXCLUDE NO OTHERS)", "(ROWS 1 PRECEDING )"),
            (
                "(w ROWS CURRENT ROW EXCLUDE CURRENT ROW)",
                "(w PARTITION BY '''exclude current row''' ROWS CURRENT ROW )",
            ),
            (
                "(PARTITION BY f(b) ORDER BY (a) RANGE 1 PRECEDING EXCLUDE TIES)",
                "(PARTITION BY '''exclude ties''',f(b) ORDER BY (a) RANGE 1 PRECEDING )",
            ),
            (
                "(ORDER BY a GROUPS 1 PRECEDING EXCLUDE GROUP)",
                "(PARTITION BY '''exclude group''' ORDER BY a GROUPS 1 PRECEDING )",
            ),
        ] {
            assert_eq!(read(sql), (same.to_owned(), Vec::new()), "{sql}");
        }
    }

    #[test]
    fn what_the_gate_lacks_is_remembered() {
        for (sql, rest, clause) in [
            ("t AS (q) SEARCH DEPTH FIRST BY a, b SET s SELECT 1", "t AS (q) SELECT 1", "SEARCH"),
            ("t AS (q) CYCLE a, b SET c TO 'Y' DEFAULT 'N' USING p SELECT 1", "t AS (q) SELECT 1", "CYCLE"),
            ("a JOIN b USING (i, j) AS x WHERE", "a JOIN b USING (i, j) WHERE", "an alias of USING"),
            ("ROWS FROM (f(1, 2), g(3)) AS z", "f(1, 2)CROSS JOIN g(3) AS z", "ROWS FROM of several functions"),
            ("ROWS FROM (f(1) AS (a int))", "f(1)", "a column definition list in ROWS FROM"),
        ] {
            assert_eq!(read(sql), (rest.to_owned(), vec![clause]), "{sql}");
        }
        for sql in ["SELECT exclude FROM search", "SELECT (a) cycle", "x USING (a) SELECT 1 AS b", "SELECT (f(a)) AS b"]
        {
            assert_eq!(read(sql), (sql.to_owned(), Vec::new()));
        }
    }
}
