//! Names of parts as tickets carry them: bytes that say which rows a part has. Decides nothing.

use crate::plan::parts::PARTS_MAX;
use querygate_catalog::federation::{KeyRange, RowRange, Rows};
use querygate_driver_api::execution::Pages;
use querygate_driver_api::value::Value;
use querygate_query_api::parts::Part;
use std::sync::Arc;

/// A share of a scan's files, dealt out in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) index: u32,
    pub(crate) of: u32,
    pub(crate) layout: u64,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Name {
    Files(Share),
    Rows(RowRange),
}

/// First byte of a name.
const FILES: u8 = 1;
const KEYS: u8 = 2;
const PAGES: u8 = 3;
/// First byte of a range's end.
const OPEN: u8 = 0;
const INT16: u8 = 1;
const INT32: u8 = 2;
const INT64: u8 = 3;
const TEXT: u8 = 4;
/// An end that no range has, which is never read.
const UNREADABLE: u8 = 255;

impl Name {
    pub(crate) fn part(&self) -> Part {
        let mut name = Vec::new();
        match self {
            Self::Files(share) => {
                name.push(FILES);
                name.extend_from_slice(&share.index.to_le_bytes());
                name.extend_from_slice(&share.of.to_le_bytes());
                name.extend_from_slice(&share.layout.to_le_bytes());
            }
            Self::Rows(RowRange { snapshot, rows: Rows::Keys(range) }) => {
                name.push(KEYS);
                write_snapshot(&mut name, snapshot.as_deref());
                write_end(&mut name, range.low.as_ref());
                write_end(&mut name, range.high.as_ref());
            }
            Self::Rows(RowRange { snapshot, rows: Rows::Pages(pages) }) => {
                name.push(PAGES);
                write_snapshot(&mut name, snapshot.as_deref());
                name.extend_from_slice(&pages.from.to_le_bytes());
                name.extend_from_slice(&pages.to.to_le_bytes());
                name.push(u8::from(pages.last));
            }
        }
        Part::new(name)
    }

