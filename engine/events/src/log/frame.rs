//! One record in a file: its length, its checksum, its bytes. Knows no content.

use std::io;

/// Bytes before each record.
pub(super) const HEAD: u64 = 8;
/// Bytes of a record. What is longer is no record.
pub(super) const RECORD_MAX: u32 = 1 << 30;

/// The record as it stands in the file.
pub(super) fn framed(parts: &[&[u8]]) -> io::Result<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let count = u32::try_from(length).ok().filter(|length| *length <= RECORD_MAX);
    let count = count.ok_or_else(|| io::Error::other("a record is too long"))?;
    let mut sum = Checksum::default();
    parts.iter().for_each(|part| sum.add(part));
    let mut bytes = Vec::with_capacity(length + 8);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&sum.value().to_le_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Ok(bytes)
}

/// Length and checksum of the record behind these bytes. `None`: there is none.
pub(super) fn head(bytes: &[u8]) -> Option<(u32, u32)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    (length > 0 && length <= RECORD_MAX).then_some((length, u32::from_le_bytes(*sum)))
}

/// Whether a record is as it was written.
pub(super) fn is_whole(bytes: &[u8], sum: u32) -> bool {
    let mut own = Checksum::default();
    own.add(bytes);
    own.value() == sum
}

/// CRC-32 as of zlib.
struct Checksum(u32);

impl Default for Checksum {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let at = usize::from(self.0.to_le_bytes()[0] ^ byte);
            self.0 = TABLE.get(at).copied().unwrap_or_default() ^ (self.0 >> 8);
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

const TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, reason = "computed when it is compiled: a wrong index does not compile")]
const fn table() -> [u32; 256] {
    let mut table = [0_u32; 256];
    let (mut at, mut start) = (0_usize, 0_u32);
    while at < 256 {
        let (mut value, mut bit) = (start, 0);
        while bit < 8 {
            value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
        start += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        let mut sum = Checksum::default();
        sum.add(b"1234");
        sum.add(b"56789");
        assert_eq!(sum.value(), 0xCBF4_3926);
    }

    #[test]
    fn a_record_is_whole_or_none() {
        let bytes = framed(&[b"ab", b"c"]).unwrap();
        let (length, sum) = head(&bytes).unwrap();
        assert_eq!(length, 3);
        assert!(is_whole(&bytes[8..], sum) && !is_whole(b"abd", sum));
        assert!(head(&[0; 8]).is_none() && head(&[0xFF; 8]).is_none() && head(&[1, 0]).is_none());
    }
}
