//! One connection that many look-ups use at the same time: each is sent as soon as it is asked for, and answered in its turn. What
//! makes no progress is given up as a whole, so that nobody waits long behind another. Chooses nothing.

use crate::connect::passthrough::Copying;
use crate::connect::pipeline::{Asked, Pipeline};
use crate::connect::pool::Pool;
use crate::connect::socket::{Link, Stream};
use crate::wire::bind::Parameters;
use bytes::BytesMut;
use futures::task::AtomicWaker;
use querygate_driver_api::pool::Place;
use querygate_types::Result;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::Sleep;
use tokio_util::io::{poll_read_buf, poll_write_buf};

/// How long those who wait hear nothing at all; then they begin again on connections of their own.
const STALLED: Duration = Duration::from_millis(200);
/// How long it is kept when nobody asks.
const RESTED: Duration = Duration::from_secs(10);
/// Bytes reserved for one read.
const READ_BYTES: usize = 8 * 1024;

/// A shared connection. Dropped, its socket closes at once.
#[derive(Debug)]
pub(crate) struct SharedConnection {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the connection holds of its pool and of the budget of all sources.
pub(crate) struct Held {
    pub(crate) _place: Place,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Added to the number of requests once no more are taken.
const CLOSED: usize = 1 << 32;

struct Shared {
    state: Mutex<State>,
    /// Whether somebody asked since the task last looked, and what wakes it.
    asked: AtomicBool,
    waker: AtomicWaker,
    /// What the state says of its requests, for those who choose among connections.
    waiting: AtomicUsize,
}

struct State {
    pipeline: Pipeline,
    /// When the server last said something, or was first asked after a rest.
    moved: Instant,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("waiting", &self.lock().pipeline.waiting()).finish_non_exhaustive()
    }
}

impl SharedConnection {
    pub(crate) fn start(link: Link, pool: &Arc<Pool>, lifetime: Duration, held: Held) -> Self {
        let state = Mutex::new(State { pipeline: Pipeline::default(), moved: Instant::now() });
        let shared = Arc::new(Shared {
            state,
            asked: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            waiting: AtomicUsize::new(0),
        });
        let serving = Serving {
            shared: Arc::clone(&shared),
            pool: Arc::downgrade(pool),
            until: Instant::now() + lifetime,
            _held: held,
        };
        Self { shared, task: tokio::spawn(serving.whole(link)).abort_handle() }
    }

    /// Asks.
    pub(crate) fn ask(&self, text: &Arc<str>, parameters: &Parameters, copying: Option<Copying<'_>>) -> Result<Asked> {
        let mut state = self.shared.lock();
        let rested = state.pipeline.waiting() == 0;
        let asked = state.pipeline.ask(text, parameters, copying)?;
        if rested && matches!(asked, Asked::Waiting(_)) {
            state.moved = Instant::now();
        }
        self.shared.show(&state.pipeline);
        drop(state);
        if !self.shared.asked.swap(true, Ordering::AcqRel) {
            self.shared.waker.wake();
        }
        Ok(asked)
    }

    /// Requests that waited for an answer a moment ago. `None`: it takes no more.
    pub(crate) fn waiting(&self) -> Option<usize> {
        match self.shared.waiting.load(Ordering::Relaxed) {
            CLOSED.. => None,
            waiting => Some(waiting),
        }
    }

    /// Whether nothing will come of it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) == CLOSED
    }

    /// Since when nobody waits for anything.
    pub(crate) fn rests_since(&self) -> Option<Instant> {
        let state = self.shared.lock();
        (state.pipeline.waiting() == 0).then_some(state.moved)
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what is to be sent to a buffer that is empty.
    fn taken(&self, out: &mut BytesMut) {
        if out.is_empty() {
            self.lock().pipeline.take(out);
        }
    }

    /// Reads what came. `false`: nothing more is to be done here.
    fn read(&self, input: &mut BytesMut) -> bool {
        let mut state = self.lock();
        state.moved = Instant::now();
        let read = state.pipeline.read(input).is_ok();
        self.show(&state.pipeline);
        read && !(state.pipeline.is_closed() && state.pipeline.waiting() == 0)
    }

    /// Under the lock of the state.
    fn show(&self, pipeline: &Pipeline) {
        let closed = if pipeline.is_closed() { CLOSED } else { 0 };
        self.waiting.store(pipeline.waiting() + closed, Ordering::Relaxed);
    }

    fn end(&self) {
        let mut state = self.lock();
        state.pipeline.end();
        self.show(&state.pipeline);
    }

    fn close(&self, state: &mut State) {
        state.pipeline.close();
        self.show(&state.pipeline);
    }
}

/// The task of a shared connection.
struct Serving {
    shared: Arc<Shared>,
    pool: Weak<Pool>,
    /// It is closed when it is next free after this.
    until: Instant,
    _held: Held,
}

/// Why it ends.
enum End {
    /// It is not wanted any more, or the connection is gone.
    Closed,
    /// Those who wait hear nothing.
    Stalled,
}

/// What came of a look at everything.
enum Turn {
    Asked,
    Ended(End),
}

/// Bytes on their way.
#[derive(Default)]
struct Bytes {
    input: BytesMut,
    out: BytesMut,
    /// Some were written that the encryption may hold.
    unflushed: bool,
}

/// What a look at the clock says.
enum Due {
    At(Instant),
    Ended(End),
}

impl Serving {
    async fn whole(self, link: Link) {
        let Link { stream, canceler } = link;
        match self.messages(stream).await {
            End::Closed => {}
            End::Stalled => {
                let running = self.shared.lock().pipeline.running().cloned();
                let pool = self.pool.upgrade();
                if let (Some(pool), Some(text)) = (&pool, &running) {
                    pool.shared().stalled(text);
                }
                // They begin again elsewhere before the server is told: nobody's statement can be hit.
                self.shared.end();
                if let Some(pool) = pool {
                    tracing::debug!(
                        source = pool.source(),
                        "a look-up kept others waiting: its connection is given up"
                    );
                    pool.connector().cancel(&canceler).await;
                }
            }
        }
    }

