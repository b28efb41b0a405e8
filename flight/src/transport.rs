//! One client's byte stream, plain or TLS, with its place among the connections. Knows no HTTP.

use crate::config::FlightConfig;
use crate::observe::{self, Connected as Counted};
use querygate_query_api::arrivals::{Arrival, Arrivals};
use querygate_types::{Error, ErrorCode, Result};
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
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
    arrivals: Arc<Arrivals>,
    known: Arc<Semaphore>,
    /// For the first byte, TLS included.
    authentication_timeout: Duration,
    /// For a call of a user.
    startup_timeout: Duration,
}

impl Places {
    pub(crate) fn new(config: &FlightConfig) -> Self {
        Self {
            arrivals: Arrivals::new(config.arrival_max),
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
    Nobodys { arrival: Arrival, sleep: Pin<Box<Sleep>> },
    /// A user's.
    Known { _place: OwnedSemaphorePermit },
}

impl Caller {
    /// A password or a token was right: the connection has a place among those of users from now on.
    pub(crate) fn is_known(&self) -> Result<()> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Standing::Nobodys { .. } = *standing {
            let place = Arc::clone(&self.known).try_acquire_owned().map_err(|_| {
                observe::refused("connection_max");
                Error::new(ErrorCode::TooManyConnections, "sorry, too many clients already")
            })?;
            *standing = Standing::Known { _place: place };
        }
        Ok(())
    }

    /// Resolves when the connection must end.
    fn poll_over(&self, context: &mut Context<'_>) -> Poll<&'static str> {
        match &mut *self.standing.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Known { .. } => Poll::Pending,
            Standing::Nobodys { arrival, sleep } => {
                if arrival.poll_gives_way(context).is_ready() {
                    return Poll::Ready("gives_way");
                }
                sleep.as_mut().poll(context).map(|()| "authentication_timeout")
            }
        }
    }

    /// Something was said: there is more time to say whose it is.
    fn spoke(&self, until: Instant) {
        match &mut *self.standing.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Known { .. } => {}
            Standing::Nobodys { sleep, .. } => sleep.as_mut().reset(until),
        }
    }
}

enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection.
pub(crate) struct Transport {
    bytes: Bytes,
    caller: Caller,
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
    pub(crate) fn tls(stream: TlsStream<TcpStream>, admitted: Admitted, kill: &CancellationToken) -> Self {
        Self::new(Bytes::Tls(Box::new(stream)), admitted, kill)
    }

    fn new(bytes: Bytes, admitted: Admitted, kill: &CancellationToken) -> Self {
        let Admitted { peer, arrival, silent_until, until, known } = admitted;
        let killed = Box::pin(kill.clone().cancelled_owned());
        let standing = Standing::Nobodys { arrival, sleep: Box::pin(sleep_until(silent_until)) };
        let caller = Caller { peer, standing: Arc::new(Mutex::new(standing)), known };
        Self { bytes, caller, until: Some(until), killed, _counted: Counted::new() }
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
        let read = match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Bytes::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
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
