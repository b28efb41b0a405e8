//! Rows of COPY's binary format.

use super::cells::{Cells, Kind};
use crate::wire::{Reader, Short};
use querygate_types::{Error, ErrorCode, Result};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Flag of rows that begin with an oid, which PostgreSQL does not write any more.
const WITH_OIDS: i32 = 1 << 16;

/// What lies at the front of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A row of this number of bytes; its values are in the cells.
    Row(usize),
    /// What is not a row, of this number of bytes.
    Skip(usize),
    Part,
    End,
}

/// Rows, found one after the other.
#[derive(Debug, Default)]
pub(super) struct Rows {
    has_header: bool,
    ended: bool,
    pub(super) number: u64,
}

impl Rows {
    /// Reads the first row. `is_all`: nothing follows.
    ///
    /// # Errors
    /// 22P04: it is no row of this number of values.
    pub(super) fn find(&mut self, input: &[u8], columns: usize, is_all: bool, cells: &mut Cells) -> Result<Found> {
        if self.ended {
            return if input.is_empty() { Ok(Found::End) } else { Err(bad("received copy data after EOF marker")) };
        }
        if input.is_empty() && is_all && self.has_header {
            return Ok(Found::End);
        }
        let mut reader = Reader::new(input);
        let found = if self.has_header { self.row(&mut reader, columns, cells) } else { self.header(&mut reader) };
        match found {
            Ok(found) => found,
            Err(Short) if is_all => Err(bad(if self.has_header {
                "unexpected EOF in COPY data"
            } else {
                "COPY file signature not recognized"
            })),
            Err(Short) => Ok(Found::Part),
        }
    }

    fn header(&mut self, reader: &mut Reader<'_>) -> std::result::Result<Result<Found>, Short> {
        let before = reader.remaining();
        if reader.take(SIGNATURE.len())? != SIGNATURE {
            return Ok(Err(bad("COPY file signature not recognized")));
        }
        let (flags, length) = (reader.i32()?, reader.i32()?);
        if flags & WITH_OIDS != 0 {
            return Ok(Err(bad("invalid COPY file header (WITH OIDS)")));
        }
        if flags >> 16 != 0 {
            return Ok(Err(bad("unrecognized critical flags in COPY file header")));
        }
        let Ok(length) = usize::try_from(length) else {
            return Ok(Err(bad("invalid COPY file header (missing length)")));
        };
        reader.take(length)?;
        self.has_header = true;
        Ok(Ok(Found::Skip(before - reader.remaining())))
    }

    fn row(
        &mut self,
        reader: &mut Reader<'_>,
        columns: usize,
        cells: &mut Cells,
    ) -> std::result::Result<Result<Found>, Short> {
        let before = reader.remaining();
        let count = reader.i16()?;
        if count == -1 {
            self.ended = true;
            return Ok(Ok(Found::Skip(before - reader.remaining())));
        }
        if usize::try_from(count) != Ok(columns) {
            self.number += 1;
            return Ok(Err(bad(&format!("row field count is {count}, expected {columns}"))));
        }
        // Values are taken once they are all there.
        let mut measured = *reader;
        for _ in 0..columns {
            match measured.i32()? {
                -1 => {}
                length => match usize::try_from(length) {
                    Ok(length) => drop(measured.take(length)?),
                    Err(_) => {
                        self.number += 1;
                        return Ok(Err(bad("invalid field size")));
                    }
                },
            }
        }
        cells.clear();
        for _ in 0..columns {
            let length = usize::try_from(reader.i32()?).ok();
            if let Some(length) = length {
                cells.bytes(reader.take(length)?);
            }
            cells.end(if length.is_none() { Kind::Null } else { Kind::Value });
        }
        self.number += 1;
        Ok(Ok(Found::Row(before - reader.remaining())))
    }
}

fn bad(text: &str) -> Error {
    Error::new(ErrorCode::BadCopyFormat, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02xy";

    fn read(data: &[u8], piece: usize) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
        let (mut rows, mut cells) = (Rows::default(), Cells::default());
        let (mut input, mut rest, mut found) = (Vec::new(), data, Vec::new());
        loop {
            match rows.find(&input, 2, rest.is_empty(), &mut cells)? {
                Found::Row(taken) => {
                    found.push(cells.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect());
                    input.drain(..taken);
                }
                Found::Skip(taken) => drop(input.drain(..taken)),
                Found::Part => {
                    let (some, more) = rest.split_at(piece.min(rest.len()));
                    input.extend_from_slice(some);
                    rest = more;
                }
                Found::End if rest.is_empty() => return Ok(found),
                Found::End => {
                    input.extend_from_slice(rest);
                    rest = &[];
                }
            }
        }
    }

    #[test]
    fn rows_are_the_same_however_they_come() {
        let row = b"\0\x02\0\0\0\x01a\xff\xff\xff\xff";
        for end in [&b""[..], b"\xff\xff"] {
            let data = [HEADER, row, row, end].concat();
            for piece in 1..=data.len() {
                assert_eq!(read(&data, piece).unwrap(), vec![vec![Some(b"a".to_vec()), None]; 2], "{piece}");
            }
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for (data, expected) in [
            (b"".to_vec(), "COPY file signature not recognized"),
            (b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec(), "COPY file signature not recognized"),
            (b"PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0".to_vec(), "invalid COPY file header (WITH OIDS)"),
            (b"PGCOPY\n\xff\r\n\0\0\x02\0\0\0\0\0\0".to_vec(), "unrecognized critical flags in COPY file header"),
            (b"PGCOPY\n\xff\r\n\0\0\0\0\0\xff\0\0\0".to_vec(), "invalid COPY file header (missing length)"),
            ([HEADER, b"\0\x01\0\0\0\0"].concat(), "row field count is 1, expected 2"),
            ([HEADER, b"\0\x02\xff\xff\xff\xfe"].concat(), "invalid field size"),
            ([HEADER, b"\0\x02\0\0\0\x05abc"].concat(), "unexpected EOF in COPY data"),
            ([HEADER, b"\xff\xff\0"].concat(), "received copy data after EOF marker"),
        ] {
            let error = read(&data, 7).unwrap_err();
            assert_eq!((error.code(), error.message()), (ErrorCode::BadCopyFormat, expected));
        }
    }
}
