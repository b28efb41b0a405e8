//! One client's byte stream, plain or TLS, with its place among the connections. Of HTTP it knows where calls begin.

mod charged_body;
mod frames;
mod meter;

pub(crate) use charged_body::charged;
pub(crate) use meter::{CONNECTION_BYTES, TLS_BYTES};

use crate::config::FlightConfig;
use crate::observe::{self, Connected as Counted};
use meter::{Meter, Next};
use querygate_arrivals::{Arrival, Arrivals, Purse};
use querygate_types::{Error, ErrorCode, Result};
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// The places of a door's connections, and how long one may take to earn one.
pub(crate) struct Places {
    arrivals: Arrivals,
    known: Arc<Semaphore>,
    /// For the first byte, TLS included.
    authentication_timeout: Duration,
    /// For a call of a user.
    startup_timeout: Duration,
}

impl Places {
    pub(crate) fn new(config: &FlightConfig) -> Self {
        Self {
            arrivals: config.strangers.door(config.arrival_max),
            known: Arc::new(Semaphore::new(config.connection_max.min(Semaphore::MAX_PERMITS))),
            authentication_timeout: config.authentication_timeout,
            startup_timeout: config.startup_timeout,
        }
    }

    /// Lets a client in.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Admitted {
        let now = Instant::now();
        Admitted {
            peer,
            known: Arc::clone(&self.known),
            arrival: self.arrivals.admit(peer.ip()),
            silent_until: now + self.authentication_timeout,
            until: now + self.startup_timeout,
        }
    }
}

/// A client that was let in.
pub(crate) struct Admitted {
    pub(crate) peer: SocketAddr,
    pub(crate) arrival: Arrival,
    /// When it must have said something.
    pub(crate) silent_until: Instant,
    /// When it must have shown whose it is.
    until: Instant,
    known: Arc<Semaphore>,
}

/// Whose connection it is, as far as the door knows.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    standing: Arc<Mutex<Standing>>,
    known: Arc<Semaphore>,
}

enum Standing {
    /// Nobody's: it gives way to others, and has until then.
    Nobodys {
        arrival: Arrival,
        sleep: Pin<Box<Sleep>>,
        /// Calls of it that are being looked at.
        judged: usize,
        /// Its reader, which has read all that it may.
        reader: Option<Waker>,
    },
    /// A user's.
    Known { _place: OwnedSemaphorePermit },
}

impl Caller {
    /// A password or a token was right: the connection has a place among those of users from now on.
    pub(crate) fn is_known(&self) -> Result<()> {
        let mut standing = self.lock();
        if let Standing::Nobodys { reader, .. } = &mut *standing {
            let place = Arc::clone(&self.known).try_acquire_owned().map_err(|_| {
                observe::refused("connection_max");
                Error::new(ErrorCode::TooManyConnections, "sorry, too many clients already")
            })?;
            let reader = reader.take();
            *standing = Standing::Known { _place: place };
            drop(standing);
            reader.into_iter().for_each(Waker::wake);
        }
        Ok(())
    }

    /// A call of the connection is being looked at, until what this gives is dropped.
    pub(crate) fn judging(&self) -> Judging {
        if let Standing::Nobodys { judged, .. } = &mut *self.lock() {
            *judged += 1;
        }
        Judging(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls are being looked at, for a reader that waits until the connection is a user's. `None`: it is.
    fn waits(&self, context: &Context<'_>) -> Option<usize> {
        match &mut *self.lock() {
            Standing::Known { .. } => None,
            Standing::Nobodys { judged, reader, .. } => {
                *reader = Some(context.waker().clone());
                Some(*judged)
            }
        }
    }

    /// Resolves when the connection must end.
    fn poll_over(&self, context: &mut Context<'_>) -> Poll<&'static str> {
        match &mut *self.lock() {
            Standing::Known { .. } => Poll::Pending,
            Standing::Nobodys { arrival, sleep, .. } => {
                if arrival.poll_gives_way(context).is_ready() {
                    return Poll::Ready("gives_way");
                }
                sleep.as_mut().poll(context).map(|()| "authentication_timeout")
            }
        }
    }

    /// Something was said: there is more time to say whose it is.
    fn spoke(&self, until: Instant) {
        match &mut *self.lock() {
            Standing::Known { .. } => {}
            Standing::Nobodys { sleep, .. } => sleep.as_mut().reset(until),
        }
    }
}

/// A call that is being looked at.
pub(crate) struct Judging(Caller);

impl Drop for Judging {
    fn drop(&mut self) {
        if let Standing::Nobodys { judged, .. } = &mut *self.0.lock() {
            *judged = judged.saturating_sub(1);
        }
    }
}

enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Bytes {
    fn poll_read(&mut self, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buf),
        }
    }
}

/// A connection.
pub(crate) struct Transport {
    bytes: Bytes,
    caller: Caller,
    /// While it is not known whose it is, and what was read until then.
    meter: Option<(Meter, Purse)>,
    /// Until when a client that spoke may be unknown; gone once it spoke.
    until: Option<Instant>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    _counted: Counted,
}

impl Transport {
    /// A connection that ends when `kill` fires, or when it does not show in time whose it is.
    pub(crate) fn plain(tcp: TcpStream, admitted: Admitted, kill: &CancellationToken) -> Self {
        Self::new(Bytes::Plain(tcp), admitted, kill)
    }

