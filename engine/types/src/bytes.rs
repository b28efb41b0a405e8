//! Bytes as text: PostgreSQL's `bytea`, printed in hexadecimal digits behind `\x` and read in these or with escapes.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Why a text stands for no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBytes {
    /// Behind `\x` there are no pairs of hexadecimal digits.
    Digits,
    /// A backslash with neither another one nor three octal digits behind it.
    Escape,
}

/// The bytes of a text: hexadecimal digits behind `\x`, or characters with escapes.
///
/// # Errors
/// It stands for none.
pub fn read(text: &str) -> Result<Vec<u8>, NoBytes> {
    match text.strip_prefix("\\x") {
        Some(digits) => of_digits(digits).ok_or(NoBytes::Digits),
        None => of_escapes(text).ok_or(NoBytes::Escape),
    }
}

/// Appends the digits of bytes, without what stands before them.
pub fn push_digits(bytes: &[u8], out: &mut String) {
    out.reserve(2 * bytes.len());
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            out.push(char::from(DIGITS.get(usize::from(half)).copied().unwrap_or(b'0')));
        }
    }
}

/// Bytes as they are printed.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::from("\\x");
    push_digits(bytes, &mut out);
    out
}

fn of_digits(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
    let digits = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(digit).collect::<Option<Vec<u8>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4) | low).collect())
}

fn of_escapes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match (*first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push(((a & 3) << 6) | ((b & 7) << 3) | (c & 7));
                after
            }
            (b'\\', _) => return None,
            (byte, after) => {
                bytes.push(byte);
                after
            }
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_read_as_it_is_printed() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(read(&text(&all)).unwrap(), all);
        assert_eq!(text(b"\x00\xff"), "\\x00ff");
        assert_eq!((text(b""), read("\\x"), read("")), ("\\x".to_owned(), Ok(Vec::new()), Ok(Vec::new())));
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(read("\\xDEad be\nEF"), Ok(vec![0xde, 0xad, 0xbe, 0xef]));
        assert_eq!(read("Aé\\\\\\000\\377"), Ok([&b"A\xc3\xa9\\"[..], &[0, 255]].concat()));
        for (wrong, why) in
            [("\\x0", NoBytes::Digits), ("\\xzz", NoBytes::Digits), ("\\", NoBytes::Escape), ("\\400", NoBytes::Escape)]
        {
            assert_eq!(read(wrong), Err(why), "{wrong}");
        }
    }
}
