//! What a connection may have read before its user is known: each byte, and each call that begins, is charged before HTTP/2 sees it.

use super::frames::{Frames, HEAD};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep};

/// What a connection takes before its first byte is read: its task, the state and buffers of HTTP/2.
pub(crate) const CONNECTION_BYTES: usize = 32 << 10;
/// What TLS takes beside, with the longest handshake message.
pub(crate) const TLS_BYTES: usize = 96 << 10;
/// What a call takes: its headers at their limit, each as small as it can be; its task; the one small message of a handshake.
const CALL_BYTES: usize = 96 << 10;
/// Calls of a connection that is not yet known to be a user's.
const CALLS_MAX: usize = 8;
/// Bytes of such a connection.
const INPUT_MAX: usize = 64 << 10;
/// Bytes that are read at once.
const READ: usize = 4 << 10;
/// How long a connection that has said all that it may has until it ends, unless a call of it is being judged.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What stands between the socket and HTTP/2 until the connection is a user's.
pub(super) struct Meter {
    read: Box<[u8]>,
    /// Bytes of `read` that came, that were looked at, and that were handed on.
    filled: usize,
    seen: usize,
    given: usize,
    frames: Frames,
    calls: usize,
    /// Where in `read` the call begins that is one too many.
    end: Option<usize>,
    /// Of all that was read.
    bytes: usize,
    /// To be charged before more is handed on.
    owed: usize,
    /// When a connection that may say no more ends.
    last_words: Option<Pin<Box<Sleep>>>,
}

/// What comes next.
pub(super) enum Next {
    /// The socket is to be read.
    Read,
    /// So much is to be charged, and then bytes can be handed on.
    Owed(usize),
    /// Nothing more is read before the connection is a user's.
    Full,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            read: vec![0; READ].into_boxed_slice(),
            filled: 0,
            seen: 0,
            given: 0,
            frames: Frames::new(),
            calls: 0,
            end: None,
            bytes: 0,
            owed: 0,
            last_words: None,
        }
    }

    pub(super) fn next(&mut self) -> Next {
        if self.given == self.seen && self.seen < self.filled && self.end.is_none() {
            let before = self.seen;
            let (passed, begins) = self.frames.until_next_call(self.read.get(before..self.filled).unwrap_or_default());
            self.seen += passed;
            self.calls += usize::from(begins);
            if self.calls > CALLS_MAX {
                // What belongs to the calls before is handed on.
                self.end = Some(self.seen.saturating_sub(HEAD).max(before));
            }
            self.owed += self.upto() - before;
            if begins && self.end.is_none() {
                self.owed += CALL_BYTES;
            }
        }
        if self.given < self.upto() {
            return Next::Owed(self.owed);
        }
        if self.end.is_some() || self.bytes >= INPUT_MAX { Next::Full } else { Next::Read }
    }

    /// Up to where bytes may be handed on once they are paid for.
    fn upto(&self) -> usize {
        self.end.unwrap_or(self.seen)
    }

    /// Reads by `socket`; says whether anything came.
    pub(super) fn poll_fill(
        &mut self,
        socket: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<bool>> {
        let mut read = ReadBuf::new(&mut self.read);
        ready!(socket(&mut read))?;
        (self.filled, self.seen, self.given) = (read.filled().len(), 0, 0);
        self.bytes += self.filled;
        Poll::Ready(Ok(self.filled > 0))
    }

    /// Hands bytes on that are paid for.
    pub(super) fn give(&mut self, to: &mut ReadBuf<'_>) {
        self.owed = 0;
        let upto = self.upto();
        self.give_upto(upto, to);
    }

    /// Hands on what is left to a user's connection; says whether that is all.
    pub(super) fn give_rest(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let upto = self.filled;
        self.give_upto(upto, to);
        self.given == self.filled
    }

    fn give_upto(&mut self, upto: usize, to: &mut ReadBuf<'_>) {
        let bytes = self.read.get(self.given..upto).unwrap_or_default();
        let bytes = bytes.get(..to.remaining()).unwrap_or(bytes);
        to.put_slice(bytes);
        self.given += bytes.len();
    }

    /// Resolves when a connection that may say no more has had its answers.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>, is_judged: bool) -> Poll<()> {
        let last_words = self.last_words.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_WORDS)));
        while last_words.as_mut().poll(context).is_ready() {
            if !is_judged {
                return Poll::Ready(());
            }
            last_words.as_mut().reset(Instant::now() + LAST_WORDS);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    /// What came of bytes: how many were handed on, what was charged, and whether the connection may say more.
    fn read(meter: &mut Meter, mut bytes: &[u8]) -> (usize, usize, bool) {
        let (mut given, mut charged) = (0, 0);
        loop {
            match meter.next() {
                Next::Full => return (given, charged, false),
                Next::Read if bytes.is_empty() => return (given, charged, true),
                Next::Read => {
                    let filled = meter.poll_fill(|to| {
                        let (now, later) = bytes.split_at(bytes.len().min(to.remaining()));
                        to.put_slice(now);
                        bytes = later;
                        Poll::Ready(Ok(()))
                    });
                    assert!(matches!(filled, Poll::Ready(Ok(true))));
                }
                Next::Owed(owed) => {
                    charged += owed;
                    let mut room = [0; 100];
                    let mut to = ReadBuf::new(&mut room);
                    meter.give(&mut to);
                    given += to.filled().len();
                }
            }
        }
    }

    #[test]
    fn calls_are_charged_before_they_are_handed_on_and_are_few() {
        let mut meter = Meter::new();
        let (length, call) = (PREFACE.len(), [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82]);

        assert_eq!(read(&mut meter, PREFACE), (length, length, true));
        assert_eq!(read(&mut meter, &call), (10, 10 + CALL_BYTES, true));
        let all = call.repeat(CALLS_MAX);
        let most = CALLS_MAX - 1;
        let rest = call.len() * most;
        // What begins one call too many is not handed on.
        assert_eq!(read(&mut meter, &all), (rest, rest + most * CALL_BYTES, false));
        let mut room = vec![0; READ];
        assert!(meter.give_rest(&mut ReadBuf::new(&mut room)));
        assert_eq!(room[..10], call, "a user's connection loses nothing");
    }

    #[test]
    fn bytes_are_bounded() {
        let mut meter = Meter::new();
        let mut bytes = [PREFACE, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat();
        bytes.resize(2 * INPUT_MAX, 7);
        assert_eq!(read(&mut meter, &bytes), (INPUT_MAX, INPUT_MAX, false));
    }
}