    /// The same over TLS.
    pub(crate) fn tls(stream: Box<TlsStream<TcpStream>>, admitted: Admitted, kill: &CancellationToken) -> Self {
        Self::new(Bytes::Tls(stream), admitted, kill)
    }

    fn new(bytes: Bytes, admitted: Admitted, kill: &CancellationToken) -> Self {
        let Admitted { peer, arrival, silent_until, until, known } = admitted;
        let killed = Box::pin(kill.clone().cancelled_owned());
        let meter = Some((Meter::new(), arrival.purse()));
        let sleep = Box::pin(sleep_until(silent_until));
        let standing = Standing::Nobodys { arrival, sleep, judged: 0, reader: None };
        let caller = Caller { peer, standing: Arc::new(Mutex::new(standing)), known };
        Self { bytes, caller, meter, until: Some(until), killed, _counted: Counted::new() }
    }

    fn poll_ended(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.killed.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Poll::Ready(reason) = self.caller.poll_over(context) {
            observe::refused(reason);
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Reads what a connection says before it is a user's, within bounds and charged.
    fn poll_metered(
        &mut self,
        (mut meter, purse): (Meter, Purse),
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = loop {
            let Some(judged) = self.caller.waits(context) else {
                let before = buf.filled().len();
                if !meter.give_rest(buf) {
                    break Poll::Ready(Ok(()));
                }
                // From now on its bytes are its user's.
                let gave = buf.filled().len() > before;
                return if gave { Poll::Ready(Ok(())) } else { self.bytes.poll_read(context, buf) };
            };
            match meter.next() {
                Next::Full if meter.poll_over(context, judged > 0).is_ready() => {
                    observe::refused("said_too_much");
                    break Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
                }
                Next::Full => break Poll::Pending,
                Next::Owed(owed) => match purse.poll_charge(context, owed) {
                    Poll::Ready(()) => {
                        meter.give(buf);
                        break Poll::Ready(Ok(()));
                    }
                    Poll::Pending => break Poll::Pending,
                },
                Next::Read => match meter.poll_fill(|read| self.bytes.poll_read(context, read)) {
                    Poll::Ready(Ok(true)) => {}
                    polled => break polled.map_ok(|_ended| ()),
                },
            }
        };
        self.meter = Some((meter, purse));
        polled
    }

    /// What came of a write, or the end while the client takes nothing: then nobody reads either.
    fn unless_ended(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            self.poll_ended(context)?;
        }
        written
    }
}

impl Connected for Transport {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_ended(cx)?;
        let read = match self.meter.take() {
            Some(meter) => self.poll_metered(meter, cx, buf),
            None => self.bytes.poll_read(cx, buf),
        };
        if read.is_ready()
            && let Some(until) = self.until.take()
        {
            self.caller.spoke(until);
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Bytes::Tls(tls) => Pin::new(tls).poll_write(cx, data),
        };
        self.unless_ended(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Bytes::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Bytes::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Bytes::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        };
        self.unless_ended(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(tcp) => tcp.is_write_vectored(),
            Bytes::Tls(tls) => tls.is_write_vectored(),
        }
    }
}