    pub(crate) fn read(part: &Part) -> Option<Self> {
        let (kind, rest) = part.name().split_first()?;
        let (name, rest) = match *kind {
            FILES => {
                let (index, rest) = rest.split_first_chunk()?;
                let (of, rest) = rest.split_first_chunk()?;
                let (layout, rest) = rest.split_first_chunk()?;
                let (index, of) = (u32::from_le_bytes(*index), u32::from_le_bytes(*of));
                if index >= of || of as usize > PARTS_MAX {
                    return None;
                }
                (Self::Files(Share { index, of, layout: u64::from_le_bytes(*layout) }), rest)
            }
            KEYS => {
                let (snapshot, rest) = read_snapshot(rest)?;
                let (low, rest) = read_end(rest)?;
                let (high, rest) = read_end(rest)?;
                (Self::Rows(RowRange { snapshot, rows: Rows::Keys(KeyRange { low, high }) }), rest)
            }
            PAGES => {
                let (snapshot, rest) = read_snapshot(rest)?;
                let (from, rest) = rest.split_first_chunk()?;
                let (to, rest) = rest.split_first_chunk()?;
                let (last, rest) = rest.split_first()?;
                let last = match *last {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                let pages = Pages { from: u32::from_le_bytes(*from), to: u32::from_le_bytes(*to), last };
                (Self::Rows(RowRange { snapshot, rows: Rows::Pages(pages) }), rest)
            }
            _ => return None,
        };
        rest.is_empty().then_some(name)
    }
}

/// The empty text is no snapshot's name.
fn write_snapshot(name: &mut Vec<u8>, snapshot: Option<&str>) {
    let snapshot = snapshot.unwrap_or_default();
    name.extend_from_slice(&(snapshot.len() as u64).to_le_bytes());
    name.extend_from_slice(snapshot.as_bytes());
}

fn read_snapshot(bytes: &[u8]) -> Option<(Option<Arc<str>>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (snapshot, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let snapshot = std::str::from_utf8(snapshot).ok()?;
    Some(((!snapshot.is_empty()).then(|| snapshot.into()), rest))
}

fn write_end(name: &mut Vec<u8>, end: Option<&Value>) {
    let mut number = |kind: u8, value: i64| {
        name.push(kind);
        name.extend_from_slice(&value.to_le_bytes());
    };
    match end {
        Some(Value::Int16(value)) => number(INT16, i64::from(*value)),
        Some(Value::Int32(value)) => number(INT32, i64::from(*value)),
        Some(Value::Int64(value)) => number(INT64, *value),
        Some(Value::Text(text)) => {
            name.push(TEXT);
            name.extend_from_slice(&(text.len() as u64).to_le_bytes());
            name.extend_from_slice(text.as_bytes());
        }
        // No key that is divided by has another type.
        Some(
            Value::Null(_)
            | Value::Boolean(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::Decimal128 { .. }
            | Value::Binary(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Timestamp { .. }
            | Value::TextList(_),
        ) => name.push(UNREADABLE),
        None => name.push(OPEN),
    }
}

fn read_end(bytes: &[u8]) -> Option<(Option<Value>, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    if *kind == OPEN {
        return Some((None, rest));
    }
    let (number, rest) = rest.split_first_chunk()?;
    let number = i64::from_le_bytes(*number);
    Some(match *kind {
        INT16 => (Some(Value::Int16(i16::try_from(number).ok()?)), rest),
        INT32 => (Some(Value::Int32(i32::try_from(number).ok()?)), rest),
        INT64 => (Some(Value::Int64(number)), rest),
        TEXT => {
            let (text, rest) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            (Some(Value::Text(std::str::from_utf8(text).ok()?.into())), rest)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &Name) {
        let part = name.part();
        assert_eq!(Name::read(&part).as_ref(), Some(name));
        let bytes = part.name().to_vec();
        for length in 0..bytes.len() {
            assert_eq!(Name::read(&Part::new(&bytes[..length])), None, "{name:?} {length}");
        }
        assert_eq!(Name::read(&Part::new([bytes, vec![0]].concat())), None);
    }

    #[test]
    fn a_part_is_read_as_it_was_named() {
        check(&Name::Files(Share { index: 3, of: 4, layout: 0x0102_0304_0506_0708 }));
        let ends = [
            None,
            Some(Value::Int16(-7)),
            Some(Value::Int32(i32::MIN)),
            Some(Value::Int64(i64::MAX)),
            Some(Value::Text("acc_0001 é".into())),
            Some(Value::Text("".into())),
        ];
        for snapshot in [None, Some("00000003-0000001B-1".into())] {
            for low in &ends {
                for high in &ends {
                    let rows = Rows::Keys(KeyRange { low: low.clone(), high: high.clone() });
                    check(&Name::Rows(RowRange { snapshot: snapshot.clone(), rows }));
                }
            }
            for last in [false, true] {
                let rows = Rows::Pages(Pages { from: 7, to: u32::MAX, last });
                check(&Name::Rows(RowRange { snapshot: snapshot.clone(), rows }));
            }
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let date = Rows::Keys(KeyRange { low: Some(Value::Date(1)), high: None });
        assert_eq!(Name::read(&Name::Rows(RowRange { snapshot: None, rows: date }).part()), None);
        for share in [Share { index: 4, of: 4, layout: 1 }, Share { index: 0, of: 65, layout: 1 }] {
            assert_eq!(Name::read(&Name::Files(share).part()), None);
        }
        let none = [0; 8];
        let wrong: [Vec<u8>; 7] = [
            Vec::new(),
            vec![9],
            [&[2][..], &none, b"\x09\0\0\0\0\0\0\0\0\0"].concat(),
            [&[2][..], &none, b"\x04\xff\xff\xff\xff\xff\xff\xff\xff\0"].concat(),
            [&[2][..], &[0xff; 8], &[0, 0]].concat(),
            [&[3][..], &none, &[0; 8], &[2]].concat(),
            [&[3][..], b"\x01\0\0\0\0\0\0\0\xff", &[0; 8], &[1]].concat(),
        ];
        for bytes in wrong {
            let part = Part::new(bytes.clone());
            assert_eq!(Name::read(&part), None, "{bytes:?}");
        }
    }
}
