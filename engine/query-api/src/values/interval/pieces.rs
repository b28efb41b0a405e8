//! The pieces that Postgres' date and time texts are cut into, with its own rules (`ParseDateTime`). Knows no meaning of a piece.

use super::IntervalFault;

/// What a piece looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Digits, maybe with a point and more digits.
    Number,
    /// Digits, a colon, and what belongs to a time.
    Time,
    /// Digits or letters with signs between them.
    Date,
    /// A word.
    Word,
    /// A sign and digits: a zone, or a number with a sign.
    Signed,
    /// A sign and a word.
    Special,
}

/// A piece, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) look: Look,
    pub(super) text: String,
}

/// Words that a digit may follow without making a date of both.
const WORDS: &[&str] = &[
    "ad",
    "allballs",
    "am",
    "apr",
    "april",
    "at",
    "aug",
    "august",
    "bc",
    "d",
    "dec",
    "december",
    "dow",
    "doy",
    "dst",
    "epoch",
    "feb",
    "february",
    "fri",
    "friday",
    "h",
    "infinity",
    "isodow",
    "isoyear",
    "j",
    "jan",
    "january",
    "jd",
    "jul",
    "julian",
    "july",
    "jun",
    "june",
    "m",
    "mar",
    "march",
    "may",
    "mm",
    "mon",
    "monday",
    "nov",
    "november",
    "now",
    "oct",
    "october",
    "on",
    "pm",
    "s",
    "sat",
    "saturday",
    "sep",
    "sept",
    "september",
    "sun",
    "sunday",
    "t",
    "thu",
    "thur",
    "thurs",
    "thursday",
    "today",
    "tomorrow",
    "tue",
    "tues",
    "tuesday",
    "wed",
    "wednesday",
    "weds",
    "y",
    "yesterday",
];

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    piece: String,
}

impl Scanner<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn take(&mut self) {
        self.piece.push(char::from(self.peek().to_ascii_lowercase()));
        self.at += 1;
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && wanted(self.peek()) {
            self.take();
        }
    }

    /// A piece that begins with a digit.
    fn digits(&mut self) -> Look {
        self.take_while(|b| b.is_ascii_digit());
        match self.peek() {
            b':' => {
                self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                Look::Time
            }
            delimiter @ (b'-' | b'/' | b'.') => {
                self.take();
                if !self.peek().is_ascii_digit() {
                    self.take_while(|b| b.is_ascii_alphanumeric() || b == delimiter);
                    return Look::Date;
                }
                self.take_while(|b| b.is_ascii_digit());
                if self.peek() == delimiter {
                    self.take_while(|b| b.is_ascii_digit() || b == delimiter);
                    return Look::Date;
                }
                if delimiter == b'.' { Look::Number } else { Look::Date }
            }
            _ => Look::Number,
        }
    }

    /// A piece that begins with a letter.
    fn word(&mut self) -> Look {
        self.take_while(|b| b.is_ascii_alphabetic());
        let is_date = match self.peek() {
            b'-' | b'/' | b'.' => true,
            b => (b == b'+' || b.is_ascii_digit()) && !WORDS.contains(&self.piece.as_str()),
        };
        if is_date {
            self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':'));
            return Look::Date;
        }
        Look::Word
    }

    /// A piece that begins with a sign. Blanks may follow the sign.
    fn sign(&mut self) -> Result<Look, IntervalFault> {
        self.take();
        while is_blank(self.peek()) {
            self.at += 1;
        }
        if self.peek().is_ascii_digit() {
            self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'));
            Ok(Look::Signed)
        } else if self.peek().is_ascii_alphabetic() {
            self.take_while(|b| b.is_ascii_alphabetic());
            Ok(Look::Special)
        } else {
            Err(IntervalFault::Syntax)
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

/// Pieces of a text at most, and bytes of all of them, each with one behind it: PostgreSQL's limits.
const PIECES_MAX: usize = 25;
const BYTES_MAX: usize = 255;

/// Cuts a text into pieces. Punctuation that belongs to none separates them.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, IntervalFault> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, piece: String::new() };
    let mut found = Vec::new();
    let mut bytes = 0;
    while scanner.at < scanner.bytes.len() {
        let look = match scanner.peek() {
            b if b.is_ascii_digit() => scanner.digits(),
            b'.' => {
                scanner.take();
                scanner.take_while(|b| b.is_ascii_digit());
                Look::Number
            }
            b if b.is_ascii_alphabetic() => scanner.word(),
            b'+' | b'-' => scanner.sign()?,
            b if is_blank(b) || b.is_ascii_punctuation() => {
                scanner.at += 1;
                continue;
            }
            _ => return Err(IntervalFault::Syntax),
        };
        bytes += scanner.piece.len() + 1;
        if found.len() == PIECES_MAX || bytes > BYTES_MAX {
            return Err(IntervalFault::Syntax);
        }
        found.push(Piece { look, text: std::mem::take(&mut scanner.piece) });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_no_more_pieces_than_in_postgresql() {
        assert_eq!(pieces(&"1 ".repeat(25)).map(|pieces| pieces.len()), Ok(25));
        assert_eq!(pieces(&"1 ".repeat(26)), Err(IntervalFault::Syntax));
        assert!(pieces(&"1".repeat(254)).is_ok());
        assert_eq!(pieces(&"1".repeat(255)), Err(IntervalFault::Syntax));
    }
}
