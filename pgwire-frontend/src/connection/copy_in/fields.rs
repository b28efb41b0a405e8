//! The values of one line in COPY's text and CSV formats. A CSV value that is quoted is another one than the same without quotes where
//! NULL is concerned, which general readers of CSV do not tell.

use super::cells::{Cells, Kind};
use querygate_query_api::outcome::CopyFormat;
use querygate_query_api::requests::ingest::{CopyInOptions, IngestColumn};
use querygate_types::{Error, ErrorCode, Result};

/// How lines are written.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) format: CopyFormat,
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
    pub(super) null: Vec<u8>,
    pub(super) default: Option<Vec<u8>>,
}

impl Style {
    pub(super) fn new(options: &CopyInOptions) -> Self {
        Self {
            format: options.format,
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            null: options.null.clone().into_bytes(),
            default: options.default.clone().map(String::into_bytes),
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// 22P04: a quote is open at its end.
    pub(super) fn read(&self, line: &[u8], columns: &[IngestColumn], cells: &mut Cells) -> Result<()> {
        cells.clear();
        match self.format {
            CopyFormat::Csv => self.csv(line, columns, cells),
            CopyFormat::Text | CopyFormat::Binary => {
                self.text(line, cells);
                Ok(())
            }
        }
    }

    fn text(&self, line: &[u8], cells: &mut Cells) {
        let mut rest = line;
        loop {
            // A delimiter behind a backslash is one of the value's characters.
            let mut at = 0;
            let end = loop {
                match rest.get(at) {
                    None => break None,
                    Some(byte) if *byte == self.delimiter => break Some(at),
                    Some(b'\\') => at += 2,
                    Some(_) => at += 1,
                }
            };
            let raw = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let kind = if raw == self.null {
                Kind::Null
            } else if self.default.as_deref() == Some(raw) {
                Kind::Default
            } else {
                unescape(raw, cells);
                Kind::Value
            };
            cells.end(kind);
            match end {
                Some(end) => rest = rest.get(end + 1..).unwrap_or_default(),
                None => return,
            }
        }
    }

    fn csv(&self, line: &[u8], columns: &[IngestColumn], cells: &mut Cells) -> Result<()> {
        let mut bytes = line.iter().copied().peekable();
        loop {
            let (mut was_quoted, mut is_last) = (false, true);
            while let Some(byte) = bytes.next() {
                if byte == self.delimiter {
                    is_last = false;
                    break;
                }
                if byte != self.quote {
                    cells.byte(byte);
                    continue;
                }
                was_quoted = true;
                loop {
                    let byte = bytes.next().ok_or_else(|| bad("unterminated CSV quoted field"))?;
                    let escaped = bytes
                        .peek()
                        .copied()
                        .filter(|next| byte == self.escape && (*next == self.escape || *next == self.quote));
                    match escaped {
                        Some(next) => {
                            cells.byte(next);
                            bytes.next();
                        }
                        None if byte == self.quote => break,
                        None => cells.byte(byte),
                    }
                }
            }
            let column = columns.get(cells.len());
            let reads_as_null = cells.open() == self.null;
            let is_null = match was_quoted {
                true => column.is_some_and(|column| column.force_null),
                false => !column.is_some_and(|column| column.force_not_null),
            };
            let is_default = !was_quoted && self.default.as_deref() == Some(cells.open());
            cells.end(match (reads_as_null && is_null, is_default) {
                (true, _) => Kind::Null,
                (false, true) => Kind::Default,
                (false, false) => Kind::Value,
            });
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Takes a value's backslashes away.
fn unescape(raw: &[u8], cells: &mut Cells) {
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (plain, escape) = rest.split_at(at);
        cells.bytes(plain);
        let escape = escape.get(1..).unwrap_or_default();
        let Some(first) = escape.first().copied() else { return };
        let mut taken = 1;
        match first {
            b'b' => cells.byte(8),
            b'f' => cells.byte(12),
            b'n' => cells.byte(b'\n'),
            b'r' => cells.byte(b'\r'),
            b't' => cells.byte(b'\t'),
            b'v' => cells.byte(11),
            b'0'..=b'7' => {
                let digits = escape.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
                let (mut value, mut count) = (0_u16, 0);
                for digit in digits {
                    value = value * 8 + u16::from(digit - b'0');
                    count += 1;
                }
                taken = count;
                // As PostgreSQL: the low eight bits.
                cells.byte(value.to_be_bytes()[1]);
            }
            b'x' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let digits: Vec<u8> = escape.iter().skip(1).take(2).map_while(digit).collect();
                match digits.as_slice() {
                    [] => cells.byte(b'x'),
                    digits => cells.byte(digits.iter().fold(0, |value, digit| value << 4 | digit)),
                }
                taken = 1 + digits.len();
            }
            other => cells.byte(other),
        }
        rest = escape.get(taken..).unwrap_or_default();
    }
    cells.bytes(rest);
}

fn bad(text: &str) -> Error {
    Error::new(ErrorCode::BadCopyFormat, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use querygate_types::PgType;

    fn column(force_not_null: bool, force_null: bool) -> IngestColumn {
        let (name, pg_type, data_type) = ("c".to_owned(), PgType::Text, DataType::Utf8);
        IngestColumn { name, pg_type, data_type, force_not_null, force_null, has_default: false }
    }

    fn read(style: &Style, columns: &[IngestColumn], line: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut cells = Cells::default();
        style.read(line, columns, &mut cells).unwrap();
        cells.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect()
    }

    /// The cells of a line as they are expected.
    type Expected<'a> = &'a [Option<&'a [u8]>];

    #[test]
    fn texts_are_as_postgres_reads_them() {
        let style = Style {
            format: CopyFormat::Text,
            delimiter: b'\t',
            quote: b'"',
            escape: b'"',
            null: b"\\N".to_vec(),
            default: None,
        };
        let cases: [(&[u8], Expected<'_>); 9] = [
            (b"a\tb", &[Some(b"a"), Some(b"b")]),
            (b"", &[Some(b"")]),
            (b"\t", &[Some(b""), Some(b"")]),
            (b"\\N\t\\\\N\tN", &[None, Some(b"\\N"), Some(b"N")]),
            (b"a\\\tb\t\\t", &[Some(b"a\tb"), Some(b"\t")]),
            (b"\\b\\f\\n\\r\\v\\q", &[Some(b"\x08\x0c\n\r\x0bq")]),
            (b"\\101\\7x\\0601\\777", &[Some(b"A\x07x01\xff")]),
            (b"\\x41\\xag\\xg", &[Some(b"A\x0agxg")]),
            (b"a\\", &[Some(b"a")]),
        ];
        for (line, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect();
            assert_eq!(read(&style, &[], line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_word_may_stand_for_the_default() {
        for format in [CopyFormat::Text, CopyFormat::Csv] {
            let (delimiter, null, default) = (b',', Vec::new(), Some(b"=".to_vec()));
            let style = Style { format, delimiter, quote: b'"', escape: b'"', null, default };
            let mut cells = Cells::default();
            style.read(b"=,x,,==,\"=\"", &[], &mut cells).unwrap();
            assert_eq!(cells.defaults().collect::<Vec<_>>(), [0], "{format:?}");
            let read: Vec<_> = cells.iter().take(4).collect();
            assert_eq!(read, [None, Some(&b"x"[..]), None, Some(&b"=="[..])], "{format:?}");
        }
    }

    #[test]
    fn quotes_say_what_is_null() {
        let style = |escape| Style {
            format: CopyFormat::Csv,
            delimiter: b',',
            quote: b'"',
            escape,
            null: Vec::new(),
            default: None,
        };
        let cases: [(u8, &[u8], Expected<'_>); 6] = [
            (b'"', b"a,,\"\"", &[Some(b"a"), None, Some(b"")]),
            (b'"', b"", &[None]),
            (b'"', b"\"a,b\",\"c\"\"d\"", &[Some(b"a,b"), Some(b"c\"d")]),
            (b'"', b"x\"a,b\"y", &[Some(b"xa,by")]),
            (b'\\', b"\"a\\\"b\\\\c\\d\"", &[Some(b"a\"b\\c\\d")]),
            (b'"', b"\\N,\\.", &[Some(b"\\N"), Some(b"\\.")]),
        ];
        for (escape, line, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect();
            assert_eq!(read(&style(escape), &[], line), expected, "{}", line.escape_ascii());
        }
        let columns = [column(true, false), column(false, true), column(true, true), column(true, true)];
        let forced = read(&style(b'"'), &columns, b",\"\",,\"\"");
        assert_eq!(forced, [Some(Vec::new()), None, Some(Vec::new()), None]);
        let mut cells = Cells::default();
        let open = style(b'"').read(b"a,\"b", &[], &mut cells).unwrap_err();
        assert_eq!((open.code(), open.message()), (ErrorCode::BadCopyFormat, "unterminated CSV quoted field"));
    }
}
