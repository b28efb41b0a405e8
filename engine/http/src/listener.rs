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

pub(crate) struct BoundedListener {
    tcp: TcpListener,
    places: Arc<Semaphore>,
    idle: Duration,
}

impl BoundedListener {
    pub(crate) fn new(tcp: TcpListener, connection_max: usize, idle: Duration) -> Self {
        Self { tcp, places: Arc::new(Semaphore::new(connection_max.min(Semaphore::MAX_PERMITS))), idle }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // A place first: who finds none waits in the system's queue, not in our memory.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.tcp.accept().await {
                Ok((tcp, peer)) => {
                    let sleep = Box::pin(tokio::time::sleep(self.idle));
                    return (BoundedStream { tcp, idle: self.idle, sleep, asked: false, _place: place }, peer);
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
/// in do not keep a place.
pub(crate) struct BoundedStream {
    tcp: TcpStream,
    idle: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Whether something of a request has come since the last byte of an answer.
    asked: bool,
    _place: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn begin_anew(&mut self) {
        let deadline = Instant::now() + self.idle;
        self.sleep.as_mut().reset(deadline);
    }

    /// Fails once the time is over; else wakes the task when it is.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.sleep.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Before the read: who sends without a pause never lets one wait.
        self.in_time(context)?;
        let polled = Pin::new(&mut self.tcp).poll_read(context, buf);
        if polled.is_ready() && !self.asked {
            self.asked = true;
            self.begin_anew();
        }
        polled
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(context, buf);
        if polled.is_ready() {
            self.asked = false;
            self.begin_anew();
        } else {
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
