//! The one reader of JSON: RFC 8259 whole, within a bound of depth. What a text becomes is its caller's: a tree that knows its places,
//! a value of doubles, or nothing but the word that it is JSON.

use super::print::first_escaped;
use std::fmt;

/// What a text of JSON becomes.
pub trait Made: Sized {
    /// Members of an object on their way.
    type Members: Default;
    /// Whether a string may have a NUL character.
    const HOLDS_NUL: bool;

    /// `null`.
    fn null() -> Self;
    /// `true` or `false`.
    fn boolean(value: bool) -> Self;
    /// A number as it is written, which is one. `None`: it is beyond what is held here.
    fn number(text: &str) -> Option<Self>;
    /// A string without its escapes.
    fn string(text: String) -> Self;
    /// Items in their order.
    fn array(items: Vec<Self>) -> Self;
    /// One more member, in the order written, equal keys included.
    fn add(members: &mut Self::Members, key: String, value: Self);
    /// An object of its members.
    fn object(members: Self::Members) -> Self;
    /// The value, with the bytes of the text where it begins and behind its end.
    #[must_use]
    fn placed(self, _from: usize, _to: usize) -> Self {
        self
    }
}

/// Why a text is not read, and at which byte that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Bytes before it.
    pub at: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is not UTF-8.
    Encoding,
    /// It ends within a value.
    Ended,
    /// What stands there is not JSON.
    Syntax,
    /// It nests too deep.
    Depth,
    /// A number that is larger than any that is held.
    Number,
    /// An escape of half a surrogate pair: it is no character.
    Surrogate,
    /// A NUL character, which text does not hold.
    Nul,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::Encoding => "it is not UTF-8",
            FaultKind::Ended => "it ends within a value",
            FaultKind::Syntax => "what stands there is not JSON",
            FaultKind::Depth => "it nests too deep",
            FaultKind::Number => "a number is too large",
            FaultKind::Surrogate => "an escape stands for half a character",
            FaultKind::Nul => "a text has a NUL character",
        };
        write!(f, "{what} (byte {})", self.at)
    }
}

impl std::error::Error for Fault {}

/// Reads a text.
///
/// # Errors
/// It is no JSON, or holds what its caller does not.
pub fn read<T: Made>(text: &str, depth_max: usize) -> Result<T, Fault> {
    let mut reader = Reader { text, at: 0, depth_max };
    let read = reader.whole();
    read.map_err(|kind| Fault { kind, at: reader.at })
}

/// Reads bytes that are to be UTF-8. A mark of their order before them is no part of the text.
///
/// # Errors
/// As [`read`]; they are not UTF-8.
pub fn read_bytes<T: Made>(bytes: &[u8], depth_max: usize) -> Result<T, Fault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => read(text, depth_max),
        Err(error) => Err(Fault { kind: FaultKind::Encoding, at: error.valid_up_to() }),
    }
}

/// The double that is nearest to a number of JSON. `None`: it is none, or beyond the largest double.
#[must_use]
pub fn double(text: &str) -> Option<f64> {
    text.parse().ok().filter(|double: &f64| double.is_finite())
}

type Read<T> = Result<T, FaultKind>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth_max: usize,
}

impl<'a> Reader<'a> {
    fn whole<T: Made>(&mut self) -> Read<T> {
        let value = self.value(0)?;
        self.blanks();
        if self.at == self.text.len() { Ok(value) } else { Err(FaultKind::Syntax) }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What is wrong where a byte stands that is not expected, or none.
    fn unexpected(&self) -> FaultKind {
        if self.at >= self.text.len() { FaultKind::Ended } else { FaultKind::Syntax }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value<T: Made>(&mut self, depth: usize) -> Read<T> {
        if depth > self.depth_max {
            return Err(FaultKind::Depth);
        }
        self.blanks();
        let from = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => T::string(self.string::<T>()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
            None => return Err(FaultKind::Ended),
        };
        Ok(value.placed(from, self.at))
    }

    fn word<T: Made>(&mut self) -> Read<T> {
        for (word, value) in [("null", None), ("true", Some(true)), ("false", Some(false))] {
            if self.rest().starts_with(word.as_bytes()) {
                self.at += word.len();
                self.ends()?;
                return Ok(value.map_or_else(T::null, T::boolean));
            }
        }
        Err(FaultKind::Syntax)
    }

    /// That a word or a number does not go on.
    fn ends(&self) -> Read<()> {
        let goes_on = self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if goes_on { Err(FaultKind::Syntax) } else { Ok(()) }
    }

    fn array<T: Made>(&mut self, depth: usize) -> Read<T> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.eat(b']') {
            return Ok(T::array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.eat(b']') {
                return Ok(T::array(items));
            }
            if !self.eat(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn object<T: Made>(&mut self, depth: usize) -> Read<T> {
        self.at += 1;
        let mut members = T::Members::default();
        self.blanks();
        if self.eat(b'}') {
            return Ok(T::object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key = self.string::<T>()?;
            self.blanks();
            if !self.eat(b':') {
                return Err(self.unexpected());
            }
            T::add(&mut members, key, self.value(depth + 1)?);
            self.blanks();
            if self.eat(b'}') {
                return Ok(T::object(members));
            }
            if !self.eat(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn digits(&mut self) -> Read<()> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits > 0 { Ok(()) } else { Err(self.unexpected()) }
    }

    fn number<T: Made>(&mut self) -> Read<T> {
        let from = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        self.ends()?;
        self.text.get(from..self.at).and_then(T::number).ok_or(FaultKind::Number)
    }

    fn string<T: Made>(&mut self) -> Read<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some((plain, _)) = first_escaped(rest.as_bytes()).and_then(|end| rest.split_at_checked(end)) else {
                self.at = self.text.len();
                return Err(FaultKind::Ended);
            };
            self.at += plain.len();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    if out.is_empty() {
                        return Ok(plain.to_owned());
                    }
                    out.push_str(plain);
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(plain);
                    self.at += 1;
                    let sign = self.escape()?;
                    if sign == '\0' && !T::HOLDS_NUL {
                        return Err(FaultKind::Nul);
                    }
                    out.push(sign);
                }
                // A control character stands in a string as its escape only.
                Some(_) | None => return Err(FaultKind::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let byte = self.peek().ok_or(FaultKind::Ended)?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code(),
            _ => return Err(FaultKind::Syntax),
        })
    }

    /// The character of four digits, or of eight in two escapes.
    fn code(&mut self) -> Read<char> {
        let high = self.hex()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).ok_or(FaultKind::Surrogate);
        }
        if !self.rest().starts_with(b"\\u") {
            return Err(FaultKind::Surrogate);
        }
        self.at += 2;
        let low = self.hex()?;
        if !(0xDC00..0xE000).contains(&low) {
            return Err(FaultKind::Surrogate);
        }
        char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)).ok_or(FaultKind::Surrogate)
    }

    fn hex(&mut self) -> Read<u32> {
        let Some(digits) = self.text.as_bytes().get(self.at..self.at + 4) else { return Err(FaultKind::Ended) };
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16).ok_or(FaultKind::Syntax)?;
        }
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests;
