//! Names of parts as tickets carry them: bytes that say which rows a part has. Decides nothing.

use crate::parts::PARTS_MAX;
use querygate_catalog::KeyRange;
use querygate_driver_api::Value;
use querygate_query_api::Part;

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
    Keys(KeyRange),
}

/// First byte of a name.
const FILES: u8 = 1;
const KEYS: u8 = 2;
/// First byte of a range's end.
const OPEN: u8 = 0;
const INT16: u8 = 1;
const INT32: u8 = 2;
const INT64: u8 = 3;
const TEXT: u8 = 4;
/// An end that no range has, which nobody reads.
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
            Self::Keys(range) => {
                name.push(KEYS);
                write_end(&mut name, range.low.as_ref());
                write_end(&mut name, range.high.as_ref());
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
                let (low, rest) = read_end(rest)?;
                let (high, rest) = read_end(rest)?;
                (Self::Keys(KeyRange { low, high }), rest)
            }
            _ => return None,
        };
        rest.is_empty().then_some(name)
    }
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
        for low in &ends {
            for high in &ends {
                check(&Name::Keys(KeyRange { low: low.clone(), high: high.clone() }));
            }
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let date = KeyRange { low: Some(Value::Date(1)), high: None };
        assert_eq!(Name::read(&Name::Keys(date).part()), None);
        for share in [Share { index: 4, of: 4, layout: 1 }, Share { index: 0, of: 65, layout: 1 }] {
            assert_eq!(Name::read(&Name::Files(share).part()), None);
        }
        for bytes in [&b""[..], b"\x03", b"\x02\x09\0\0\0\0\0\0\0\0\0", b"\x02\x04\xff\xff\xff\xff\xff\xff\xff\xff\0"] {
            assert_eq!(Name::read(&Part::new(bytes)), None, "{bytes:?}");
        }
    }
}
