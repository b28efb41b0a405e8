//! Where a line of COPY's text or CSV format ends. What is in a line is not read here.

use super::fields::Style;
use querygate_query_api::outcome::CopyFormat;
use querygate_types::{Error, ErrorCode, Result};

/// How lines end; the first one says it for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newline {
    Lf,
    Cr,
    CrLf,
}

/// What lies at the front of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A line of `length` bytes, which takes `taken` with its end.
    Line { length: usize, taken: usize },
    /// Less than a line.
    Part,
    /// The end of the data: `\.`, or nothing.
    End,
}

/// Lines, found one after the other. What was looked at of a part is not looked at again.
#[derive(Debug)]
pub(super) struct Lines {
    is_csv: bool,
    quote: u8,
    /// In CSV, where it is not the quote itself.
    escape: Option<u8>,
    /// Bytes that may mean something.
    special: [bool; 256],
    newline: Option<Newline>,
    at: usize,
    quoted: bool,
    escaped: bool,
    /// Lines so far, with those inside of quotes.
    number: u64,
    inner: u64,
}

impl Lines {
    pub(super) fn new(style: &Style) -> Self {
        let is_csv = style.format == CopyFormat::Csv;
        let escape = (is_csv && style.escape != style.quote).then_some(style.escape);
        let mut special = [false; 256];
        let of_csv = [Some(style.quote).filter(|_| is_csv), escape];
        for byte in [b'\n', b'\r', b'\\'].into_iter().chain(of_csv.into_iter().flatten()) {
            if let Some(place) = special.get_mut(usize::from(byte)) {
                *place = true;
            }
        }
        Self {
            is_csv,
            quote: style.quote,
            escape,
            special,
            newline: None,
            at: 0,
            quoted: false,
            escaped: false,
            number: 0,
            inner: 0,
        }
    }

    /// The number of the line that was found last, or of the one that is being read.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Looks for the first line's end. `is_all`: nothing follows.
    ///
    /// # Errors
    /// 22P04: lines end in different ways, or `\.` is not alone.
    pub(super) fn find(&mut self, input: &[u8], is_all: bool) -> Result<Found> {
        loop {
            let rest = input.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| self.special.get(usize::from(*byte)).is_some_and(|is| *is));
            let Some(plain) = plain else {
                if !rest.is_empty() {
                    self.escaped = false;
                }
                self.at = input.len();
                return Ok(self.without_end(input, is_all));
            };
            if plain > 0 {
                self.escaped = false;
            }
            self.at += plain;
            let Some(byte) = input.get(self.at).copied() else { return Ok(Found::Part) };
            let next = input.get(self.at + 1).copied();
            if matches!(byte, b'\\' | b'\r') && next.is_none() && !is_all {
                return Ok(Found::Part);
            }
            if self.is_csv {
                self.toggle(byte);
            }
            match byte {
                b'\r' | b'\n' if !self.quoted => return self.ended(byte, next),
                b'\\' if next == Some(b'.') && (!self.is_csv || self.at == 0) => {
                    match (input.get(self.at + 2), self.at) {
                        (None, 0) if !is_all => return Ok(self.wait()),
                        (None | Some(b'\n' | b'\r'), 0) => return Ok(Found::End),
                        _ if !self.is_csv => {
                            self.number += 1;
                            return Err(bad("end-of-copy marker is not alone on its line"));
                        }
                        _ => self.at += 1,
                    }
                }
                b'\\' if !self.is_csv => self.at = input.len().min(self.at + 2),
                _ => self.at += 1,
            }
        }
    }

    /// The byte at hand is looked at again when there is more.
    fn wait(&mut self) -> Found {
        self.quoted = false;
        self.escaped = false;
        Found::Part
    }

    fn without_end(&mut self, input: &[u8], is_all: bool) -> Found {
        match (is_all, input.len()) {
            (false, _) => Found::Part,
            (true, 0) => Found::End,
            (true, length) => self.line(length, length),
        }
    }

    /// An escape counts inside of quotes only, and only before a quote.
    fn toggle(&mut self, byte: u8) {
        let is_escape = Some(byte) == self.escape;
        if self.quoted && is_escape {
            self.escaped = !self.escaped;
        }
        if byte == self.quote && !self.escaped {
            self.quoted = !self.quoted;
        }
        if !is_escape {
            self.escaped = false;
        }
        let breaks = if matches!(self.newline, None | Some(Newline::Lf)) { b'\n' } else { b'\r' };
        if self.quoted && byte == breaks {
            self.inner += 1;
        }
    }

    fn ended(&mut self, byte: u8, next: Option<u8>) -> Result<Found> {
        let newline = match (byte, self.newline, next) {
            (b'\n', None | Some(Newline::Lf), _) => Newline::Lf,
            (b'\n', Some(Newline::Cr | Newline::CrLf), _) => return Err(self.mixed("newline", "\\n")),
            (_, None | Some(Newline::CrLf), Some(b'\n')) => Newline::CrLf,
            (_, None | Some(Newline::Cr), _) => Newline::Cr,
            (_, Some(Newline::Lf | Newline::CrLf), _) => return Err(self.mixed("carriage return", "\\r")),
        };
        self.newline = Some(newline);
        let length = self.at;
        Ok(self.line(length, length + if newline == Newline::CrLf { 2 } else { 1 }))
    }

    fn line(&mut self, length: usize, taken: usize) -> Found {
        self.number += 1 + std::mem::take(&mut self.inner);
        self.at = 0;
        self.quoted = false;
        self.escaped = false;
        Found::Line { length, taken }
    }

    fn mixed(&mut self, what: &str, escape: &str) -> Error {
        self.number += 1;
        match self.is_csv {
            true => bad(&format!("unquoted {what} found in data"))
                .with_hint(format!("Use quoted CSV field to represent {what}.")),
            false => bad(&format!("literal {what} found in data"))
                .with_hint(format!("Use \"{escape}\" to represent {what}.")),
        }
    }
}

