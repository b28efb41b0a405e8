//! Clauses that the grammar does not know. What says the same in other words is put into those: groups of sets within sets, joins within
//! joins, one function in ROWS FROM. What the gate does not have is taken out and remembered: the rest is bound, so that a name that does
//! not exist is told first, and then the clause is refused. Knows words, no statements.

mod bounds;
mod fetches;
mod groups;
mod lists;
#[cfg(test)]
mod tests;

pub(crate) use bounds::SYMMETRIC_MARK;
pub(crate) use fetches::LIMIT_MARK;
pub(crate) use groups::DISTINCT_MARK;

use crate::sql::tokens::{character, is_word};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace};
use std::collections::BTreeMap;

/// A clause that was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absent {
    /// The character of the text, counted from 1, at which it begins.
    pub(crate) at: u64,
    pub(crate) clause: &'static str,
}

/// What follows a SELECT's list where there is no FROM.
const SELECT_ENDS: [&str; 11] =
    ["union", "intersect", "except", "where", "group", "having", "window", "order", "limit", "offset", "fetch"];

/// The words of a clause that is looked through to its end.
const CLAUSE_WORDS_MAX: usize = 1_000;

/// The tokens as the grammar reads them, and what it does not.
pub(crate) fn known(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Absent>) {
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let places: Vec<usize> = (0..tokens.len()).filter(|at| tokens.get(*at).is_some_and(|t| !blank(t))).collect();
    let mut reader = Words {
        tokens: &tokens,
        places,
        begins: 0,
        closes: BTreeMap::new(),
        gone: Vec::new(),
        before: BTreeMap::new(),
        absent: Vec::new(),
    };
    reader.close();
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

/// An open parenthesis, or the statement itself.
#[derive(Debug, Clone)]
struct Open {
    within: Within,
    /// Joins whose conditions are still to come.
    pending: Vec<Pending>,
    /// Whether a table may begin after a comma, or where it begins.
    tables: bool,
}

impl Open {
    const fn of(within: Within) -> Self {
        Self { within, pending: Vec::new(), tables: false }
    }
}

struct Words<'a> {
    tokens: &'a [TokenWithSpan],
    /// Where words and signs stand among the tokens.
    places: Vec<usize>,
    /// The first word of the statement.
    begins: usize,
    /// The words that close parentheses, by those that open them.
    closes: BTreeMap<usize, usize>,
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

    /// Finds which parentheses belong together.
    fn close(&mut self) {
        let mut open = Vec::new();
        for word in 0..self.places.len() {
            match self.token(word) {
                Some(Token::LParen) => open.push(word),
                Some(Token::RParen) => {
                    if let Some(opened) = open.pop() {
                        self.closes.insert(opened, word);
                    }
                }
                Some(Token::SemiColon) => open.clear(),
                _ => {}
            }
        }
    }

    fn read(&mut self) {
        let mut open = vec![Open::of(Within::Other)];
        let mut word = 0;
        while let Some(token) = self.token(word) {
            match token {
                Token::LParen => {
                    let tables = self.begins_table(word, open.last());
                    open.push(Open { tables, ..Open::of(Within::Other) });
                }
                Token::RParen if open.len() > 1 => {
                    if let Some(Open { within: Within::Rows | Within::Sets { left_out: true }, .. }) = open.pop() {
                        self.drop(word, word + 1);
                    }
                }
                Token::SemiColon => {
                    open = vec![Open::of(Within::Other)];
                    self.begins = word + 1;
                }
                Token::Comma => {
                    if let Some(Open { within, pending, .. }) = open.last_mut() {
                        pending.clear();
                        if *within == Within::Rows {
                            self.insert(word, vec![Token::make_keyword("CROSS"), space(), Token::make_keyword("JOIN")]);
                            self.refuse(word, word + 1, "ROWS FROM of several functions");
                        }
                    }
                }
                Token::Word(_) if !self.is_label(word) => {
                    word = self.clause(word, &mut open);
                    continue;
                }
                _ => {}
            }
            word += 1;
        }
    }

    /// Whether a word is a name whatever it is: of a column behind its table's, or behind AS.
    fn is_label(&self, word: usize) -> bool {
        let Some(before) = word.checked_sub(1) else { return false };
        // What PREPARE names begins behind AS, too.
        let prepared = self.is(word, "select") && self.is(self.begins, "prepare");
        self.sign(before, &Token::Period) || self.is(before, "as") && !prepared
    }

    /// Whether a table of FROM begins at a word.
    fn begins_table(&self, word: usize, open: Option<&Open>) -> bool {
        let Some(before) = word.checked_sub(1) else { return false };
        match self.token(before) {
            Some(Token::Comma | Token::LParen) => open.is_some_and(|open| open.tables),
            Some(Token::Word(_)) if self.is_label(before) => false,
            Some(Token::Word(_)) => {
                self.is(before, "join")
                    || self.is(before, "lateral")
                    || self.is(before, "from") && !self.is_distinct_from(before)
            }
            _ => false,
        }
    }

    /// Whether FROM is the one of `IS DISTINCT FROM`.
    fn is_distinct_from(&self, from: usize) -> bool {
        let behind = |words: &[&str]| from.checked_sub(words.len()).is_some_and(|first| self.are(first, words));
        behind(&["is", "distinct"]) || behind(&["is", "not", "distinct"])
    }

    /// Reads what begins at a word; the word behind it.
    fn clause(&mut self, word: usize, open: &mut Vec<Open>) -> usize {
        let within = open.last().map_or(Within::Other, |open| open.within);
        if self.are(word, &["grouping", "sets"]) && self.closes.contains_key(&(word + 2)) {
            let left_out = matches!(within, Within::Sets { .. });
            if left_out {
                self.drop(word, word + 3);
            }
            self.put_in_parentheses(word + 2);
            open.push(Open::of(Within::Sets { left_out }));
            return word + 3;
        }
        if self.are(word, &["rows", "from"])
            && self.begins_table(word, open.last())
            && self.calls_only(word + 2).is_some()
        {
            self.drop(word, word + 3);
            open.push(Open::of(Within::Rows));
            return word + 3;
        }
        if self.is(word, "select") && self.selects_nothing(word + 1) {
            self.one_row(word + 1);
            return word + 1;
        }
        if let Some(rows) = self.computed_fetch(word) {
            self.limit_of(word, rows);
            return word + 2;
        }
        if let Some(bounds) = self.ordered_bounds(word) {
            return bounds;
        }
        self.list_of_subquery(word);
        if self.is(word, "name") && self.is_text(word + 1) {
            self.name_literal(word);
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
        if self.grouped_by(word) {
            return word + 3;
        }
        if let Some(open) = open.last_mut() {
            self.join(word, open);
        }
        word + 1
    }

    /// Whether a parenthesis holds calls of functions, each maybe with a list of columns, and nothing else.
    fn calls_only(&self, open: usize) -> Option<()> {
        let end = *self.closes.get(&open)?;
        let mut at = open + 1;
        loop {
            while self.is_name(at) && self.sign(at + 1, &Token::Period) {
                at += 2;
            }
            at = self.closes.get(&(at + 1)).filter(|_| self.is_name(at))? + 1;
            if self.is(at, "as") {
                at = self.closes.get(&(at + 1))? + 1;
            }
            if at == end {
                return Some(());
            }
            at += 1;
            if !self.sign(at - 1, &Token::Comma) {
                return None;
            }
        }
    }

    /// Whether a word is a text.
    fn is_text(&self, word: usize) -> bool {
        matches!(
            self.token(word),
            Some(
                Token::SingleQuotedString(_)
                    | Token::EscapedStringLiteral(_)
                    | Token::UnicodeStringLiteral(_)
                    | Token::DollarQuotedString(_)
            )
        )
    }

    /// `name 'a'` is `'a'::name`.
    fn name_literal(&mut self, word: usize) {
        self.drop(word, word + 1);
        let cast = [Token::DoubleColon, Token::make_word("name", None), space()];
        if let Some(text) = self.places.get(word + 1) {
            self.before.entry(text + 1).or_default().extend(cast);
        }
    }

    /// A clause that the gate does not have, and the word behind it.
    fn absent_clause(&self, word: usize, within: Within) -> Option<(&'static str, usize)> {
        let before = word.checked_sub(1);
        let closed = before.is_some_and(|before| self.sign(before, &Token::RParen));
        if closed && self.is(word, "search") && (self.is(word + 1, "depth") || self.is(word + 1, "breadth")) {
            let end = self.find(word, "set").filter(|_| self.are(word + 2, &["first", "by"]))? + 2;
            return Some(("SEARCH", self.cycle_end(end).unwrap_or(end)));
        }
        if closed && let Some(end) = self.cycle_end(word) {
            return Some(("CYCLE", end));
        }
        if closed && self.is(word, "as") && self.is_name(word + 1) && self.closes_using(word - 1) {
            return Some(("an alias of USING", word + 2));
        }
        if within == Within::Rows && self.is(word, "as") && self.sign(word + 1, &Token::LParen) {
            return Some(("a column definition list in ROWS FROM", self.closes.get(&(word + 1))? + 1));
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

    /// The word behind CYCLE and its columns.
    fn cycle_end(&self, word: usize) -> Option<usize> {
        if !self.is(word, "cycle") || !self.is_name(word + 1) {
            return None;
        }
        let set = self.find(word, "set")?;
        let names = (word + 1..set).all(|at| self.is_name(at) || self.sign(at, &Token::Comma));
        self.find(set, "using").filter(|_| names).map(|using| using + 2)
    }

    /// A word before anything that ends a clause of words.
    fn find(&self, from: usize, text: &str) -> Option<usize> {
        (from..from + CLAUSE_WORDS_MAX)
            .take_while(|at| match self.token(*at) {
                None | Some(Token::SemiColon | Token::LParen | Token::RParen) => false,
                Some(token) => !is_word(token, "select"),
            })
            .find(|at| self.is(*at, text))
    }

    /// Whether a parenthesis closes the names of a join's USING.
    fn closes_using(&self, word: usize) -> bool {
        let names = (0..word).rev().take(CLAUSE_WORDS_MAX);
        let open = names.take_while(|at| self.is_name(*at) || self.sign(*at, &Token::Comma)).last();
        let Some(open) = open.and_then(|first| first.checked_sub(1)) else { return false };
        self.sign(open, &Token::LParen) && open.checked_sub(1).is_some_and(|using| self.is(using, "using"))
    }

    /// Whether a SELECT ends where its list would begin.
    fn selects_nothing(&self, word: usize) -> bool {
        match self.token(word) {
            None | Some(Token::EOF | Token::SemiColon | Token::RParen) => true,
            Some(_) => SELECT_ENDS.iter().any(|end| self.is(word, end)),
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

    /// `a JOIN b JOIN c ON x ON y` is `a JOIN (b JOIN c ON x) ON y`.
    fn join(&mut self, word: usize, Open { pending, tables, .. }: &mut Open) {
        let ends = ["select", "where", "group", "having", "order", "limit", "union", "except", "intersect"];
        let from = self.is(word, "from") && !self.is_distinct_from(word);
        if from || ends.iter().any(|end| self.is(word, end)) {
            pending.clear();
            *tables = from;
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
        } else if (self.is(word, "on") || self.is(word, "using") && self.sign(word + 1, &Token::LParen))
            && let Some(Pending { operand, joined: true }) = pending.pop()
        {
            self.insert(operand, vec![Token::LParen]);
            self.insert(word, vec![Token::RParen, space()]);
        }
    }
}

fn space() -> Token {
    Token::Whitespace(Whitespace::Space)
}
