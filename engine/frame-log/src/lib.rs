//! Frames of logs that are only appended to: `length | CRC-32 | bytes`, all in little-endian order. What a crash leaves of a frame is none.
//! Knows no content, and opens no file.

#![warn(missing_docs)]
#![warn(clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests panic"))]

use crc::{CRC_32_ISO_HDLC, Crc, Digest};

/// CRC-32 as of zlib.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Bytes before those of a frame's record.
pub const HEAD: usize = 8;

/// The sum of some bytes.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// A record, given in parts, as it stands in a file. `None`: it is empty, or longer than `most` bytes.
#[must_use]
pub fn framed(parts: &[&[u8]], most: u32) -> Option<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let count = u32::try_from(length).ok().filter(|length| (1..=most).contains(length))?;
    let mut sum: Digest<'_, u32> = CRC.digest();
    parts.iter().for_each(|part| sum.update(part));
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&sum.finalize().to_le_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    debug_assert_eq!(first(&bytes, most).map(|(_, end)| end), Some(bytes.len()), "a frame is read as it was written");
    Some(bytes)
}

/// What stands before a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the record.
    pub length: u32,
    sum: u32,
}

impl Head {
    /// The head that begins with these bytes. `None`: there is none of a record of at most `most` bytes.
    #[must_use]
    pub fn read(bytes: &[u8], most: u32) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (sum, _) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        (1..=most).contains(&length).then_some(Self { length, sum: u32::from_le_bytes(*sum) })
    }

    /// Whether a record is as it was written.
    #[must_use]
    pub fn is_of(self, record: &[u8]) -> bool {
        checksum(record) == self.sum
    }
}

/// The first record of these bytes, and those that its frame takes. `None`: what is there is no whole frame.
#[must_use]
pub fn first(bytes: &[u8], most: u32) -> Option<(&[u8], usize)> {
    let head = Head::read(bytes, most)?;
    let end = HEAD.checked_add(usize::try_from(head.length).ok()?)?;
    let record = bytes.get(HEAD..end)?;
    head.is_of(record).then_some((record, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_frame_is_whole_or_none() {
        let bytes = framed(&[b"ab", b"c"], 3).unwrap();
        assert_eq!(first(&bytes, 3), Some((&b"abc"[..], bytes.len())));
        assert_eq!(first(&[&bytes[..], b"behind"].concat(), 3), Some((&b"abc"[..], bytes.len())));
        assert_eq!(first(&bytes, 2), None, "longer than a record may be");
        for at in 0..bytes.len() {
            assert_eq!(first(&bytes[..at], 3), None, "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(first(&damaged, 1 << 20), None, "damaged at {at}");
        }
        assert_eq!(framed(&[b"abcd"], 3), None);
        assert_eq!(framed(&[], 3), None, "an empty record would be found in a file of zeros");
        assert_eq!(first(&[0; 64], 3), None);
        assert_eq!(first(&[0xFF; 64], u32::MAX), None);
    }
}
