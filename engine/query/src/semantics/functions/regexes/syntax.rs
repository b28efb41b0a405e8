//! Reads PostgreSQL's advanced regular expressions into a tree. What is not listed here is invalid: no extension of another engine comes
//! in. Knows no text that is searched.

use super::Options;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, HirKind};

/// Parentheses within parentheses.
const DEPTH_MAX: usize = 100;
/// Groups that a back-reference may name, and repetitions of a bound, as in PostgreSQL.
const REPEATS_MAX: u32 = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    One(Set),
    At(Place),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat {
        of: Box<Node>,
        least: u32,
        most: Option<u32>,
        greedy: bool,
    },
    Group(usize, Box<Node>),
    /// What a group matched, once more.
    Again(usize),
    Around {
        ahead: bool,
        negated: bool,
        of: Box<Node>,
    },
}

/// Characters, as ranges in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set(Box<[(char, char)]>);

impl Set {
    pub(super) fn has(&self, c: char) -> bool {
        match *self.0 {
            [(from, to)] => from <= c && c <= to,
            ref ranges => {
                let at = ranges.partition_point(|(_, to)| *to < c);
                ranges.get(at).is_some_and(|(from, _)| *from <= c)
            }
        }
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordStart,
    WordEnd,
    WordEdge,
    NoWordEdge,
}

/// Why a pattern is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    Invalid,
    TooComplex,
}

type Result<T> = std::result::Result<T, Unread>;

/// A tree, and how many groups it has.
pub(super) fn read(pattern: &str, options: Options) -> Result<(Node, usize)> {
    let mut reader = Reader { rest: pattern.chars().collect::<Vec<_>>(), at: 0, options, groups: Vec::new(), depth: 0 };
    reader.leading_options()?;
    let node = reader.choice()?;
    if reader.at < reader.rest.len() {
        return Err(Unread::Invalid);
    }
    Ok((node, reader.groups.len()))
}

struct Reader {
    rest: Vec<char>,
    at: usize,
    options: Options,
    /// Of each group, whether it is closed.
    groups: Vec<bool>,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn takes(&mut self, text: &str) -> bool {
        let length = text.chars().count();
        let is_it = self.rest.get(self.at..self.at + length).is_some_and(|next| next.iter().copied().eq(text.chars()));
        if is_it {
            self.at += length;
        }
        is_it
    }

    /// `(?i)` at the beginning.
    fn leading_options(&mut self) -> Result<()> {
        let letters = self.rest.iter().skip(2).take_while(|c| c.is_ascii_lowercase()).count();
        if letters == 0 || self.rest.get(2 + letters) != Some(&')') || !self.takes("(?") {
            return Ok(());
        }
        for _ in 0..letters {
            let flag = self.next().ok_or(Unread::Invalid)?;
            self.options.set(flag).ok_or(Unread::Invalid)?;
        }
        self.at += 1;
        Ok(())
    }

