//! Reads PostgreSQL's advanced regular expressions into a tree. What is not listed here is invalid: no extension of another engine comes
//! in. Knows no text that is searched.

use super::Options;
use super::tree::{Node, Place, Reason, Set, Unread};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, HirKind};
use std::collections::HashMap;

/// Parentheses within parentheses.
const DEPTH_MAX: usize = 100;
/// Groups that a back-reference may name, and repetitions of a bound, as in PostgreSQL.
const REPEATS_MAX: u32 = 255;

pub(super) type Result<T> = std::result::Result<T, Unread>;

/// A tree, how many groups it has, and its options, some of which stand in the pattern. Its sets of characters take no more than so many
/// bytes.
pub(super) fn read(pattern: &str, options: Options, bytes_max: usize) -> Result<(Node, usize, Options)> {
    let mut reader = Reader {
        rest: pattern.chars().collect::<Vec<_>>(),
        at: 0,
        options,
        groups: Vec::new(),
        depth: 0,
        sets: HashMap::new(),
        bytes_left: bytes_max,
    };
    let node = if reader.is_literal()? { reader.literals()? } else { reader.choice()? };
    if reader.at < reader.rest.len() {
        // Only a parenthesis that none opens ends a choice before the pattern's end.
        return Err(Unread::Because(Reason::Parentheses));
    }
    Ok((node, reader.groups.len(), reader.options))
}

pub(super) struct Reader {
    rest: Vec<char>,
    pub(super) at: usize,
    pub(super) options: Options,
    /// Of each group, whether it is closed.
    groups: Vec<bool>,
    depth: usize,
    /// By their spelling: most come again.
    sets: HashMap<String, Set>,
    bytes_left: usize,
}

impl Reader {
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Whether a character follows after so many others.
    pub(super) fn follows(&self, after: usize, wanted: char) -> bool {
        self.rest.get(self.at + after) == Some(&wanted)
    }

    pub(super) fn takes(&mut self, text: &str) -> bool {
        let length = text.chars().count();
        let is_it = self.rest.get(self.at..self.at + length).is_some_and(|next| next.iter().copied().eq(text.chars()));
        if is_it {
            self.at += length;
        }
        is_it
    }

    /// What may stand before a pattern: `***:`, `***=` and `(?i)`. Whether all of the rest stands for itself.
    fn is_literal(&mut self) -> Result<bool> {
        if self.takes("***=") {
            return Ok(true);
        }
        if self.rest.starts_with(&['*'; 3]) && !self.takes("***:") {
            return Err(Unread::Invalid);
        }
        let letters = self.rest.iter().skip(self.at + 2).take_while(|c| c.is_ascii_alphabetic()).count();
        if letters == 0 || self.rest.get(self.at + 2 + letters) != Some(&')') || !self.takes("(?") {
            return Ok(false);
        }
        let mut is_literal = false;
        for _ in 0..letters {
            match self.next().ok_or(Unread::Invalid)? {
                'q' => is_literal = true,
                'b' | 'e' => return Err(Unread::Absent),
                flag => self.options.set(flag).ok_or(Unread::Because(Reason::Option))?,
            }
        }
        self.at += 1;
        Ok(is_literal)
    }

    fn literals(&mut self) -> Result<Node> {
        let mut parts = Vec::new();
        while let Some(c) = self.next() {
            parts.push(self.literal(c)?);
        }
        Ok(Node::Sequence(parts))
    }