    async fn messages(&self, mut stream: Box<dyn Stream>) -> End {
        let mut bytes = Bytes::default();
        let mut clock = pin!(tokio::time::sleep(STALLED));
        loop {
            let turn = poll_fn(|context| self.turn(&mut stream, &mut bytes, clock.as_mut(), context)).await;
            if let Turn::Ended(end) = turn {
                return end;
            }
            let soon = tokio::time::Instant::now() + STALLED;
            if clock.deadline() > soon {
                clock.as_mut().reset(soon);
            }
            // Whoever is ready to ask now does so first: their requests leave together.
            tokio::task::yield_now().await;
            // Whoever asks from here on is seen by the next look.
            self.shared.asked.store(false, Ordering::Release);
            self.shared.taken(&mut bytes.out);
        }
    }

    /// Reads, writes, and looks at the clock, as far as that is possible now.
    fn turn(
        &self,
        stream: &mut Box<dyn Stream>,
        bytes: &mut Bytes,
        mut clock: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Turn> {
        self.shared.waker.register(context.waker());
        if self.read(stream, &mut bytes.input, context).is_err() || self.write(stream, bytes, context).is_err() {
            return Poll::Ready(Turn::Ended(End::Closed));
        }
        while clock.as_mut().poll(context).is_ready() {
            match self.due(Instant::now()) {
                Due::At(at) => clock.as_mut().reset(at.into()),
                Due::Ended(end) => return Poll::Ready(Turn::Ended(end)),
            }
        }
        if self.shared.asked.load(Ordering::Acquire) { Poll::Ready(Turn::Asked) } else { Poll::Pending }
    }

    /// Reads what is there. `Err`: there will be nothing more.
    fn read(&self, stream: &mut Box<dyn Stream>, input: &mut BytesMut, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            input.reserve(READ_BYTES);
            match poll_read_buf(Pin::new(&mut *stream), context, input) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(Ok(_)) if self.shared.read(input) => {}
                Poll::Ready(Ok(_)) => return Err(io::ErrorKind::InvalidData.into()),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
    }

    /// Writes what was asked, and what the encryption still holds.
    fn write(&self, stream: &mut Box<dyn Stream>, bytes: &mut Bytes, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            // Those who ask now are waited for, for a moment.
            if !self.shared.asked.load(Ordering::Acquire) {
                self.shared.taken(&mut bytes.out);
            }
            let moved = match (bytes.out.is_empty(), bytes.unflushed) {
                (true, false) => return Ok(()),
                (true, true) => Pin::new(&mut *stream).poll_flush(context).map_ok(|()| None),
                (false, _) => poll_write_buf(Pin::new(&mut *stream), context, &mut bytes.out).map_ok(Some),
            };
            match moved {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(Some(0))) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => bytes.unflushed = written.is_some(),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
    }

    fn due(&self, now: Instant) -> Due {
        let mut state = self.shared.lock();
        let still = now.saturating_duration_since(state.moved);
        if now >= self.until {
            self.shared.close(&mut state);
        }
        if state.pipeline.waiting() > 0 {
            if still >= STALLED { Due::Ended(End::Stalled) } else { Due::At(state.moved + STALLED) }
        } else if still >= RESTED || state.pipeline.is_closed() {
            // Under the lock: nobody asks in between.
            self.shared.close(&mut state);
            Due::Ended(End::Closed)
        } else {
            Due::At((state.moved + RESTED).min(self.until).max(now + STALLED))
        }
    }
}

/// However the task ends, nobody waits for it any longer.
impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.end();
    }
}
