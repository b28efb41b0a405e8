//! BSON as it comes off the wire, element by element: what nobody asks for is stepped over by its length. Knows no column.

use crate::documents::json::broken;
use crate::error::unreadable;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Decimal128, RawBsonRef, RawDocument};
use querygate_types::Result;

/// Kinds of elements, by BSON's numbers.
pub(crate) const DOCUMENT: u8 = 0x03;
pub(crate) const ARRAY: u8 = 0x04;
pub(crate) const DOUBLE: u8 = 0x01;
pub(crate) const STRING: u8 = 0x02;
const BINARY: u8 = 0x05;
pub(crate) const UNDEFINED: u8 = 0x06;
const OBJECT_ID: u8 = 0x07;
pub(crate) const BOOLEAN: u8 = 0x08;
pub(crate) const DATE: u8 = 0x09;
pub(crate) const NULL: u8 = 0x0A;
const REGEX: u8 = 0x0B;
const POINTER: u8 = 0x0C;
const CODE: u8 = 0x0D;
const SYMBOL: u8 = 0x0E;
const SCOPED_CODE: u8 = 0x0F;
pub(crate) const INT: u8 = 0x10;
const TIMESTAMP: u8 = 0x11;
pub(crate) const LONG: u8 = 0x12;
pub(crate) const DECIMAL: u8 = 0x13;
const LEAST: u8 = 0xFF;
const GREATEST: u8 = 0x7F;

/// The elements of a document, without its length and its end.
///
/// # Errors
/// Bytes that are no document.
#[inline]
pub(crate) fn body(document: &[u8]) -> Result<&[u8]> {
    match document {
        [_, _, _, _, elements @ .., 0] if length(document) == Some(document.len()) => Ok(elements),
        _ => Err(unreadable()),
    }
}

/// Each value of an array with its kind.
pub(crate) fn items(array: &[u8]) -> Result<impl Iterator<Item = Result<(u8, &[u8])>>> {
    let mut rest = body(array)?;
    Ok(std::iter::from_fn(move || {
        let (&kind, named) = std::mem::take(&mut rest).split_first()?;
        let value = name_end(named).and_then(|end| split(kind, named.get(end + 1..).unwrap_or_default()));
        Some(value.map(|(value, after)| {
            debug_assert!(
                value.len() + after.len() < named.len(),
                "each element ends, and takes its kind and its name"
            );
            rest = after;
            (kind, value)
        }))
    }))
}

/// Where the name that begins here ends.
#[inline]
pub(crate) fn name_end(bytes: &[u8]) -> Result<usize> {
    bytes.iter().position(|byte| *byte == 0).ok_or_else(unreadable)
}

fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

/// The bytes of the value of a kind that begins here, and what comes after it.
///
/// # Errors
/// A kind that does not exist, or a value that does not end.
#[inline]
pub(crate) fn split(kind: u8, bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let with_length = |more: usize| length(bytes)?.checked_add(more);
    let size = match kind {
        NULL | UNDEFINED | LEAST | GREATEST => Some(0),
        BOOLEAN => Some(1),
        INT => Some(4),
        DOUBLE | DATE | LONG | TIMESTAMP => Some(8),
        OBJECT_ID => Some(12),
        DECIMAL => Some(16),
        STRING | CODE | SYMBOL => with_length(4),
        DOCUMENT | ARRAY | SCOPED_CODE => with_length(0),
        BINARY => with_length(5),
        POINTER => with_length(16),
        REGEX => regex_size(bytes),
        _ => None,
    };
    size.and_then(|size| bytes.split_at_checked(size)).ok_or_else(unreadable)
}

/// Two texts without a length, each with its end.
fn regex_size(bytes: &[u8]) -> Option<usize> {
    let pattern = name_end(bytes).ok()? + 1;
    Some(pattern + name_end(bytes.get(pattern..)?).ok()? + 1)
}

/// A value from its bytes; those of rare kinds are read from a copy.
///
/// # Errors
/// Bytes that are none of this kind, or a text that is no UTF-8.
#[inline]
pub(crate) fn value<'a>(kind: u8, bytes: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<RawBsonRef<'a>> {
    let value = match kind {
        INT => RawBsonRef::Int32(i32::from_le_bytes(fixed(bytes)?)),
        LONG => RawBsonRef::Int64(i64::from_le_bytes(fixed(bytes)?)),
        DOUBLE => RawBsonRef::Double(f64::from_le_bytes(fixed(bytes)?)),
        DECIMAL => RawBsonRef::Decimal128(Decimal128::from_bytes(fixed(bytes)?)),
        STRING => RawBsonRef::String(text(bytes)?),
        DATE => RawBsonRef::DateTime(DateTime::from_millis(i64::from_le_bytes(fixed(bytes)?))),
        BOOLEAN => RawBsonRef::Boolean(boolean(bytes)?),
        NULL => RawBsonRef::Null,
        OBJECT_ID => RawBsonRef::ObjectId(ObjectId::from_bytes(fixed(bytes)?)),
        DOCUMENT => {
            return RawDocument::from_bytes(bytes).map(RawBsonRef::Document).map_err(|error| broken(&error));
        }
        _ => return rare(kind, bytes, scratch),
    };
    Ok(value)
}

/// The bytes of a value that has so many.
#[inline]
pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| unreadable())
}

/// A text from the bytes of its value.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    match bytes {
        [_, _, _, _, text @ .., 0] => std::str::from_utf8(text).map_err(|_| unreadable()),
        _ => Err(unreadable()),
    }
}

#[inline]
pub(crate) fn boolean(bytes: &[u8]) -> Result<bool> {
    match bytes {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(unreadable()),
    }
}