    /// Comments, and blanks that an expanded pattern has.
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some('(') if self.takes("(?#") => while self.next().is_some_and(|c| c != ')') {},
                Some(c) if self.options.expanded && c.is_whitespace() => self.at += 1,
                Some('#') if self.options.expanded => while self.next().is_some_and(|c| c != '\n') {},
                _ => return,
            }
        }
    }

    fn choice(&mut self) -> Result<Node> {
        let mut branches = vec![self.sequence()?];
        while self.takes("|") {
            branches.push(self.sequence()?);
        }
        Ok(match <[Node; 1]>::try_from(branches) {
            Ok([only]) => only,
            Err(branches) => Node::Choice(branches),
        })
    }

    fn sequence(&mut self) -> Result<Node> {
        let mut parts = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some('|' | ')') => break,
                Some(_) => {
                    let begin = self.at;
                    let part = self.part()?;
                    let constraint = match part {
                        Node::At(_) => self.rest.get(begin) != Some(&'('),
                        Node::Around { .. } => self.rest.get(begin + 2) != Some(&':'),
                        _ => false,
                    };
                    parts.push(self.repeated(part, constraint)?);
                }
            }
        }
        Ok(if parts.is_empty() { Node::Empty } else { Node::Sequence(parts) })
    }

    fn part(&mut self) -> Result<Node> {
        match self.next().ok_or(Unread::Invalid)? {
            '(' => self.parentheses(),
            '[' if self.takes("[:<:]]") => Ok(Node::At(Place::WordStart)),
            '[' if self.takes("[:>:]]") => Ok(Node::At(Place::WordEnd)),
            '[' => self.bracket(),
            '.' => self.one(if self.options.dot_takes_lines { "(?s:.)" } else { "." }),
            '^' if self.options.lines => Ok(Node::At(Place::LineStart)),
            '^' => Ok(Node::At(Place::TextStart)),
            '$' if self.options.lines => Ok(Node::At(Place::LineEnd)),
            '$' => Ok(Node::At(Place::TextEnd)),
            '\\' => self.escape(),
            '*' | '+' | '?' => Err(Unread::Because(Reason::Operand)),
            '{' if self.peek().is_some_and(|c| c.is_ascii_digit()) => Err(Unread::Because(Reason::Operand)),
            c => self.literal(c),
        }
    }

    fn parentheses(&mut self) -> Result<Node> {
        if self.depth == DEPTH_MAX {
            return Err(Unread::TooComplex);
        }
        self.depth += 1;
        let node = if self.takes("?") { self.special()? } else { self.group()? };
        self.depth -= 1;
        Ok(node)
    }

    fn group(&mut self) -> Result<Node> {
        self.groups.push(false);
        let number = self.groups.len();
        let inner = self.choice()?;
        self.close()?;
        if let Some(closed) = self.groups.get_mut(number - 1) {
            *closed = true;
        }
        Ok(Node::Group(number, Box::new(inner)))
    }

    fn close(&mut self) -> Result<()> {
        if self.takes(")") { Ok(()) } else { Err(Unread::Because(Reason::Parentheses)) }
    }

    fn special(&mut self) -> Result<Node> {
        if self.takes(":") {
            let inner = self.choice()?;
            self.close()?;
            return Ok(inner);
        }
        let kinds = [("=", true, false), ("!", true, true), ("<=", false, false), ("<!", false, true)];
        let kind = kinds.into_iter().find(|(sign, ..)| self.takes(sign));
        let (_, ahead, negated) = kind.ok_or(Unread::Invalid)?;
        // Parentheses in there are no groups, and what they match cannot be referred to.
        let groups = std::mem::take(&mut self.groups);
        let inner = self.choice()?;
        self.groups = groups;
        self.close()?;
        Ok(Node::Around { ahead, negated, of: Box::new(inner.without_groups()?) })
    }

    /// A part with what says how often it comes, which constraints cannot have.
    fn repeated(&mut self, of: Node, constraint: bool) -> Result<Node> {
        self.skip_blanks();
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if self.is_bound() => {
                self.at += 1;
                let bound = self.bound()?;
                if self.peek() != Some('}') {
                    return Err(Unread::Because(Reason::Braces));
                }
                bound
            }
            _ => return Ok(of),
        };
        self.at += 1;
        if constraint {
            return Err(Unread::Because(Reason::Operand));
        }
        let greedy = !self.takes("?");
        self.skip_blanks();
        if matches!(self.peek(), Some('*' | '+' | '?')) || self.is_bound() {
            return Err(Unread::Because(Reason::Operand));
        }
        Ok(Node::Repeat { of: Box::new(of), least, most, greedy })
    }

    fn is_bound(&self) -> bool {
        self.peek() == Some('{') && self.rest.get(self.at + 1).is_some_and(char::is_ascii_digit)
    }

    fn bound(&mut self) -> Result<(u32, Option<u32>)> {
        let least = self.number()?;
        let most = match self.takes(",") {
            false => Some(least),
            true if self.peek() == Some('}') => None,
            true => Some(self.number()?),
        };
        if most.is_some_and(|most| most < least) { Err(Unread::Because(Reason::Count)) } else { Ok((least, most)) }
    }

    fn number(&mut self) -> Result<u32> {
        let mut value = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.at += 1;
            value = Some(value.unwrap_or(0) * 10 + digit);
            if value.is_some_and(|value| value > REPEATS_MAX) {
                return Err(Unread::Because(Reason::Count));
            }
        }
        value.ok_or(Unread::Invalid)
    }

    /// How many groups have begun.
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// A back-reference: to a group that is closed before it.
    pub(super) fn again(&self, number: usize) -> Result<Node> {
        match self.groups.get(number.wrapping_sub(1)) {
            Some(true) => Ok(Node::Again(number)),
            Some(false) | None => Err(Unread::Because(Reason::Reference)),
        }
    }

    pub(super) fn literal(&mut self, c: char) -> Result<Node> {
        self.one(&escaped(c))
    }

    /// What one character is matched by, in the spelling of the library.
    pub(super) fn one(&mut self, spelled: &str) -> Result<Node> {
        if let Some(known) = self.sets.get(spelled) {
            return Ok(Node::One(known.clone()));
        }
        let mut builder = ParserBuilder::new();
        builder.case_insensitive(self.options.insensitive).nest_limit(10);
        let read = builder.build().parse(spelled).map_err(|_| Unread::Invalid)?;
        let ranges: Vec<(char, char)> = match read.kind() {
            HirKind::Class(Class::Unicode(class)) => class.ranges().iter().map(|r| (r.start(), r.end())).collect(),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|_| Unread::Invalid)?;
                text.chars().map(|c| (c, c)).collect()
            }
            _ => return Err(Unread::Invalid),
        };
        let bytes = size_of_val(ranges.as_slice()) + 2 * spelled.len();
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Unread::TooComplex)?;
        let set = Set { ranges: ranges.into(), spelled: spelled.into() };
        self.sets.insert(spelled.to_owned(), set.clone());
        Ok(Node::One(set))
    }
}

/// A character as itself, in and out of brackets.
pub(super) fn escaped(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}
