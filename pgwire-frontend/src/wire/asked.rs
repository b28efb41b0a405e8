//! A request in one go, as clients ask for a statement that they prepared: Bind to the unnamed portal, Describe or not, Execute of all
//! rows, Sync. It is read where it lies, and whatever lies there otherwise is left to the framing fence.

use super::backend::Format;
use super::reader::{Reader, Short};

/// Values of a request, at most; one with more is taken apart.
pub(crate) const VALUES_MAX: usize = 8;
/// Bytes of its Bind, at most.
const BIND_BYTES_MAX: usize = 4_096;

/// A whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(crate) statement: &'a str,
    values: [(Format, &'a [u8]); VALUES_MAX],
    count: usize,
    /// The one form of all columns, and how often it is said: as often as there are columns, once, or never.
    pub(crate) form: Format,
    pub(crate) forms: usize,
    pub(crate) described: bool,
    pub(crate) bytes: usize,
}

impl<'a> Asked<'a> {
    /// No value is NULL.
    pub(crate) fn values(&self) -> &[(Format, &'a [u8])] {
        self.values.get(..self.count).unwrap_or_default()
    }

    /// The request at the front of the bytes that came. `None`: it is another one, not whole yet, or nothing that may be.
    pub(crate) fn first(input: &'a [u8]) -> Option<Self> {
        let mut rest = input;
        let bind = frame(b'B', &mut rest)?;
        let described = rest.first() == Some(&b'D');
        if described && frame(b'D', &mut rest)? != b"P\0" {
            return None;
        }
        // The unnamed portal, and no bound on its rows.
        if frame(b'E', &mut rest)? != [0; 5] || !frame(b'S', &mut rest)?.is_empty() {
            return None;
        }
        let asked = Self::bound(bind).ok().flatten()?;
        Some(Self { described, bytes: input.len() - rest.len(), ..asked })
    }

    fn bound(bind: &'a [u8]) -> Result<Option<Self>, Short> {
        let mut reader = Reader::new(bind);
        let (portal, statement) = (reader.cstr()?, reader.cstr()?);
        let (format, formats) = match one_format(&mut reader)? {
            Some(format) => format,
            None => return Ok(None),
        };
        let count = reader.count(4)?;
        let Ok(statement) = std::str::from_utf8(statement) else { return Ok(None) };
        if !portal.is_empty() || count > VALUES_MAX || !matches!(formats, 0 | 1) && formats != count {
            return Ok(None);
        }
        let mut values = [(format, &[][..]); VALUES_MAX];
        for (_, value) in values.iter_mut().take(count) {
            // A negative one is NULL, or wrong.
            let Ok(length) = usize::try_from(reader.i32()?) else { return Ok(None) };
            *value = reader.take(length)?;
        }
        let Some((form, forms)) = one_format(&mut reader)? else { return Ok(None) };
        let asked = Self { statement, values, count, form, forms, described: false, bytes: 0 };
        Ok(reader.is_empty().then_some(asked))
    }
}

/// The body of a frame of this kind, taken off the front.
fn frame<'a>(kind: u8, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let ([tag, length @ ..], body) = rest.split_first_chunk::<5>()?;
    let length = usize::try_from(u32::from_be_bytes(*length).checked_sub(4)?).ok()?;
    if *tag != kind || length > BIND_BYTES_MAX {
        return None;
    }
    let (body, others) = body.split_at_checked(length)?;
    *rest = others;
    Some(body)
}

/// A list of codes that are all the same, and how many there are. `None`: they are not, or unknown.
fn one_format(reader: &mut Reader<'_>) -> Result<Option<(Format, usize)>, Short> {
    let count = reader.count(2)?;
    let mut one = None;
    for _ in 0..count {
        let Some(format) = Format::from_code(reader.i16()?) else { return Ok(None) };
        if *one.get_or_insert(format) != format {
            return Ok(None);
        }
    }
    Ok(Some((one.unwrap_or(Format::Text), count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    const BIND: &[u8] = b"\0s1\0\0\0\0\x02\0\0\0\x0212\0\0\0\0\0\0";

    fn request(bind: &[u8], others: &[(u8, &[u8])]) -> Vec<u8> {
        let others = others.iter().flat_map(|(kind, body)| frame_of(*kind, body));
        frame_of(b'B', bind).into_iter().chain(others).collect()
    }

    const USUAL: [(u8, &[u8]); 3] = [(b'D', b"P\0"), (b'E', &[0; 5]), (b'S', b"")];

    #[test]
    fn a_whole_request_is_read_where_it_lies() {
        let mut bytes = request(BIND, &USUAL);
        let length = bytes.len();
        bytes.extend(b"Q\0\0\0\x05\0");
        let asked = Asked::first(&bytes).unwrap();
        assert_eq!((asked.statement, asked.bytes, asked.described), ("s1", length, true));
        assert_eq!(asked.values(), [(Format::Text, b"12".as_slice()), (Format::Text, b"")]);
        assert_eq!((asked.form, asked.forms), (Format::Text, 0));
        let bytes = request(b"\0\0\0\x01\0\x01\0\0\0\x02\0\x01\0\x01", &[(b'E', &[0; 5]), (b'S', b"")]);
        let asked = Asked::first(&bytes).unwrap();
        assert_eq!((asked.statement, asked.described, asked.bytes), ("", false, bytes.len()));
        assert_eq!((asked.values().len(), asked.form, asked.forms), (0, Format::Binary, 2));
        for cut in 0..bytes.len() {
            assert_eq!(Asked::first(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn everything_else_is_left_to_the_fence() {
        for bind in [
            // Named portal, NULL, other length than is there, mixed and unknown formats, formats that fit no values.
            b"p\0s1\0\0\0\0\0\0\0".as_slice(),
            b"\0s1\0\0\0\0\x01\xff\xff\xff\xff\0\0",
            b"\0s1\0\0\0\0\x01\0\0\0\x0912\0\0",
            b"\0s1\0\0\0\0\x01\xff\xff\xff\xfe12\0\0",
            b"\0s1\0\0\x02\0\0\0\x01\0\x02\0\0\0\x011\0\0\0\x011\0\0",
            b"\0s1\0\0\0\0\0\0\x02\0\x01\0\0",
            b"\0s1\0\0\0\0\0\0\x01\0\x02",
            b"\0s1\0\0\x02\0\0\0\0\0\x01\0\0\0\x011\0\0",
            b"\0s1\0\0\0\0\0\0\0x",
            b"\0s1\0\0\0\xff\xff\0\0",
            b"\0s\xff\0\0\0\0\0\0\0",
            b"\0s1",
        ] {
            assert_eq!(Asked::first(&request(bind, &USUAL)), None, "{bind:?}");
        }
        let others: [&[(u8, &[u8])]; 7] = [
            &[(b'E', &[0; 5])],
            &[(b'E', &[0, 0, 0, 0, 1]), (b'S', b"")],
            &[(b'E', b"p\0\0\0\0\0"), (b'S', b"")],
            &[(b'D', b"Ss1\0"), (b'E', &[0; 5]), (b'S', b"")],
            &[(b'E', &[0; 5]), (b'H', b"")],
            &[(b'E', &[0; 5]), (b'S', b"x")],
            &[(b'D', b"P\0"), (b'D', b"P\0"), (b'E', &[0; 5]), (b'S', b"")],
        ];
        for others in others {
            assert_eq!(Asked::first(&request(BIND, others)), None, "{others:?}");
        }
        assert_eq!(Asked::first(b"B\0\0\0\x03"), None);
        assert_eq!(Asked::first(b"B\xff\xff\xff\xff\0"), None);
        let long = vec![b'x'; BIND_BYTES_MAX];
        assert_eq!(Asked::first(&request(&long, &USUAL)), None);
    }
}
