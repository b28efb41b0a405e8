//! Writing of server messages into one buffer: each frame's length is put in when its body is done. Knows no state.

use crate::digits::push_u64;
use querygate_query_api::column::Column;
use querygate_types::PgType;

/// `typlen` of enums.
const ENUM_LENGTH: i16 = 4;

/// Format of a value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    pub(crate) const fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }

    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// Where an open frame began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameMark(usize);

/// Server messages, appended to a buffer.
pub(crate) trait Writer {
    fn open(&mut self, tag: u8) -> FrameMark;
    fn close(&mut self, mark: FrameMark);
    fn i16(&mut self, value: i16);
    fn i32(&mut self, value: i32);
    fn u32(&mut self, value: u32);
    fn cstr(&mut self, text: &str);
    /// A count that the caller has bounded to 65,535.
    fn count(&mut self, count: usize);

    fn empty(&mut self, tag: u8) {
        let mark = self.open(tag);
        self.close(mark);
    }

    fn authentication(&mut self, code: i32, body: &[u8]);

    fn parameter_status(&mut self, name: &str, value: &str) {
        let mark = self.open(b'S');
        self.cstr(name);
        self.cstr(value);
        self.close(mark);
    }

    fn notification(&mut self, process_id: u32, channel: &str, payload: &str) {
        let mark = self.open(b'A');
        self.u32(process_id);
        self.cstr(channel);
        self.cstr(payload);
        self.close(mark);
    }

    fn command_complete(&mut self, tag: &str) {
        let mark = self.open(b'C');
        self.cstr(tag);
        self.close(mark);
    }

    /// The same with a number of rows.
    fn command_counted(&mut self, tag: &str, rows: u64);

    fn ready(&mut self, status: u8) {
        let mark = self.open(b'Z');
        self.byte(status);
        self.close(mark);
    }

    fn parameter_description(&mut self, types: &[PgType]) {
        let mark = self.open(b't');
        self.count(types.len());
        for pg_type in types {
            self.u32(pg_type.oid());
        }
        self.close(mark);
    }

    fn row_description(&mut self, columns: &[Column], formats: impl Fn(usize) -> Format) {
        let mark = self.open(b'T');
        self.count(columns.len());
        for (index, column) in columns.iter().enumerate() {
            self.cstr(&column.name);
            self.u32(column.table_oid);
            self.i16(column.attribute);
            self.u32(column.enum_oid.unwrap_or(column.pg_type.oid()));
            self.i16(if column.enum_oid.is_some() { ENUM_LENGTH } else { column.pg_type.type_length() });
            self.i32(column.type_modifier);
            self.i16(formats(index).code());
        }
        self.close(mark);
    }

    fn copy_out_response(&mut self, columns: usize, format: Format) {
        self.copy_response(b'H', columns, format);
    }

    fn copy_in_response(&mut self, columns: usize, format: Format) {
        self.copy_response(b'G', columns, format);
    }

    fn copy_response(&mut self, tag: u8, columns: usize, format: Format) {
        let mark = self.open(tag);
        self.byte(if format == Format::Binary { 1 } else { 0 });
        self.count(columns);
        for _ in 0..columns {
            self.i16(format.code());
        }
        self.close(mark);
    }

    fn byte(&mut self, value: u8);
}

impl Writer for Vec<u8> {
    fn open(&mut self, tag: u8) -> FrameMark {
        self.push(tag);
        let mark = FrameMark(self.len());
        self.extend_from_slice(&[0; 4]);
        mark
    }

    fn close(&mut self, FrameMark(at): FrameMark) {
        debug_assert!(self.len() >= at + 4, "a frame is closed in the buffer that it was opened in");
        let length = self.len() - at;
        put_length(self, at, length);
    }

    fn i16(&mut self, value: i16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    /// A zero byte inside would end the string early on the other side: what follows it is left out.
    fn cstr(&mut self, text: &str) {
        let end = text.bytes().position(|byte| byte == 0).unwrap_or(text.len());
        self.extend_from_slice(text.as_bytes().get(..end).unwrap_or_default());
        self.push(0);
    }

    fn count(&mut self, count: usize) {
        debug_assert!(u16::try_from(count).is_ok(), "a count of two bytes: {count}");
        self.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    }

    fn authentication(&mut self, code: i32, body: &[u8]) {
        let mark = self.open(b'R');
        self.i32(code);
        self.extend_from_slice(body);
        self.close(mark);
    }

    fn command_counted(&mut self, tag: &str, rows: u64) {
        let mark = self.open(b'C');
        self.extend_from_slice(tag.as_bytes());
        self.push(b' ');
        push_u64(self, rows);
        self.push(0);
        self.close(mark);
    }

    fn byte(&mut self, value: u8) {
        self.push(value);
    }
}

/// Writes a length into four bytes reserved for it. Lengths beyond `i32` cannot occur: rows are bounded far below.
pub(crate) fn put_length(buffer: &mut [u8], at: usize, length: usize) {
    debug_assert!(i32::try_from(length).is_ok(), "a length of four bytes: {length}");
    debug_assert!(at + 4 <= buffer.len(), "a length stands in its buffer");
    if let Some(place) = buffer.get_mut(at..at + 4) {
        place.copy_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
    }
}

/// End of the frame that holds byte `position` of a buffer of whole frames (of the last whole frame when it is torn).
pub(crate) fn frame_end(frames: &[u8], position: usize) -> usize {
    let mut start = 0;
    while start < position {
        let Some(length) = frames.get(start + 1..start + 5).and_then(|b| <[u8; 4]>::try_from(b).ok()) else { break };
        let Ok(length) = usize::try_from(i32::from_be_bytes(length)) else { break };
        let end = start + 1 + length;
        if length < 4 || end > frames.len() {
            break;
        }
        start = end;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_carry_their_length_and_end_where_they_say() {
        let mut out = Vec::new();
        out.command_complete("SET");
        out.empty(b'1');
        assert_eq!(out, b"C\0\0\0\x08SET\0\x31\0\0\0\x04");
        assert_eq!([frame_end(&out, 0), frame_end(&out, 1), frame_end(&out, 9), frame_end(&out, 10)], [0, 9, 9, 14]);
    }

    #[test]
    fn a_torn_last_frame_is_left_out() {
        let mut out = Vec::new();
        out.command_counted("SELECT", 120);
        assert_eq!(out, b"C\0\0\0\x0fSELECT 120\0");
        out.clear();
        out.empty(b'1');
        out.open(b'D');
        assert_eq!(frame_end(&out, out.len()), 5);
    }
}