fn bad(text: &str) -> Error {
    Error::new(ErrorCode::BadCopyFormat, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(format: CopyFormat, escape: u8) -> Style {
        Style { format, delimiter: b',', quote: b'"', escape, null: Vec::new(), default: None }
    }

    /// Lines of a text that comes in pieces of this number of bytes.
    fn lines(style: &Style, text: &str, piece: usize) -> Result<Vec<(String, u64)>> {
        let (mut lines, mut input, mut found) = (Lines::new(style), Vec::new(), Vec::new());
        let mut rest = text.as_bytes();
        loop {
            match lines.find(&input, rest.is_empty())? {
                Found::Line { length, taken } => {
                    found.push((String::from_utf8(input[..length].to_vec()).unwrap(), lines.number()));
                    input.drain(..taken);
                }
                Found::Part => {
                    let (some, more) = rest.split_at(piece.min(rest.len()));
                    input.extend_from_slice(some);
                    rest = more;
                }
                Found::End => return Ok(found),
            }
        }
    }

    /// A style, a text, and its lines with the numbers of their last.
    type Case<'a> = (&'a Style, &'a str, &'a [(&'a str, u64)]);

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = style(CopyFormat::Text, b'"');
        let csv = style(CopyFormat::Csv, b'"');
        let escaped = style(CopyFormat::Csv, b'\\');
        let cases: [Case<'_>; 11] = [
            (&text, "a\nb\n", &[("a", 1), ("b", 2)]),
            (&text, "a\r\nb", &[("a", 1), ("b", 2)]),
            (&text, "a\rb\r", &[("a", 1), ("b", 2)]),
            (&text, "a\\\nb\n\\.\nignored", &[("a\\\nb", 1)]),
            (&text, "\n\na\\", &[("", 1), ("", 2), ("a\\", 3)]),
            (&text, "a\n\\.", &[("a", 1)]),
            (&csv, "\"a\nb\",c\nd", &[("\"a\nb\",c", 2), ("d", 3)]),
            (&csv, "\"a\"\"\n\"\"\"\nd\n", &[("\"a\"\"\n\"\"\"", 2), ("d", 3)]),
            (&csv, "a\\\n\\.x\n\\.\nignored", &[("a\\", 1), ("\\.x", 2)]),
            (&escaped, "\"a\\\"\n\"\n\\\"b\nc\"\n", &[("\"a\\\"\n\"", 2), ("\\\"b\nc\"", 4)]),
            (&escaped, "\"a\\\\\"\nb\n", &[("\"a\\\\\"", 1), ("b", 2)]),
        ];
        for (style, text, expected) in cases {
            let expected: Vec<(String, u64)> = expected.iter().map(|(line, at)| ((*line).to_owned(), *at)).collect();
            for piece in 1..=text.len() {
                assert_eq!(lines(style, text, piece).unwrap(), expected, "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn ends_of_lines_are_alike() {
        for (format, text, expected) in [
            (CopyFormat::Text, "a\nb\r\n", "literal carriage return found in data"),
            (CopyFormat::Text, "a\r\nb\n", "literal newline found in data"),
            (CopyFormat::Csv, "a\r\nb\rc", "unquoted carriage return found in data"),
            (CopyFormat::Csv, "a\rb\n", "unquoted newline found in data"),
            (CopyFormat::Text, "a\\.\n", "end-of-copy marker is not alone on its line"),
            (CopyFormat::Text, "\\.a\n", "end-of-copy marker is not alone on its line"),
        ] {
            for piece in 1..=text.len() {
                let error = lines(&style(format, b'"'), text, piece).unwrap_err();
                assert_eq!((error.code(), error.message()), (ErrorCode::BadCopyFormat, expected), "{text:?}");
            }
        }
    }
}