    /// Blanks and comments that an expanded pattern has.
    fn skip_blanks(&mut self) {
        while self.options.expanded {
            match self.peek() {
                Some(c) if c.is_whitespace() => self.at += 1,
                Some('#') => while self.next().is_some_and(|c| c != '\n') {},
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
                    let part = self.part()?;
                    parts.push(self.repeated(part)?);
                }
            }
        }
        Ok(if parts.is_empty() { Node::Empty } else { Node::Sequence(parts) })
    }

    fn part(&mut self) -> Result<Node> {
        match self.next().ok_or(Unread::Invalid)? {
            '(' => self.parentheses(),
            '[' => self.bracket(),
            '.' => self.one(if self.options.dot_takes_lines { "(?s:.)" } else { "." }),
            '^' if self.options.lines => Ok(Node::At(Place::LineStart)),
            '^' => Ok(Node::At(Place::TextStart)),
            '$' if self.options.lines => Ok(Node::At(Place::LineEnd)),
            '$' => Ok(Node::At(Place::TextEnd)),
            '\\' => self.escape(),
            '*' | '+' | '?' => Err(Unread::Invalid),
            '{' if self.peek().is_some_and(|c| c.is_ascii_digit()) => Err(Unread::Invalid),
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
        if self.takes(")") { Ok(()) } else { Err(Unread::Invalid) }
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
        Ok(Node::Around { ahead, negated, of: Box::new(without_groups(inner)?) })
    }

    fn repeated(&mut self, of: Node) -> Result<Node> {
        self.skip_blanks();
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if self.rest.get(self.at + 1).is_some_and(char::is_ascii_digit) => {
                self.at += 1;
                let bound = self.bound()?;
                if self.peek() != Some('}') {
                    return Err(Unread::Invalid);
                }
                bound
            }
            _ => return Ok(of),
        };
        self.at += 1;
        if matches!(of, Node::At(_) | Node::Around { .. }) {
            return Err(Unread::Invalid);
        }
        let greedy = !self.takes("?");
        self.skip_blanks();
        if matches!(self.peek(), Some('*' | '+' | '?')) {
            return Err(Unread::Invalid);
        }
        Ok(Node::Repeat { of: Box::new(of), least, most, greedy })
    }

    fn bound(&mut self) -> Result<(u32, Option<u32>)> {
        let least = self.number()?;
        let most = match self.takes(",") {
            false => Some(least),
            true if self.peek() == Some('}') => None,
            true => Some(self.number()?),
        };
        if most.is_some_and(|most| most < least) { Err(Unread::Invalid) } else { Ok((least, most)) }
    }

    fn number(&mut self) -> Result<u32> {
        let mut value = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.at += 1;
            value = Some(value.unwrap_or(0) * 10 + digit);
            if value.is_some_and(|value| value > REPEATS_MAX) {
                return Err(Unread::Invalid);
            }
        }
        value.ok_or(Unread::Invalid)
    }

    fn escape(&mut self) -> Result<Node> {
        let c = self.next().ok_or(Unread::Invalid)?;
        Ok(match c {
            'A' => Node::At(Place::TextStart),
            'Z' => Node::At(Place::TextEnd),
            'm' => Node::At(Place::WordStart),
            'M' => Node::At(Place::WordEnd),
            'y' => Node::At(Place::WordEdge),
            'Y' => Node::At(Place::NoWordEdge),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => return self.one(&format!("\\{c}")),
            '1'..='9' => return self.again(),
            _ => {
                self.at -= 1;
                let c = self.character()?;
                return self.literal(c);
            }
        })
    }

    /// A back-reference: to a group that is closed before it.
    fn again(&mut self) -> Result<Node> {
        self.at -= 1;
        let mut number = 0_usize;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            let next = number * 10 + usize::try_from(digit).unwrap_or(0);
            if number > 0 && next > self.groups.len() {
                break;
            }
            self.at += 1;
            number = next;
        }
        match self.groups.get(number.wrapping_sub(1)) {
            Some(true) => Ok(Node::Again(number)),
            _ => Err(Unread::Invalid),
        }
    }

    /// The character that an escape stands for.
    fn character(&mut self) -> Result<char> {
        let c = self.next().ok_or(Unread::Invalid)?;
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' => '\0',
            'B' => '\\',
            'x' => self.hexadecimal(1, 2)?,
            'u' => self.hexadecimal(4, 4)?,
            'U' => self.hexadecimal(8, 8)?,
            c if c.is_alphanumeric() => return Err(Unread::Invalid),
            c => c,
        })
    }

    fn hexadecimal(&mut self, least: usize, most: usize) -> Result<char> {
        let (mut value, mut digits) = (0_u32, 0);
        while digits < most
            && let Some(digit) = self.peek().and_then(|c| c.to_digit(16))
        {
            self.at += 1;
            digits += 1;
            value = value << 4 | digit;
        }
        if digits < least { Err(Unread::Invalid) } else { char::from_u32(value).ok_or(Unread::Invalid) }
    }

    /// A bracket expression, in the spelling of the library: what is a character here may be a sign there.
    fn bracket(&mut self) -> Result<Node> {
        let mut out = String::from("[");
        if self.takes("^") {
            out.push('^');
            if !self.options.dot_takes_lines {
                out.push_str(r"\n");
            }
        }
        let begin = self.at;
        loop {
            let first = self.at == begin;
            match self.next().ok_or(Unread::Invalid)? {
                ']' if !first => break,
                '[' if self.takes(":") => {
                    let class =
                        self.rest.get(self.at..).unwrap_or_default().iter().take_while(|c| c.is_ascii_lowercase());
                    let class: String = class.collect();
                    self.at += class.len();
                    if !self.takes(":]") {
                        return Err(Unread::Invalid);
                    }
                    out.push_str(&format!("[:{class}:]"));
                }
                '[' if matches!(self.peek(), Some('.' | '=')) => return Err(Unread::Invalid),
                '\\' => match self.peek() {
                    Some(c @ ('d' | 's' | 'w')) => {
                        self.at += 1;
                        out.extend(['\\', c]);
                    }
                    _ => out.push_str(&escaped(self.character()?)),
                },
                '-' if !first && self.peek() != Some(']') => out.push('-'),
                c => out.push_str(&escaped(c)),
            }
        }
        out.push(']');
        self.one(&out)
    }

    fn literal(&self, c: char) -> Result<Node> {
        self.one(&escaped(c))
    }

    /// What one character is matched by, in the spelling of the library.
    fn one(&self, spelled: &str) -> Result<Node> {
        let mut builder = ParserBuilder::new();
        builder.case_insensitive(self.options.insensitive).nest_limit(10);
        let read = builder.build().parse(spelled).map_err(|_| Unread::Invalid)?;
        let ranges = match read.kind() {
            HirKind::Class(Class::Unicode(class)) => class.ranges().iter().map(|r| (r.start(), r.end())).collect(),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|_| Unread::Invalid)?;
                text.chars().map(|c| (c, c)).collect::<Vec<_>>()
            }
            _ => return Err(Unread::Invalid),
        };
        Ok(Node::One(Set(ranges.into())))
    }
}

/// A character as itself, in and out of brackets.
fn escaped(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}

/// The tree with groups that capture nothing.
fn without_groups(node: Node) -> Result<Node> {
    let all = |nodes: Vec<Node>| nodes.into_iter().map(without_groups).collect::<Result<Vec<_>>>();
    Ok(match node {
        Node::Group(_, inner) => without_groups(*inner)?,
        Node::Again(_) => return Err(Unread::Invalid),
        Node::Sequence(parts) => Node::Sequence(all(parts)?),
        Node::Choice(parts) => Node::Choice(all(parts)?),
        Node::Repeat { of, least, most, greedy } => {
            Node::Repeat { of: Box::new(without_groups(*of)?), least, most, greedy }
        }
        Node::Around { ahead, negated, of } => Node::Around { ahead, negated, of: Box::new(without_groups(*of)?) },
        same @ (Node::Empty | Node::One(_) | Node::At(_)) => same,
    })
}
