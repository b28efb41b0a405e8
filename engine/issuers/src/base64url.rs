//! Base64 as RFC 7515 writes bytes: for addresses, without padding, and in one spelling.

/// The bytes of a text, where it is such base64: of no other letters, and with no bits left over that say something.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        held = (held << 6) | u32::from(sextet(letter)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    // Six bits are a letter that belongs to no byte.
    (bits < 6 && held == 0).then_some(bytes)
}

fn sextet(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    #[test]
    fn texts_are_read_as_the_standard_writes_them() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..=all.len() {
            for bytes in [&all[..length], &all[all.len() - length..]] {
                assert_eq!(decode(&BASE64.encode(bytes)).as_deref(), Some(bytes));
            }
        }
        // Every text of up to three letters, as another reader has it.
        let letters: Vec<char> = (0..=255).map(char::from).filter(char::is_ascii).collect();
        for one in &letters {
            for two in &letters {
                for text in [one.to_string(), format!("{one}{two}"), format!("A{one}{two}"), format!("AB{one}{two}")] {
                    assert_eq!(decode(&text), BASE64.decode(&text).ok(), "{text:?}");
                }
            }
        }
        assert_eq!(decode("\u{e9}A"), None);
    }
}
