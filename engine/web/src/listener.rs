//! A listener that bounds how many clients there are and how long one may be silent. Knows no HTTP.

use crate::meter::{Meter, read_of_user};
use crate::tie::Connection;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use querygate_arrivals::Arrivals;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Pause after an accept error such as "too many open files", which would otherwise repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection keeps its place while none is free and we wait for its client: for a request, for the rest of one, or
/// until it takes more of the answer.
const GIVES_WAY: Duration = Duration::from_secs(1);

/// The places of a door's connections.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// When the last one was taken, in milliseconds since the port was opened, and 1 more; 0: never.
    last_taken: Arc<AtomicU64>,
    opened: Instant,
}

impl Places {
    fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { free, last_taken: Arc::default(), opened: Instant::now() }
    }

    /// Whether none is free: then a connection lives for one request.
    pub(crate) fn are_taken(&self) -> bool {
        self.free.available_permits() == 0
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// One fewer is free.
    fn taken(&self) {
        if self.are_taken() {
            self.last_taken.store(self.milliseconds(), Ordering::Relaxed);
        }
    }

    /// Whether none is free, or none was a moment ago: then a silent connection makes room. Those that began together with it do
    /// so too, though there is one free as soon as the first of them went.
    fn are_wanted(&self) -> bool {
        let last = self.last_taken.load(Ordering::Relaxed);
        let moment = u64::try_from(2 * GIVES_WAY.as_millis()).unwrap_or(u64::MAX);
        self.are_taken() || (last > 0 && self.milliseconds().saturating_sub(last) <= moment)
    }
}

pub(crate) struct BoundedListener {
    tcp: TcpListener,
    places: Places,
    /// Connections that no user has sent a request by.
    arrivals: Arrivals,
    idle: Duration,
}

impl BoundedListener {
    pub(crate) fn new(tcp: TcpListener, connection_max: usize, arrivals: Arrivals, idle: Duration) -> Self {
        Self { tcp, places: Places::new(connection_max), arrivals, idle }
    }

    pub(crate) fn places(&self) -> Places {
        self.places.clone()
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // A place first: who finds none waits in the system's queue, not in our memory.
            let Ok(place) = Arc::clone(&self.places.free).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            self.places.taken();
            match self.tcp.accept().await {
                Ok((tcp, peer)) => {
                    // Events are small, and one must not wait until the one before it is acknowledged.
                    if let Err(error) = tcp.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY refused");
                    }
                    let connection = Connection::new(self.arrivals.admit(peer.ip()));
                    return (BoundedStream::new(tcp, self, connection, place), peer);
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A connection, as a request's handlers know it.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) peer: Peer,
    pub(crate) connection: Connection,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// What attempts are counted by: the address, or for IPv6 the network that one customer has.
    #[must_use]
    pub fn key(self) -> String {
        match self.0.ip().to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self { peer: Peer(*stream.remote_addr()), connection: stream.io().connection.clone() }
    }
}

/// A connection that ends when it is silent for the idle time, or when a request has not arrived whole within it: bytes that drip
/// in do not keep a place. Whenever it is the client's turn, within a request too, it gives way to who waits for a place.
pub(crate) struct BoundedStream {
    tcp: TcpStream,
    idle: Duration,
    turn: Turn,
    connection: Connection,
    /// What it has said before it is a user's.
    meter: Meter,
    /// When the turn began.
    since: Instant,
    sleep: Pin<Box<Sleep>>,
    places: Places,
    _place: OwnedSemaphorePermit,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The client's: nothing of a request has come since the last byte of an answer.
    Silent,
    /// Something of a request has come: ours, once it has come whole.
    Asked,
    /// The client's: it does not take the answer.
    Stuck,
}

impl BoundedStream {
    fn new(tcp: TcpStream, listener: &BoundedListener, connection: Connection, place: OwnedSemaphorePermit) -> Self {
        let first = listener.idle.min(GIVES_WAY);
        Self {
            tcp,
            idle: listener.idle,
            turn: Turn::Silent,
            connection,
            meter: Meter::default(),
            since: Instant::now(),
            sleep: Box::pin(tokio::time::sleep(first)),
            places: listener.places(),
            _place: place,
        }
    }

    fn begin(&mut self, turn: Turn) {
        (self.turn, self.since) = (turn, Instant::now());
        self.sleep.as_mut().reset(self.since + self.idle.min(GIVES_WAY));
    }

    /// Fails once the time is over; else wakes the task when it is.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let waits = match self.turn {
            Turn::Silent | Turn::Stuck => true,
            Turn::Asked => !self.connection.was_whole(),
        };
        if waits && self.connection.poll_gives_way(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        while self.sleep.as_mut().poll(context).is_ready() {
            let (now, end) = (Instant::now(), self.since + self.idle);
            if (waits && self.places.are_wanted()) || now >= end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.sleep.as_mut().reset(end.min(now + GIVES_WAY));
        }
        Ok(())
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Before the read: who sends without a pause never lets one wait.
        self.in_time(context)?;
        let this = &mut *self;
        let polled = if this.connection.was_users() {
            read_of_user(&mut this.tcp, context, buf)
        } else if this.turn == Turn::Stuck {
            // Who takes no answer asks nothing more: answers would pile up here.
            return Poll::Pending;
        } else {
            this.meter.poll_read(&mut this.tcp, &this.connection, context, buf)
        };
        if polled.is_ready() && this.turn == Turn::Silent {
            this.connection.answer_was_taken();
            this.begin(Turn::Asked);
        }
        polled
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(context, buf);
        if polled.is_ready() {
            let this = &mut *self;
            this.connection.begins_anew();
            this.meter.begins_anew(&this.connection);
            this.begin(Turn::Silent);
        } else {
            self.turn = Turn::Stuck;
            self.in_time(context)?;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Says nothing of the client: a socket has nothing to flush.
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
