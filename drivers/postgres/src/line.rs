//! One connection that many look-ups use at the same time: each is sent as soon as it is asked for, and answered in its turn. What
//! makes no progress is given up as a whole, so that nobody waits long behind another. Chooses nothing.

use crate::bind::Parameters;
use crate::copied::Copying;
use crate::pool::Pool;
use crate::socket::{Link, Stream};
use crate::traffic::{Asked, Traffic};
use bytes::BytesMut;
use querygate_driver_api::Place;
use querygate_types::Result;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::AbortHandle;

/// How long those who wait hear nothing at all; then they begin again on connections of their own.
const STALLED: Duration = Duration::from_millis(200);
/// How long it is kept when nobody asks.
const RESTED: Duration = Duration::from_secs(10);
/// Bytes reserved for one read.
const READ_BYTES: usize = 8 * 1024;

/// A shared connection. Dropped, its socket closes at once.
#[derive(Debug)]
pub(crate) struct Line {
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
    wake: Notify,
    /// What the state says of its requests, for those who choose among connections.
    waiting: AtomicUsize,
}

struct State {
    traffic: Traffic,
    /// When the server last said something, or was first asked after a rest.
    moved: Instant,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("waiting", &self.lock().traffic.waiting()).finish_non_exhaustive()
    }
}

impl Line {
    pub(crate) fn start(link: Link, pool: &Arc<Pool>, lifetime: Duration, held: Held) -> Self {
        let state = Mutex::new(State { traffic: Traffic::default(), moved: Instant::now() });
        let shared = Arc::new(Shared { state, wake: Notify::new(), waiting: AtomicUsize::new(0) });
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
        let rested = state.traffic.waiting() == 0;
        let asked = state.traffic.ask(text, parameters, copying)?;
        if rested && matches!(asked, Asked::Waiting(_)) {
            state.moved = Instant::now();
        }
        self.shared.show(&state.traffic);
        drop(state);
        self.shared.wake.notify_one();
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
        (state.traffic.waiting() == 0).then_some(state.moved)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what came. `false`: nothing more is to be done here.
    fn read(&self, input: &mut BytesMut) -> bool {
        let mut state = self.lock();
        state.moved = Instant::now();
        let read = state.traffic.read(input).is_ok();
        self.show(&state.traffic);
        read && !(state.traffic.is_closed() && state.traffic.waiting() == 0)
    }

    /// Under the lock of the state.
    fn show(&self, traffic: &Traffic) {
        let closed = if traffic.is_closed() { CLOSED } else { 0 };
        self.waiting.store(traffic.waiting() + closed, Ordering::Relaxed);
    }

    fn end(&self) {
        let mut state = self.lock();
        state.traffic.end();
        self.show(&state.traffic);
    }

    fn close(&self, state: &mut State) {
        state.traffic.close();
        self.show(&state.traffic);
    }
}

/// The task of a line.
struct Serving {
    shared: Arc<Shared>,
    pool: Weak<Pool>,
    /// It is closed when it is next free after this.
    until: Instant,
    _held: Held,
}

/// Why a line ends.
enum End {
    /// It is not wanted any more, or the connection is gone.
    Closed,
    /// Those who wait hear nothing.
    Stalled,
}

/// What a look at the clock says.
enum Due {
    At(Instant),
    Ended(End),
}

impl Serving {
    async fn whole(self, link: Link) {
        let Link { stream, token } = link;
        match self.messages(stream).await {
            End::Closed => {}
            End::Stalled => {
                let running = self.shared.lock().traffic.running().cloned();
                let pool = self.pool.upgrade();
                if let (Some(pool), Some(text)) = (&pool, &running) {
                    pool.lines().stalled(text);
                }
                // They begin again elsewhere before the server is told: nobody's statement can be hit.
                self.shared.end();
                if let Some(pool) = pool {
                    tracing::debug!(
                        source = pool.source(),
                        "a look-up kept others waiting: its connection is given up"
                    );
                    pool.connector().stop(&token).await;
                }
            }
        }
    }

    async fn messages(&self, stream: Box<dyn Stream>) -> End {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        let mut unflushed = false;
        let mut clock = pin!(tokio::time::sleep(STALLED));
        loop {
            if out.is_empty() {
                self.shared.lock().traffic.take(&mut out);
            }
            input.reserve(READ_BYTES);
            tokio::select! {
                biased;
                sent = send(&mut writing, &mut out, &mut unflushed), if unflushed || !out.is_empty() => {
                    if sent.is_err() {
                        return End::Closed;
                    }
                }
                read = reading.read_buf(&mut input) => match read {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(_) if self.shared.read(&mut input) => {}
                    Ok(_) => return End::Closed,
                },
                () = self.shared.wake.notified() => {
                    let soon = tokio::time::Instant::now() + STALLED;
                    if clock.deadline() > soon {
                        clock.as_mut().reset(soon);
                    }
                    // Whoever is ready to ask now does so first: their requests leave together.
                    tokio::task::yield_now().await;
                }
                () = &mut clock => match self.due(Instant::now()) {
                    Due::At(at) => clock.as_mut().reset(at.into()),
                    Due::Ended(end) => return end,
                },
            }
        }
    }

    fn due(&self, now: Instant) -> Due {
        let mut state = self.shared.lock();
        let still = now.saturating_duration_since(state.moved);
        if now >= self.until {
            self.shared.close(&mut state);
        }
        if state.traffic.waiting() > 0 {
            if still >= STALLED { Due::Ended(End::Stalled) } else { Due::At(state.moved + STALLED) }
        } else if still >= RESTED || state.traffic.is_closed() {
            // Under the lock: nobody asks in between.
            self.shared.close(&mut state);
            Due::Ended(End::Closed)
        } else {
            Due::At((state.moved + RESTED).min(self.until).max(now + STALLED))
        }
    }
}

/// Writes what it can, and what the encryption still holds. Dropped before its end, it can begin again.
async fn send(writing: &mut WriteHalf<Box<dyn Stream>>, out: &mut BytesMut, unflushed: &mut bool) -> io::Result<()> {
    if !out.is_empty() {
        if writing.write_buf(out).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        *unflushed = true;
    }
    if out.is_empty() {
        writing.flush().await?;
        *unflushed = false;
    }
    Ok(())
}

/// However the task ends, nobody waits for it any longer.
impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.end();
    }
}
