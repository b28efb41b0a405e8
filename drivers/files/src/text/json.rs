//! Rows of JSON: the lines of a file, those that start in a part of it, or objects one after another. Knows no column.

use crate::store::fetch::{Fetch, Lines};
use crate::text::RowFailure;
use bytes::{Buf, Bytes, BytesMut};
use querygate_memory::RowDecoder;
use std::ops::Range;

/// A byte order mark.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";

/// Texts of objects, and rows of them.
pub(crate) enum JsonRows {
    /// An object in each line that starts in the range.
    Lines {
        lines: Lines,
        range: Range<u64>,
    },
    Objects(Objects),
}

impl JsonRows {
    /// Lines that start in the range. The reader begins one byte earlier, so that a line which starts exactly at
    /// its start is told from one that started before.
    pub(crate) fn lines(fetch: Fetch, range: Range<u64>, row_bytes_max: usize) -> Self {
        Self::Lines { lines: Lines::new(fetch, row_bytes_max), range }
    }

    /// Objects, wherever their lines end.
    pub(crate) fn objects(fetch: Fetch, row_bytes_max: usize) -> Self {
        Self::Objects(Objects::new(fetch, row_bytes_max))
    }

    /// The text of the next object.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RowFailure> {
        let (lines, range) = match self {
            Self::Objects(objects) => return objects.next().await,
            Self::Lines { lines, range } => (lines, range),
        };
        while let Some((offset, mut line)) = lines.next().await? {
            if offset >= range.end {
                break;
            }
            if offset < range.start {
                continue;
            }
            if offset == 0 && line.starts_with(MARK) {
                line.advance(MARK.len());
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Pushes the next row; false at the end.
    pub(crate) async fn push_next(&mut self, decoder: &mut RowDecoder) -> Result<bool, RowFailure> {
        let Some(object) = self.next().await? else { return Ok(false) };
        let text = std::str::from_utf8(&object).map_err(|e| RowFailure::Format(e.to_string()))?;
        decoder.push_json(text).map_err(RowFailure::Row)?;
        Ok(true)
    }
}

/// Objects one after another, or in one list.
pub(crate) struct Objects {
    fetch: Fetch,
    buffer: BytesMut,
    cut: ObjectCut,
    row_bytes_max: usize,
}

impl Objects {
    fn new(fetch: Fetch, row_bytes_max: usize) -> Self {
        Self { fetch, buffer: BytesMut::new(), cut: ObjectCut::default(), row_bytes_max }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RowFailure> {
        loop {
            if let Some(end) = self.cut.next(&mut self.buffer).map_err(|text| RowFailure::Format(text.to_owned()))? {
                return Ok(Some(self.buffer.split_to(end).freeze()));
            }
            if self.buffer.len() > self.row_bytes_max {
                return Err(RowFailure::TooLong);
            }
            match self.fetch.next().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.cut.is_at_an_end() => return Ok(None),
                None => return Err(RowFailure::Format("the file ends within an object or a list".to_owned())),
            }
        }
    }
}

/// Finds where objects end. What they hold is for who reads them.
#[derive(Debug, Default)]
struct ObjectCut {
    place: Place,
    /// Bytes of the object at the buffer's start that were looked at.
    looked_at: usize,
    /// Braces and brackets that are open in it.
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

/// Where the next object is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    /// Among objects that are in no list.
    Bare,
    List,
    /// Behind the list.
    End,
}

impl ObjectCut {
    fn is_at_an_end(&self) -> bool {
        self.depth == 0 && self.place != Place::List
    }

    /// Bytes of the object at the buffer's start, if all of it is there. What stands between objects is taken off.
    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<usize>, &'static str> {
        if self.depth == 0 && !self.open(buffer)? {
            return Ok(None);
        }
        while let Some(byte) = buffer.get(self.looked_at) {
            self.looked_at += 1;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_text => self.is_escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                return Ok(Some(std::mem::take(&mut self.looked_at)));
            }
        }
        Ok(None)
    }

    /// Goes to the next object; false: it is not there yet.
    fn open(&mut self, buffer: &mut BytesMut) -> Result<bool, &'static str> {
        if self.place == Place::Start {
            if buffer.len() < MARK.len() && MARK.starts_with(buffer) {
                return Ok(false);
            }
            if buffer.starts_with(MARK) {
                buffer.advance(MARK.len());
            }
        }
        while let Some(byte) = buffer.first() {
            self.place = match (byte, self.place) {
                (b' ' | b'\t' | b'\r' | b'\n', Place::Start) => Place::Start,
                (b' ' | b'\t' | b'\r' | b'\n', place) => place,
                (b'[', Place::Start) => Place::List,
                (b',', Place::List) => Place::List,
                (b']', Place::List) => Place::End,
                (b'{', Place::Start | Place::Bare) => {
                    self.begin(Place::Bare);
                    return Ok(true);
                }
                (b'{', Place::List) => {
                    self.begin(Place::List);
                    return Ok(true);
                }
                _ => return Err("there is something else than JSON objects"),
            };
            buffer.advance(1);
        }
        Ok(false)
    }

    fn begin(&mut self, place: Place) {
        (self.place, self.depth, self.looked_at) = (place, 1, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects of a text that comes in pieces of this many bytes; the error, or whether it is whole.
    fn cut(text: &str, piece: usize) -> (Vec<String>, Result<bool, &'static str>) {
        let (mut cut, mut buffer, mut objects) = (ObjectCut::default(), BytesMut::new(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            buffer.extend_from_slice(piece);
            loop {
                match cut.next(&mut buffer) {
                    Ok(Some(end)) => objects.push(String::from_utf8(buffer.split_to(end).to_vec()).unwrap()),
                    Ok(None) => break,
                    Err(error) => return (objects, Err(error)),
                }
            }
        }
        (objects, Ok(cut.is_at_an_end()))
    }

    #[test]
    fn objects_end_where_their_braces_close() {
        let one = r#"{"a": "}\"]\\", "b": [{"c": 1}, []]}"#;
        for (text, objects, end) in [
            ("", 0, Ok(true)),
            (" \n", 0, Ok(true)),
            ("[]", 0, Ok(true)),
            (one, 1, Ok(true)),
            (&format!("\u{feff}{one}\n{one}\r\n"), 2, Ok(true)),
            (&format!("\u{feff} [\n{one} ,\n{one}\n]\n"), 2, Ok(true)),
            (&format!("[{one}, {one}"), 2, Ok(false)),
            (&format!("{one}{{\"a\": "), 1, Ok(false)),
            (&format!("[{one}, 1]"), 1, Err("there is something else than JSON objects")),
            (&format!("[{one}] {one}"), 1, Err("there is something else than JSON objects")),
            (&format!("{one}, {one}"), 1, Err("there is something else than JSON objects")),
            ("\"a\"", 0, Err("there is something else than JSON objects")),
        ] {
            for piece in [1, 2, 7, 1_000] {
                let (found, told) = cut(text, piece);
                assert_eq!((found.len(), told), (objects, end), "{text} in pieces of {piece}");
                assert!(found.iter().all(|object| object == one), "{found:?}");
            }
        }
    }
}
