//! One client's byte stream, plain or TLS, with its place among the connections. Knows no HTTP.

use crate::observe::Connected as Counted;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A client that has a place.
pub(crate) struct Admitted {
    pub(crate) peer: SocketAddr,
    pub(crate) place: OwnedSemaphorePermit,
    /// How long it may be silent at first.
    pub(crate) patience: Duration,
}

enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection.
pub(crate) struct Transport {
    bytes: Bytes,
    peer: Peer,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// When the client must have said something; gone once it has.
    silence: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Transport {
    /// A connection that ends when `kill` fires, or when the client says nothing at all for `patience`.
    pub(crate) fn plain(tcp: TcpStream, admitted: Admitted, kill: &CancellationToken) -> Self {
        Self::new(Bytes::Plain(tcp), admitted, kill)
    }

    /// The same over TLS.
    pub(crate) fn tls(stream: TlsStream<TcpStream>, admitted: Admitted, kill: &CancellationToken) -> Self {
        Self::new(Bytes::Tls(Box::new(stream)), admitted, kill)
    }

    fn new(bytes: Bytes, admitted: Admitted, kill: &CancellationToken) -> Self {
        let Admitted { peer, place, patience } = admitted;
        let killed = Box::pin(kill.clone().cancelled_owned());
        let silence = Some(Box::pin(tokio::time::sleep(patience)));
        Self { bytes, peer: Peer(peer), killed, silence, _place: place, _counted: Counted::new() }
    }
}

impl Connected for Transport {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let read = match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Bytes::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if read.is_ready() {
            self.silence = None;
        } else if self.silence.as_mut().is_some_and(|silence| silence.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Bytes::Tls(tls) => Pin::new(tls).poll_write(cx, data),
        }
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
        match &mut self.bytes {
            Bytes::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Bytes::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(tcp) => tcp.is_write_vectored(),
            Bytes::Tls(tls) => tls.is_write_vectored(),
        }
    }
}
