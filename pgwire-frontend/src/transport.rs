//! One client's byte stream, plain or TLS: waits for input without holding a buffer, writes with a progress timeout.
//! Knows no frame.

use bytes::{BufMut, BytesMut};
use futures::FutureExt as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::io::poll_read_buf;

/// Bytes reserved for a read behind others.
const READ_BYTES: usize = 8 * 1024;
/// Bytes reserved for the first one: a usual request, of a size that allocators have at hand.
const READ_BYTES_FIRST: usize = 1_000;

pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    pub(crate) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Waits for bytes and appends them; 0 at the end of the stream. Reserves memory only once there is something to read.
    /// Cancel safe.
    pub(crate) async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => loop {
                tcp.readable().await?;
                input.reserve(read_bytes(input));
                // A poll, unlike `try_read_buf`, forgets the readiness after a short read: the next wait is a real one.
                match tcp.read_buf(input).now_or_never() {
                    Some(outcome) => return outcome,
                    None if input.is_empty() => *input = BytesMut::new(),
                    None => {}
                }
                // A task that has done much without a pause is given nothing until its next turn, however much lies there.
                tokio::task::yield_now().await;
            },
            Self::Tls(tls) => {
                let mut first = [0; 1];
                if tls.read(&mut first).await? == 0 {
                    return Ok(0);
                }
                input.reserve(read_bytes(input));
                input.put_slice(&first);
                // What is decrypted already is taken along; a further wait is the next call's.
                match tls.read_buf(input).now_or_never() {
                    None | Some(Ok(_)) => Ok(1),
                    Some(Err(error)) => Err(error),
                }
            }
        }
    }

    /// As [`read`](Self::read), for one who polls. `None`: of a stream that must be waited for.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        input: &mut BytesMut,
    ) -> Option<Poll<io::Result<usize>>> {
        let Self::Plain(tcp) = self else { return None };
        Some(match tcp.poll_read_ready(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                input.reserve(read_bytes(input));
                let read = poll_read_buf(Pin::new(tcp), context, input);
                if read.is_pending() && input.is_empty() {
                    *input = BytesMut::new();
                }
                read
            }
        })
    }

    /// Reads exactly so many bytes, none beyond.
    pub(crate) async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.read_exact(buffer).await?,
            Self::Tls(tls) => tls.read_exact(buffer).await?,
        };
        Ok(())
    }

    /// Writes what it can. `TimedOut` when nothing at all moved within `timeout`.
    pub(crate) async fn write(&mut self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        let written = match self {
            Self::Plain(tcp) => {
                // The usual case needs no timer.
                match tcp.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::time::timeout(timeout, tcp.write(bytes)).await??
                    }
                    outcome => outcome?,
                }
            }
            Self::Tls(tls) => tokio::time::timeout(timeout, tls.write(bytes)).await??,
        };
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
    }

    /// Sends what TLS still holds.
    pub(crate) async fn flush(&mut self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tokio::time::timeout(timeout, tls.flush()).await?,
        }
    }

    pub(crate) async fn write_all(&mut self, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes, timeout).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        self.flush(timeout).await
    }

    /// Ends the sending side so that the last frames are not lost to a reset, for as long as the client takes to leave.
    pub(crate) async fn close(&mut self, patience: Duration) {
        let closing = async {
            match self {
                Self::Plain(tcp) => tcp.shutdown().await?,
                Self::Tls(tls) => tls.shutdown().await?,
            }
            let mut rest = [0; 256];
            while self.tcp_read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // A client that is gone, or does not leave, is no error here.
        let _ended = tokio::time::timeout(patience, closing).await;
    }

    async fn tcp_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer).await,
            Self::Tls(tls) => tls.get_mut().0.read(buffer).await,
        }
    }

    /// Resolves when the client has closed its side with nothing left to read; stays pending while requests wait.
    pub(crate) async fn abandoned(&self) {
        match self.tcp().peek(&mut [0; 1]).await {
            Ok(0) | Err(_) => {}
            Ok(_) => std::future::pending().await,
        }
    }
}

impl Transport {
    /// As [`abandoned`](Self::abandoned), for one who polls. `peeked`: whether requests were seen to wait, which are not looked at
    /// again.
    pub(crate) fn poll_abandoned(&self, context: &mut Context<'_>, peeked: &mut bool) -> Poll<()> {
        if *peeked {
            return Poll::Pending;
        }
        let mut first = [0; 1];
        match self.tcp().poll_peek(context, &mut ReadBuf::new(&mut first)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) => {
                *peeked = true;
                Poll::Pending
            }
        }
    }
}

/// Room for the next read: little between messages, more within one.
fn read_bytes(input: &BytesMut) -> usize {
    if input.is_empty() { READ_BYTES_FIRST } else { READ_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io::Write as _;
    use std::rc::Rc;
    use std::sync::mpsc;

    /// Reads of one task, far more than it may do in one turn.
    const READS: usize = 20_000;

    /// Reads from a client that always has more, beside another task of the same thread. Turns that the other had.
    async fn turns_beside_reads() -> usize {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            // Until the reader has had enough and leaves.
            while client.write_all(&[7; 1 << 16]).is_ok() {}
        });
        let mut transport = Transport::Plain(listener.accept().await.unwrap().0);
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let other = tokio::task::spawn_local(async move {
            loop {
                counted.set(counted.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..READS {
            assert!(transport.read(&mut BytesMut::new()).await.unwrap() > 0);
        }
        other.abort();
        turns.get()
    }

    /// A task that has used up its turn is given no bytes, though the socket says that there are some. A reader that asks again without
    /// a pause never ends, and no other task of its thread runs.
    #[test]
    fn a_client_that_always_has_more_leaves_others_their_turns() {
        let (told, heard) = mpsc::channel();
        // A thread that turns for ever is left behind.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let turns = tokio::task::LocalSet::new().block_on(&runtime, turns_beside_reads());
            told.send(turns).unwrap();
        });
        let turns = heard.recv_timeout(Duration::from_secs(60)).expect("the reader never gave its thread back");
        assert!(turns > READS / 1_000, "{turns} turns beside {READS} reads");
    }
}
