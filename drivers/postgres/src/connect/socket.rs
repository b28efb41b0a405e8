//! A connection whose bytes are ours: logged in and set up by the client library, then taken back from it. Knows no statement.

use crate::connect::connection::{Connector, prepared_for_us};
use crate::error::{cannot_connect, timed_out_connecting, unavailable};
use crate::wire::frames::{self, Frame};
use bytes::BytesMut;
use querygate_types::Result;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, NoTls};

/// Longest time to open a connection that nobody must have.
const LINK_TIME: Duration = Duration::from_secs(1);
/// Asks for encryption: its length and its number.
const ENCRYPT: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Bytes to and from a server, encrypted where that was asked for.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is ready for requests, and what stops its statements.
pub(crate) struct Link {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) token: CancelToken,
}

impl Connector {
    /// Opens a connection whose messages the caller reads and writes.
    pub(crate) async fn link(&self) -> Result<Link> {
        // Who waits for it can do without.
        let limit = self.timeout().min(LINK_TIME);
        match tokio::time::timeout(limit, self.linked()).await {
            Ok(link) => link,
            Err(_) => Err(timed_out_connecting(self.source(), limit)),
        }
    }

    async fn linked(&self) -> Result<Link> {
        let away = |error: &dyn std::fmt::Display| unavailable(self.source(), "cannot be reached").with_cause(error);
        let stream = self.socket().await.map_err(|error| away(&error))?;
        let owner = Arc::new(Mutex::new(Some(stream)));
        let mut config = self.config().clone();
        // The stream is encrypted already, if it is to be.
        config.ssl_mode(SslMode::Disable);
        let refused = |error: tokio_postgres::Error| cannot_connect(self.source(), &error);
        let (client, mut connection) = config.connect_raw(Lent(Arc::clone(&owner)), NoTls).await.map_err(refused)?;
        tokio::select! {
            biased;
            prepared = prepared_for_us(self.source(), &client) => prepared?,
            () = async { while let Some(Ok(_)) = poll_fn(|context| connection.poll_message(context)).await {} } => {
                return Err(away(&"the connection broke off"));
            }
        }
        let token = client.cancel_token();
        // Neither is asked for anything any more, so neither reads or writes.
        drop(connection);
        drop(client);
        let stream = lock(&owner).take();
        let mut stream = stream.ok_or_else(|| away(&"the connection was lost"))?;
        in_step(&mut stream).await.map_err(|error| away(&error))?;
        Ok(Link { stream, token })
    }

    /// Asks the server to stop what a link runs. Best effort: nobody waits for it.
    pub(crate) async fn stop(&self, token: &CancelToken) {
        let stopped = async {
            if let Ok(stream) = self.socket().await {
                drop(token.cancel_query_raw(stream, NoTls).await);
            }
        };
        drop(tokio::time::timeout(self.timeout(), stopped).await);
    }

    async fn socket(&self) -> io::Result<Box<dyn Stream>> {
        let (host, port) = self.address();
        if host.starts_with('/') {
            if self.encryption().is_on() {
                return Err(io::Error::other("a Unix socket is not encrypted"));
            }
            return Ok(Box::new(UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?));
        }
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        if !self.encryption().is_on() {
            return Ok(Box::new(stream));
        }
        stream.write_all(&ENCRYPT).await?;
        if stream.read_u8().await? != b'S' {
            return Err(io::Error::other("the server does not encrypt"));
        }
        let mut encryption = self.encryption().clone();
        let handshake = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut encryption, host)?;
        Ok(Box::new(TlsConnect::<TcpStream>::connect(handshake, stream).await?))
    }
}

/// One Sync and its answer: proves that what comes next on the stream is the answer to what is asked next.
async fn in_step(stream: &mut Box<dyn Stream>) -> io::Result<()> {
    let broken = || io::Error::other("the connection is out of step");
    let mut bytes = BytesMut::new();
    frames::sync(&mut bytes).map_err(io::Error::other)?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    bytes.clear();
    loop {
        let consumed = match Frame::first(&bytes).map_err(|_| broken())? {
            Frame::Whole(b'Z', b"I") if bytes.len() == Frame::bytes(b"I") => return Ok(()),
            // Notices and changed settings come at any time.
            Frame::Whole(b'N' | b'S' | b'A', body) => Frame::bytes(body),
            Frame::Whole(..) => return Err(broken()),
            Frame::Part(..) | Frame::Nothing if bytes.len() > 64 * 1024 => return Err(broken()),
            Frame::Part(..) | Frame::Nothing => 0,
        };
        if consumed > 0 {
            drop(bytes.split_to(consumed));
        } else if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A stream that its owner takes back.
struct Lent(Arc<Mutex<Option<Box<dyn Stream>>>>);

fn lock(owner: &Mutex<Option<Box<dyn Stream>>>) -> MutexGuard<'_, Option<Box<dyn Stream>>> {
    owner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lent {
    fn with<T>(&self, poll: impl FnOnce(Pin<&mut dyn Stream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match lock(&self.0).as_mut() {
            Some(stream) => poll(Pin::new(stream.as_mut())),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frames::tests::said;

    async fn step(answer: &[u8]) -> io::Result<()> {
        let (ours, mut theirs) = tokio::io::duplex(1_024);
        theirs.write_all(answer).await.unwrap();
        let mut stream: Box<dyn Stream> = Box::new(ours);
        let stepped = tokio::spawn(async move { in_step(&mut stream).await });
        let mut asked = [0; 5];
        theirs.read_exact(&mut asked).await.unwrap();
        assert_eq!(asked.as_slice(), said(b'S', b""));
        drop(theirs);
        stepped.await.unwrap()
    }

    #[tokio::test]
    async fn a_connection_out_of_step_is_not_used() {
        let ready = said(b'Z', b"I");
        assert!(step(&ready).await.is_ok());
        assert!(step(&[said(b'N', b"\0"), said(b'S', b"a\0b\0"), ready.clone()].concat()).await.is_ok());
        for wrong in [
            said(b'Z', b"T"),
            said(b'C', b"SELECT 1\0"),
            [ready.clone(), ready.clone()].concat(),
            [b"\0\0\0".to_vec(), ready].concat(),
            Vec::new(),
        ] {
            assert!(step(&wrong).await.is_err(), "{wrong:?}");
        }
    }
}
