//! What a connection may have read before a user sends a request by it. Knows no HTTP.

use crate::tie::Connection;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// What a connection takes while it is silent: its task, and the room for a first request.
const CONNECTION_BYTES: usize = 16 << 10;
/// Bytes of one request, until its headers have said that it is a user's: of its headers, and of a form with a password.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Bytes of a stranger that are read at once.
const READ: usize = 4 << 10;
/// What they take: the room that they are read into doubles.
const READ_COST: usize = 2 * READ;
/// The answer to headers that are longer.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Bytes of a user that are read at once: the server's buffer of a connection grows with what it reads, and stays as large.
const USER_READ: usize = 16 << 10;

/// Reads a user's bytes, a piece at a time.
pub(crate) fn read_of_user(
    tcp: &mut TcpStream,
    context: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    read_piece(tcp, context, buf, USER_READ).map_ok(|_| ())
}

/// Reads at most this number of bytes. Gives how many came.
fn read_piece(
    tcp: &mut TcpStream,
    context: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<usize>> {
    let mut piece = ReadBuf::new(buf.initialize_unfilled_to(most.min(buf.remaining())));
    ready!(Pin::new(tcp).poll_read(context, &mut piece))?;
    let read = piece.filled().len();
    buf.advance(read);
    Poll::Ready(Ok(read))
}

/// What was read of a request, and charged.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: usize,
    /// For bytes of this request.
    charged: usize,
    has_paid: bool,
    /// For the connection itself.
    is_admitted: bool,
}

impl Meter {
    /// Reads a stranger's bytes, a few at a time, each charged before it is read.
    pub(crate) fn poll_read(
        &mut self,
        tcp: &mut TcpStream,
        connection: &Connection,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Woken when the connection is a user's.
        connection.reads(context);
        if connection.was_users() {
            return read_of_user(tcp, context, buf);
        }
        if !self.is_admitted {
            ready!(connection.purse().poll_charge(context, CONNECTION_BYTES));
            self.is_admitted = true;
        }
        if self.bytes >= REQUEST_BYTES_MAX {
            if connection.had_begun() {
                return Poll::Pending;
            }
            // A client that does not take it is not waited for.
            let _written = tcp.try_write(TOO_LARGE);
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        ready!(tcp.poll_read_ready(context))?;
        if !self.has_paid {
            ready!(connection.purse().poll_charge(context, READ_COST));
            self.charged += READ_COST;
            self.has_paid = true;
        }
        let read = ready!(read_piece(tcp, context, buf, READ))?;
        self.has_paid = false;
        self.bytes += read;
        Poll::Ready(Ok(()))
    }

    /// The next request begins with the bytes that come now.
    pub(crate) fn begins_anew(&mut self, connection: &Connection) {
        if self.charged > 0 {
            connection.purse().give_back(self.charged);
        }
        (self.bytes, self.charged, self.has_paid) = (0, 0, false);
    }
}
