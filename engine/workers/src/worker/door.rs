//! Connections of a worker: until a call comes by one, which takes a certificate of a gate, it is a stranger's and has little memory and
//! little time. Knows no message.

use querygate_arrivals::{Arrival, Arrivals, Strangers};
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// Connections at once that no call has come by. One more is let in and the oldest gives way.
const ARRIVALS_MAX: usize = 1_000;
/// What a connection takes from its first byte on: TLS, with its longest handshake message, and HTTP/2.
const CONNECTION_BYTES: usize = 128 << 10;
/// Bytes of a connection that no call has come by.
const INPUT_MAX: usize = 64 << 10;
/// From accept to the first call.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause after an accept error such as "too many open files", which would otherwise repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the receiver is gone or `stop` fires.
pub(super) async fn accept(
    listener: TcpListener,
    strangers: Strangers,
    sender: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
) {
    let arrivals = strangers.door(ARRIVALS_MAX);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                tokio::spawn(greet(tcp, peer, arrivals.clone(), sender.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for the first byte; what the connection takes from then on is charged first.
async fn greet(
    tcp: TcpStream,
    peer: SocketAddr,
    arrivals: Arrivals,
    sender: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY refused");
    }
    let (mut arrival, until) = (arrivals.admit(peer.ip()), Instant::now() + PATIENCE);
    let purse = arrival.purse();
    let speaks = async {
        tcp.readable().await?;
        purse.charge(CONNECTION_BYTES).await;
        io::Result::Ok(())
    };
    let spoke = tokio::select! {
        () = stop.cancelled() => return,
        () = arrival.gives_way() => return,
        spoke = tokio::time::timeout_at(until, speaks) => matches!(spoke, Ok(Ok(()))),
    };
    if spoke {
        // The worker is ending when it takes none.
        let _ending = sender.send(Ok(Connection::new(tcp, arrival, until))).await;
    }
}

/// Whose a connection is, for its calls.
#[derive(Clone)]
pub(super) struct Caller(Arc<Mutex<Standing>>);

enum Standing {
    /// No call has come by it.
    Stranger { arrival: Arrival, sleep: Pin<Box<Sleep>>, reader: Option<Waker> },
    /// A gate's.
    Gate,
}

impl Caller {
    /// A call has come: TLS let its sender in.
    pub(super) fn is_gate(&self) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Standing::Gate);
        if let Standing::Stranger { reader: Some(reader), .. } = before {
            reader.wake();
        }
    }

    /// Whether it is a gate's; fails when a stranger's time is over.
    fn look(&self, context: &mut Context<'_>) -> io::Result<bool> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Gate => Ok(true),
            Standing::Stranger { arrival, sleep, reader } => {
                if arrival.poll_gives_way(context).is_ready() || sleep.as_mut().poll(context).is_ready() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                *reader = Some(context.waker().clone());
                Ok(false)
            }
        }
    }
}

/// A connection's bytes as they come, below TLS.
pub(super) struct Connection {
    tcp: TcpStream,
    caller: Caller,
    /// Read of a stranger, and whether it has become a gate's.
    bytes: usize,
    is_gates: bool,
}

impl Connection {
    fn new(tcp: TcpStream, arrival: Arrival, until: Instant) -> Self {
        let standing = Standing::Stranger { arrival, sleep: Box::pin(sleep_until(until)), reader: None };
        Self { tcp, caller: Caller(Arc::new(Mutex::new(standing))), bytes: 0, is_gates: false }
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.is_gates = this.is_gates || this.caller.look(context)?;
        if this.is_gates {
            return Pin::new(&mut this.tcp).poll_read(context, buf);
        }
        if this.bytes >= INPUT_MAX {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(context, buf))?;
        this.bytes += buf.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}
