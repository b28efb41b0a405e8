//! A cursor over one frame's body: every read checks what is left, so decoding cannot panic. Knows no message.

/// The body ended, or lacked a terminator, before the value did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short;

/// Reads big-endian values off the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Short> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Short> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Counts are unsigned on the wire since protocol 3.0 allows 65,535 parameters.
    pub(crate) fn u16(&mut self) -> Result<u16, Short> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Short> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Short> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Short> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A string up to its zero byte, without it.
    pub(crate) fn cstr(&mut self) -> Result<&'a [u8], Short> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(Short)?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// A count whose items need at least `item_bytes` each: refused when they cannot all be there, so that nothing is
    /// ever reserved by a client's word alone.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, Short> {
        let count = usize::from(self.u16()?);
        if count.saturating_mul(item_bytes) > self.remaining() { Err(Short) } else { Ok(count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_body_is_a_value_and_not_a_panic() {
        for body in [&b""[..], b"\0", b"\0\x01", b"abc"] {
            let mut reader = Reader::new(body);
            assert_eq!(reader.i32(), Err(Short), "{body:?}");
        }
        assert_eq!(Reader::new(b"abc").cstr(), Err(Short));
        assert_eq!(Reader::new(b"\xff\xffxx").count(2), Err(Short));
    }

    #[test]
    fn strings_end_at_their_zero_byte() {
        let mut reader = Reader::new(b"ab\0c\0");
        assert_eq!(reader.cstr(), Ok(&b"ab"[..]));
        assert_eq!(reader.cstr(), Ok(&b"c"[..]));
        assert!(reader.is_empty());
    }
}
