//! Streams to a server, and connections whose bytes are ours: logged in and set up by the client library, then taken back from it. Knows no
//! statement.

use crate::connect::connection::{Connector, prepared_for_us};
use crate::connect::loan::lend;
use crate::error::{cannot_connect, no_stream, timed_out_connecting, unavailable};
use crate::wire::frames::{self, Frame};
use bytes::BytesMut;
use querygate_types::Result;
use socket2::{SockRef, TcpKeepalive};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::{CancelToken, NoTls};
use tokio_rustls::client::TlsStream;

/// Longest time to open a connection that nobody must have.
const LINK_TIME: Duration = Duration::from_secs(1);
/// A connection at rest is proved to be there after so long.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long what is sent may stay unheard of; then the connection is lost.
#[cfg(target_os = "linux")]
const UNHEARD_MAX: Duration = Duration::from_secs(60);
/// Asks for encryption: its length and its number.
const ENCRYPT: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Bytes to and from a server, encrypted where that was asked for.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket itself, of which the runtime then hears nothing, where nothing stands between it and the bytes.
    ///
    /// # Errors
    /// The operating system's; the stream is gone.
    fn unwatched(self: Box<Self>) -> io::Result<Unwatched>;
}

/// See [`Stream::unwatched`].
pub(crate) enum Unwatched {
    Plain(Box<dyn PlainSocket>),
    /// It was left as it is: its bytes are not the socket's.
    No(Box<dyn Stream>),
}

/// A socket that the runtime does not watch. It hears of each of a server's writes by itself, whether or not a task waits: many thousand
/// times for a large table.
pub(crate) trait PlainSocket: Send {
    /// What is there; `None`: nothing at the moment.
    ///
    /// # Errors
    /// The connection is lost.
    fn read_now(&mut self, room: &mut [u8]) -> io::Result<Option<usize>>;

    /// The stream again, in the hands of the runtime of this task.
    ///
    /// # Errors
    /// The operating system's; the stream is gone.
    fn watched(self: Box<Self>) -> io::Result<Box<dyn Stream>>;
}

impl Stream for TcpStream {
    fn unwatched(self: Box<Self>) -> io::Result<Unwatched> {
        Ok(Unwatched::Plain(Box::new(self.into_std()?)))
    }
}

impl Stream for UnixStream {
    fn unwatched(self: Box<Self>) -> io::Result<Unwatched> {
        Ok(Unwatched::Plain(Box::new(self.into_std()?)))
    }
}

impl Stream for TlsStream<TcpStream> {
    fn unwatched(self: Box<Self>) -> io::Result<Unwatched> {
        Ok(Unwatched::No(self))
    }
}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {
    fn unwatched(self: Box<Self>) -> io::Result<Unwatched> {
        Ok(Unwatched::No(self))
    }
}

impl PlainSocket for std::net::TcpStream {
    fn read_now(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        read_now(self, room)
    }

    fn watched(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(TcpStream::from_std(*self)?))
    }
}

impl PlainSocket for std::os::unix::net::UnixStream {
    fn read_now(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        read_now(self, room)
    }

    fn watched(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(UnixStream::from_std(*self)?))
    }
}

/// Of a socket that does not block.
fn read_now(socket: &mut impl io::Read, room: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        return match socket.read(room) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

/// A stream to a server, and the address that was reached. `None`: a Unix socket.
pub(crate) struct Reached {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) address: Option<SocketAddr>,
}

/// A connection that is ready for requests, and what stops its statements.
pub(crate) struct Link {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) canceler: Canceler,
}

/// What stops the statements of one connection: its secret, and where its server is. A host's name may by now be another server's.
#[derive(Clone)]
pub(crate) struct Canceler {
    pub(crate) token: CancelToken,
    pub(crate) address: Option<SocketAddr>,
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
        let Reached { stream, address } = self.reach(None).await.map_err(|error| no_stream(self.source(), &error))?;
        let (owner, lent) = lend(stream);
        let refused = |error: tokio_postgres::Error| cannot_connect(self.source(), &error);
        let (client, mut connection) = self.config().connect_raw(lent, NoTls).await.map_err(refused)?;
        tokio::select! {
            biased;
            prepared = prepared_for_us(self.source(), &client) => prepared?,
            () = async { while let Some(Ok(_)) = poll_fn(|context| connection.poll_message(context)).await {} } => {
                return Err(away(&"the connection broke off"));
            }
        }
        let canceler = Canceler { token: client.cancel_token(), address };
        // Neither is asked for anything any more, so neither reads or writes.
        drop(connection);
        drop(client);
        let mut stream = owner.take().ok_or_else(|| away(&"the connection was lost"))?;
        in_step(&mut stream).await.map_err(|error| away(&error))?;
        Ok(Link { stream, canceler })
    }

    /// Asks the server to stop what a connection runs. Best effort: the caller watches the statement itself.
    pub(crate) async fn cancel(&self, canceler: &Canceler) {
        let stopped = async {
            if let Ok(reached) = self.reach(canceler.address).await {
                drop(canceler.token.cancel_query_raw(reached.stream, NoTls).await);
            }
        };
        drop(tokio::time::timeout(self.timeout(), stopped).await);
    }

    /// A stream to the server, encrypted if it is to be. `at`: the address that was reached before.
    pub(crate) async fn reach(&self, at: Option<SocketAddr>) -> io::Result<Reached> {
        let (host, port) = self.address();
        if host.starts_with('/') {
            if self.encryption().is_on() {
                return Err(io::Error::other("a Unix socket is not encrypted"));
            }
            let stream = UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?;
            return Ok(Reached { stream: Box::new(stream), address: None });
        }
        let mut stream = match at {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect((host, port)).await?,
        };
        let address = Some(stream.peer_addr()?);
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(UNHEARD_MAX))?;
        if !self.encryption().is_on() {
            return Ok(Reached { stream: Box::new(stream), address });
        }
        stream.write_all(&ENCRYPT).await?;
        if stream.read_u8().await? != b'S' {
            return Err(io::Error::other("the server does not encrypt"));
        }
        let stream = Box::new(self.encryption().encrypt(host, stream).await?);
        Ok(Reached { stream, address })
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
