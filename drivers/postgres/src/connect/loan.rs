//! A connection's stream, which the client library reads and writes, and which a reader of many rows borrows from it. Meanwhile the library
//! waits; nothing may be asked of it. Knows no message.

use crate::connect::socket::{PlainSocket, Stream, Unwatched};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where a stream is.
enum Place {
    Here(Box<dyn Stream>),
    /// A reader has it, and puts it back, or drops it and leaves [`Place::Gone`].
    Borrowed,
    /// Taken for good, or a reader was stopped in the middle of a message.
    Gone,
}

struct Shared {
    place: Place,
    /// The library's task, which is woken when the stream is back or gone.
    waiting: Option<Waker>,
}

/// Who may take the stream from the library, for a time or for good.
#[derive(Clone)]
pub(crate) struct Owner(Arc<Mutex<Shared>>);

/// The library's end.
pub(crate) struct Lent(Arc<Mutex<Shared>>);

/// The stream in a reader's hands. Dropped, it is closed, and the library hears that its connection is lost.
pub(crate) struct Borrowed {
    held: Held,
    owner: Owner,
}

/// How a reader has the stream.
enum Held {
    Stream(Box<dyn Stream>),
    Plain(Box<dyn PlainSocket>),
    Nothing,
}

/// The library's end of a stream, and its owner's.
pub(crate) fn lend(stream: Box<dyn Stream>) -> (Owner, Lent) {
    let shared = Arc::new(Mutex::new(Shared { place: Place::Here(stream), waiting: None }));
    (Owner(Arc::clone(&shared)), Lent(shared))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner")
    }
}

impl Owner {
    /// The stream, which the library never gets back. `None`: it is not here.
    pub(crate) fn take(&self) -> Option<Box<dyn Stream>> {
        self.replace(Place::Gone)
    }

    /// The stream for a time. The library has said and heard everything. `None`: it is not here.
    pub(crate) fn borrow(&self) -> Option<Borrowed> {
        let stream = self.replace(Place::Borrowed)?;
        Some(Borrowed { held: Held::Stream(stream), owner: self.clone() })
    }

    fn replace(&self, by: Place) -> Option<Box<dyn Stream>> {
        let mut shared = lock(&self.0);
        match std::mem::replace(&mut shared.place, Place::Gone) {
            Place::Here(stream) => {
                shared.place = by;
                Some(stream)
            }
            other => {
                shared.place = other;
                None
            }
        }
    }

    /// A stream that was lost in a reader's hands is gone.
    fn end_loan(&self) {
        if matches!(lock(&self.0).place, Place::Borrowed) {
            self.put(Place::Gone);
        }
    }

    /// Tells the library where the stream is now.
    fn put(&self, place: Place) {
        let mut shared = lock(&self.0);
        shared.place = place;
        if let Some(waiting) = shared.waiting.take() {
            waiting.wake();
        }
    }
}

impl Borrowed {
    /// The stream between two messages, back to the library. `false`: it was lost.
    pub(crate) fn give_back(mut self) -> bool {
        let (place, is_back) = match self.watched() {
            Ok(stream) => (Place::Here(stream), true),
            Err(_) => (Place::Gone, false),
        };
        self.owner.put(place);
        is_back
    }

    /// Whether the runtime hears of its bytes.
    #[cfg(test)]
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.held, Held::Stream(_))
    }

    /// The stream itself, watched by the runtime.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn stream(&mut self) -> io::Result<&mut Box<dyn Stream>> {
        if matches!(self.held, Held::Plain(_)) {
            self.held = Held::Stream(self.watched()?);
        }
        match &mut self.held {
            Held::Stream(stream) => Ok(stream),
            Held::Plain(_) | Held::Nothing => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The socket, no longer watched. `None`: the stream is encrypted.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn plain(&mut self) -> io::Result<Option<&mut Box<dyn PlainSocket>>> {
        self.held = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Stream(stream) => match stream.unwatched()? {
                Unwatched::Plain(socket) => Held::Plain(socket),
                Unwatched::No(stream) => Held::Stream(stream),
            },
            held @ (Held::Plain(_) | Held::Nothing) => held,
        };
        match &mut self.held {
            Held::Plain(socket) => Ok(Some(socket)),
            Held::Stream(_) => Ok(None),
            Held::Nothing => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn watched(&mut self) -> io::Result<Box<dyn Stream>> {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Stream(stream) => Ok(stream),
            Held::Plain(socket) => socket.watched(),
            Held::Nothing => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Stream(_) | Held::Plain(_) => self.owner.put(Place::Gone),
            // Given back, or lost on the way.
            Held::Nothing => self.owner.end_loan(),
        }
    }
}

impl Lent {
    fn with<T>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut dyn Stream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut shared = lock(&self.0);
        let polled = match &mut shared.place {
            Place::Here(stream) => poll(Pin::new(stream.as_mut()), context),
            Place::Borrowed => Poll::Pending,
            Place::Gone => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        // A reader that borrows the stream waits for it in the library's place, whose task is then woken by the owner.
        if polled.is_pending() && !shared.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(context.waker())) {
            shared.waiting = Some(context.waker().clone());
        }
        polled
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(cx, |stream, cx| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_library_waits_while_its_stream_is_borrowed_and_reads_on_after() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (owner, mut lent) = lend(Box::new(ours));
        let library = tokio::spawn(async move {
            let mut read = [0; 3];
            let end = lent.read_exact(&mut read).await.map(|_| read);
            (end, lent)
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut borrowed = owner.borrow().unwrap();
        assert!(owner.borrow().is_none() && owner.take().is_none(), "a stream was lent twice");
        theirs.write_all(b"row").await.unwrap();
        let mut row = [0; 3];
        borrowed.stream().unwrap().read_exact(&mut row).await.unwrap();
        assert_eq!(&row, b"row");
        assert!(borrowed.give_back());
        theirs.write_all(b"end").await.unwrap();
        let (end, mut lent) = tokio::time::timeout(Duration::from_secs(5), library).await.unwrap().unwrap();
        assert_eq!(&end.unwrap(), b"end");
        // A reader that stops in the middle ends the connection for the library, too.
        let library = tokio::spawn(async move { lent.read_u8().await });
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(owner.borrow().unwrap());
        let end = tokio::time::timeout(Duration::from_secs(5), library).await.unwrap().unwrap();
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(owner.borrow().is_none());
        assert_eq!(theirs.read(&mut row).await.unwrap(), 0, "the stream is open still");
    }
}
