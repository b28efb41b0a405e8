//! Strings of bits: `bit(n)` and `bit varying(n)`, texts of `0` and `1`, which order as PostgreSQL orders their values.

/// A text as PostgreSQL reads it: binary digits, maybe behind a `b`, or hexadecimal ones behind an `x`.
///
/// # Errors
/// The message of what is no digit, without it.
pub fn read(text: &str) -> Result<String, &'static str> {
    let hexadecimal = text.strip_prefix(['x', 'X']);
    let Some(digits) = hexadecimal else {
        let digits = text.strip_prefix(['b', 'B']).unwrap_or(text);
        let is_binary = digits.bytes().all(|digit| matches!(digit, b'0' | b'1'));
        return if is_binary { Ok(digits.to_owned()) } else { Err("a character is not a valid binary digit") };
    };
    let mut bits = String::with_capacity(digits.len() * 4);
    for digit in digits.chars() {
        match digit.to_digit(16) {
            Some(value) => bits.push_str(&format!("{value:04b}")),
            None => return Err("a character is not a valid hexadecimal digit"),
        }
    }
    Ok(bits)
}

/// Bits of bytes, the first ones first; as many as asked for. `None`: there are fewer.
#[must_use]
pub fn of_bytes(bytes: &[u8], length: usize) -> Option<String> {
    if bytes.len() != length.div_ceil(8) {
        return None;
    }
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| if byte >> at & 1 == 1 { '1' } else { '0' }));
    Some(bits.take(length).collect())
}

/// The bytes of bits, the last one filled up with zeros. `None`: a text that is no bits.
#[must_use]
pub fn to_bytes(bits: &str) -> Option<Vec<u8>> {
    let byte = |eight: &[u8]| {
        eight.iter().enumerate().try_fold(0_u8, |byte, (at, digit)| match digit {
            b'0' => Some(byte),
            b'1' => Some(byte | 0x80 >> at),
            _ => None,
        })
    };
    bits.as_bytes().chunks(8).map(byte).collect()
}

/// Longest string of bits: PostgreSQL's limit.
pub const LENGTH_MAX: u64 = 83_886_080;

/// The bits cut or filled up with zeros on the right, as an explicit cast to `bit(n)` does.
#[must_use]
pub fn in_length(bits: &str, length: usize) -> String {
    let mut cut: String = bits.chars().take(length).collect();
    let lacking = length.saturating_sub(cut.len());
    cut.extend(std::iter::repeat_n('0', lacking));
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_written_and_cut() {
        for (text, bits) in [("101", "101"), ("b01", "01"), ("xA5", "10100101"), ("", ""), ("X", "")] {
            assert_eq!(read(text).as_deref(), Ok(bits));
            assert_eq!(of_bytes(&to_bytes(bits).unwrap(), bits.len()).as_deref(), Some(bits));
        }
        assert!(read("12").is_err() && read("xg").is_err() && read("1 ").is_err());
        assert_eq!(to_bytes("101010101"), Some(vec![0xaa, 0x80]));
        assert_eq!(of_bytes(&[0xaa], 9), None);
        assert_eq!(in_length("1", 70_000).len(), 70_000);
        assert_eq!([in_length("101", 5), in_length("101", 2)], ["10100", "10"]);
    }
}