/// As the only element of a document, so that the library reads it.
fn rare<'a>(kind: u8, bytes: &[u8], scratch: &'a mut Vec<u8>) -> Result<RawBsonRef<'a>> {
    // The length itself, the kind, a name that is empty, and two ends.
    let size = i32::try_from(bytes.len().saturating_add(7)).map_err(|_| unreadable())?;
    scratch.clear();
    scratch.extend_from_slice(&size.to_le_bytes());
    scratch.extend_from_slice(&[kind, 0]);
    scratch.extend_from_slice(bytes);
    scratch.push(0);
    let document = RawDocument::from_bytes(scratch.as_slice()).map_err(|error| broken(&error))?;
    match document.iter().next() {
        Some(Ok((_, value))) => Ok(value),
        Some(Err(error)) => Err(broken(&error)),
        None => Err(unreadable()),
    }
}

#[cfg(test)]
pub(super) use tests::every_kind;

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{Binary, Bson, JavaScriptCodeWithScope, RawBson, RawDocumentBuf, Regex, Timestamp, doc};

    /// One of every kind, in a document.
    pub(in crate::documents) fn every_kind() -> RawDocumentBuf {
        let pointer = {
            // The library makes none by itself: a text, its length before it, and an ObjectId.
            let mut bytes = vec![30, 0, 0, 0, POINTER, b'p', 0, 6, 0, 0, 0];
            bytes.extend_from_slice(b"a.bcd\0");
            bytes.extend_from_slice(&[7; 12]);
            bytes.push(0);
            RawDocumentBuf::from_bytes(bytes).unwrap()
        };
        let RawBson::DbPointer(pointer) = RawBson::from(pointer.get("p").unwrap().unwrap()) else { panic!() };
        let binary = |subtype| Bson::Binary(Binary { subtype, bytes: vec![1, 2, 3] });
        let document = doc! {
            "double": 1.5, "string": "ä\0b", "empty": "", "document": { "a": { "b": 1 } }, "array": [1, "two", [3]],
            "binary": binary(BinarySubtype::Generic), "old": binary(BinarySubtype::BinaryOld), "undefined": Bson::Undefined,
            "id": ObjectId::from_bytes([9; 12]), "yes": true, "no": false, "date": DateTime::from_millis(-1), "null": null,
            "regex": Bson::RegularExpression(Regex { pattern: "a.*".try_into().unwrap(), options: "i".try_into().unwrap() }),
            "pointer": Bson::DbPointer(pointer), "code": Bson::JavaScriptCode("1".to_owned()),
            "symbol": Bson::Symbol("s".to_owned()),
            "scoped": Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "x".to_owned(), scope: doc! { "x": 1 } }),
            "int": i32::MIN, "timestamp": Bson::Timestamp(Timestamp { time: 1, increment: 2 }), "long": i64::MAX,
            "decimal": Bson::Decimal128("1.50".parse().unwrap()), "least": Bson::MinKey, "greatest": Bson::MaxKey,
        };
        RawDocumentBuf::try_from(&document).unwrap()
    }

    #[test]
    fn every_kind_is_read_as_the_library_reads_it() {
        let document = every_kind();
        let (mut rest, mut scratch, mut read) = (body(document.as_bytes()).unwrap(), Vec::new(), 0);
        for expected in &document {
            let (name, expected) = expected.unwrap();
            let end = name_end(&rest[1..]).unwrap();
            assert_eq!(&rest[1..=end], name.as_str().as_bytes());
            let (bytes, after) = split(rest[0], &rest[end + 2..]).unwrap();
            assert_eq!(value(rest[0], bytes, &mut scratch).unwrap(), expected, "{}", name.as_str());
            (rest, read) = (after, read + 1);
        }
        assert_eq!((rest.len(), read), (0, 24));
        let array = document.get_array("array").unwrap();
        let kinds: Vec<u8> = items(array.as_bytes()).unwrap().map(|item| item.unwrap().0).collect();
        assert_eq!(kinds, [INT, STRING, ARRAY]);
    }

    #[test]
    fn no_bytes_are_read_beyond_their_end() {
        let whole = every_kind().into_bytes();
        assert!(body(&whole).is_ok());
        let mut scratch = Vec::new();
        for cut in 0..whole.len() {
            assert!(body(&whole[..cut]).is_err(), "{cut}");
            // A document that says that it is whole, and is not.
            let mut elements = &whole[4..cut.max(4)];
            while let [kind, named @ ..] = elements {
                let Ok(end) = name_end(named) else { break };
                let Ok((bytes, after)) = split(*kind, &named[end + 1..]) else { break };
                drop(value(*kind, bytes, &mut scratch));
                elements = after;
            }
        }
        let endless: [(u8, &[u8]); 7] = [
            (STRING, &[255, 255, 255, 255, 0]),
            (STRING, &[9, 0, 0, 0, b'a', 0]),
            (BINARY, &[255, 255, 255, 127, 0]),
            (REGEX, b"a\0b"),
            (0x14, &[0; 16]),
            (0, &[]),
            (LONG, &[0; 7]),
        ];
        for (kind, bytes) in endless {
            assert!(split(kind, bytes).is_err(), "{kind}");
        }
        let wrong: [(u8, &[u8]); 3] = [(STRING, &[2, 0, 0, 0, 0xFF, 0]), (STRING, &[0, 0, 0, 0]), (BOOLEAN, &[2])];
        for (kind, bytes) in wrong {
            assert!(value(kind, bytes, &mut scratch).is_err(), "{kind}");
        }
    }
}
