//! What the pictures of numbers are written with.

use crate::fault::external;
use datafusion::common::{DataFusionError, Result};
use querygate_types::{Error, ErrorCode};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Nine,
    Zero,
    Point,
    Comma,
    Group,
    Currency,
    Minus,
    Plus,
    SignHere,
    Sign,
    Ordinal(bool),
    /// Ends of a bracketed number, `V`, `B`, `FM`, `EEEE`: known by the description.
    Silent,
    Roman(bool),
    Literal(char),
}

/// What a pattern says on the whole.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Shape {
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) zero_start: Option<usize>,
    pub(super) zero_end: usize,
    pub(super) fill: bool,
    pub(super) point: bool,
    pub(super) bracket: bool,
    pub(super) minus: bool,
    pub(super) plus: bool,
    /// Where `S` stands: before or after the digits.
    pub(super) sign: Option<bool>,
    pub(super) digits_at_sign: usize,
    pub(super) shift: Option<usize>,
    pub(super) roman: bool,
    pub(super) exponent: bool,
}

fn refused(message: &'static str) -> DataFusionError {
    external(Error::new(ErrorCode::SyntaxError, message))
}

const WORDS: &[(&str, Key)] = &[
    ("EEEE", Key::Silent),
    ("FM", Key::Silent),
    ("MI", Key::Minus),
    ("PL", Key::Plus),
    ("PR", Key::Silent),
    ("RN", Key::Roman(true)),
    ("SG", Key::SignHere),
    ("TH", Key::Ordinal(true)),
    ("B", Key::Silent),
    ("D", Key::Point),
    ("G", Key::Group),
    ("L", Key::Currency),
    ("S", Key::Sign),
    ("V", Key::Silent),
];

/// The keys of a pattern, one by one, and what they say together.
pub(super) fn understood(pattern: &str) -> Result<(Vec<Key>, Shape)> {
    let mut keys = Vec::new();
    let mut shape = Shape::default();
    let mut rest = pattern;
    'next: while let Some(c) = rest.chars().next() {
        for (word, key) in WORDS {
            let head = rest.get(..word.len());
            let lower = head.is_some_and(|h| h.bytes().eq(word.bytes().map(|b| b.to_ascii_lowercase())));
            if head != Some(word) && !lower {
                continue;
            }
            rest = &rest[word.len()..];
            let key = match key {
                Key::Ordinal(_) => Key::Ordinal(!lower),
                Key::Roman(_) => Key::Roman(!lower),
                other => *other,
            };
            shape.note(word, key)?;
            keys.push(key);
            continue 'next;
        }
        rest = &rest[c.len_utf8()..];
        let key = match c {
            '9' => Key::Nine,
            '0' => Key::Zero,
            '.' => Key::Point,
            ',' => Key::Comma,
            '"' => {
                rest = quoted(rest, &mut keys);
                continue;
            }
            '\\' => {
                let quoted = rest.starts_with('"');
                rest = if quoted { &rest[1..] } else { rest };
                Key::Literal(if quoted { '"' } else { '\\' })
            }
            other => Key::Literal(other),
        };
        shape.note("", key)?;
        keys.push(key);
    }
    Ok((keys, shape))
}

/// Characters up to the closing quote, and what follows it. A backslash stands for the character after it.
fn quoted<'a>(rest: &'a str, keys: &mut Vec<Key>) -> &'a str {
    let mut chars = rest.chars();
    loop {
        match chars.next() {
            Some('"') | None => return chars.as_str(),
            Some('\\') => keys.push(Key::Literal(chars.next().unwrap_or('\\'))),
            Some(other) => keys.push(Key::Literal(other)),
        }
    }
}

impl Shape {
    fn note(&mut self, word: &str, key: Key) -> Result<()> {
        if self.exponent && !matches!(key, Key::Literal(_)) {
            return Err(refused("\"EEEE\" must be the last pattern used"));
        }
        match (word, key) {
            (_, Key::Nine | Key::Zero) if self.bracket => return Err(refused("digits must be ahead of \"PR\"")),
            (_, Key::Nine) => match &mut self.shift {
                Some(shift) => *shift += 1,
                None if self.point => self.after += 1,
                None => self.before += 1,
            },
            (_, Key::Zero) => {
                if self.zero_start.is_none() && !self.point {
                    self.zero_start = Some(self.before + 1);
                }
                if self.point {
                    self.after += 1
                } else {
                    self.before += 1
                }
                self.zero_end = self.before + self.after;
            }
            (_, Key::Point) if self.point => return Err(refused("multiple decimal points")),
            (_, Key::Point) if self.shift.is_some() => {
                return Err(refused("cannot use \"V\" and decimal point together"));
            }
            (_, Key::Point) => self.point = true,
            ("FM", _) => self.fill = true,
            (_, Key::Sign) if self.minus || self.plus || self.bracket || self.sign == Some(true) => {
                return Err(refused("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
            }
            (_, Key::Sign) if self.sign.is_none() => {
                self.sign = Some(!self.point);
                self.digits_at_sign = self.before;
            }
            (_, Key::Sign) => {}
            (_, Key::Minus | Key::Plus | Key::SignHere) if self.sign.is_some() => {
                return Err(refused("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\" together"));
            }
            (_, Key::Minus) => self.minus = true,
            (_, Key::Plus) => self.plus = true,
            (_, Key::SignHere) => (self.minus, self.plus) = (true, true),
            ("PR", _) => self.bracket = true,
            ("V", _) if self.point => return Err(refused("cannot use \"V\" and decimal point together")),
            ("V", _) => self.shift = Some(0),
            ("EEEE", _) => self.exponent = true,
            (_, Key::Roman(_)) => self.roman = true,
            _ => {}
        }
        Ok(())
    }
}
