//! HTTP/2 as far as it tells where calls begin. Reads no header and no message.

/// Bytes that a client begins with.
const PREFACE: usize = 24;
/// Bytes of a frame's head: three of its length, its kind, its flags and its stream.
pub(super) const HEAD: usize = 9;
/// The kind of frame that begins a call.
const HEADERS: u8 = 1;

/// Where in the frames of a connection its client is.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that are no head, to the next one.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of the head that were seen.
    seen: usize,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self { skip: PREFACE, head: [0; HEAD], seen: 0 }
    }

    /// Goes over bytes up to the end of the first head that begins a call: how many, and whether one does.
    pub(super) fn until_next_call(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len() - at);
                self.skip -= skipped;
                at += skipped;
                continue;
            }
            if let Some(place) = self.head.get_mut(self.seen) {
                *place = *byte;
            }
            self.seen += 1;
            at += 1;
            if self.seen == HEAD {
                let [long, middle, short, kind, ..] = self.head;
                self.seen = 0;
                self.skip = usize::from(long) << 16 | usize::from(middle) << 8 | usize::from(short);
                if kind == HEADERS {
                    return (at, true);
                }
            }
        }
        (at, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 1]);
        frame.resize(HEAD + length, HEADERS);
        frame
    }

    /// Ends of the heads that begin calls, where the bytes come in pieces of this length.
    fn calls(bytes: &[u8], piece: usize) -> Vec<usize> {
        let (mut frames, mut found, mut before) = (Frames::new(), Vec::new(), 0);
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (passed, begins) = frames.until_next_call(rest);
                before += passed;
                found.extend(begins.then_some(before));
                rest = &rest[passed..];
            }
        }
        found
    }

    #[test]
    fn calls_are_found_however_the_bytes_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut expected = Vec::new();
        for (kind, length) in [(4, 18), (1, 300), (9, 70_000), (0, 0), (1, 0), (8, 4), (1, 5)] {
            if kind == HEADERS {
                expected.push(bytes.len() + HEAD);
            }
            bytes.extend(frame(kind, length));
        }
        for piece in [1, 2, 7, 9, 100, 65_536, 1_000_000] {
            assert_eq!(calls(&bytes, piece), expected, "{piece}");
        }
    }
}
