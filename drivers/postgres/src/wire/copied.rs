//! COPY's binary format around its rows.

/// Ends the data.
pub(crate) const END: &[u8] = &[0xff, 0xff];
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// What follows the header: its signature, flags and an extension.
pub(crate) fn after_header(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(SIGNATURE)?.get(4..)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    rest.get(usize::try_from(u32::from_be_bytes(*length)).ok()?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_taken_off_and_nothing_else() {
        let mut message = SIGNATURE.to_vec();
        message.extend([0; 4]);
        message.extend([0, 0, 0, 2, 9, 9]);
        assert_eq!(after_header(&message), Some(&[][..]));
        message.extend(END);
        assert_eq!(after_header(&message), Some(END));
        for wrong in [&message[1..], &message[..14], &message[..18], b""] {
            assert_eq!(after_header(wrong), None);
        }
    }
}
