//! A listener that bounds how many clients there are and how long one may be silent. Knows no HTTP.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Pause after an accept error such as "too many open files", which would otherwise repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection without a request keeps its place while none is free.
const GIVES_WAY: Duration = Duration::from_secs(1);

/// The places of a door's connections.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    /// Whether none is free: then a connection lives for one request, and a silent one makes room.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.available_permits() == 0
    }
}

pub(crate) struct BoundedListener {
    tcp: TcpListener,
    places: Places,
    idle: Duration,
}

impl BoundedListener {
    pub(crate) fn new(tcp: TcpListener, connection_max: usize, idle: Duration) -> Self {
        let places = Semaphore::new(connection_max.min(Semaphore::MAX_PERMITS));
        Self { tcp, places: Places(Arc::new(places)), idle }
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
            let Ok(place) = Arc::clone(&self.places.0).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.tcp.accept().await {
                Ok((tcp, peer)) => {
                    return (BoundedStream::new(tcp, self, place), peer);
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

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    /// What attempts are counted by: the address, or for IPv6 the network that one customer has.
    pub(crate) fn key(self) -> String {
        match self.0.ip().to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A connection that ends when it is silent for the idle time, or when a request has not arrived whole within it: bytes that drip
/// in do not keep a place. Between requests it gives way to who waits for a place.
pub(crate) struct BoundedStream {
    tcp: TcpStream,
    idle: Duration,
    turn: Turn,
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
    /// Ours: something of a request has come.
    Asked,
    /// The client's: it does not take the answer.
    Stuck,
}

impl BoundedStream {
    fn new(tcp: TcpStream, listener: &BoundedListener, place: OwnedSemaphorePermit) -> Self {
        let first = listener.idle.min(GIVES_WAY);
        Self {
            tcp,
            idle: listener.idle,
            turn: Turn::Silent,
            since: Instant::now(),
            sleep: Box::pin(tokio::time::sleep(first)),
            places: listener.places(),
            _place: place,
        }
    }

    fn begin(&mut self, turn: Turn) {
        (self.turn, self.since) = (turn, Instant::now());
        let pause = match turn {
            Turn::Silent => self.idle.min(GIVES_WAY),
            Turn::Asked | Turn::Stuck => self.idle,
        };
        self.sleep.as_mut().reset(self.since + pause);
    }

    /// Fails once the time is over; else wakes the task when it is.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.sleep.as_mut().poll(context).is_ready() {
            let (now, end) = (Instant::now(), self.since + self.idle);
            let gives_way = match self.turn {
                Turn::Silent => self.places.are_taken(),
                Turn::Asked | Turn::Stuck => false,
            };
            if gives_way || now >= end {
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
        let polled = Pin::new(&mut self.tcp).poll_read(context, buf);
        if polled.is_ready() && self.turn == Turn::Silent {
            self.begin(Turn::Asked);
        }
        polled
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(context, buf);
        if polled.is_ready() {
            self.begin(Turn::Silent);
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
