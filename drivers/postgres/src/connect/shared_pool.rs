//! The shared connections of one source, and look-ups over them: a few statements that find rows by a key, each a moment's work for
//! the server. Everything else has a connection of its own.

use crate::connect::passthrough::{self, Columns, Copying};
use crate::connect::pipeline::{Answer, Asked, Unanswered};
use crate::connect::pool::Pool;
use crate::connect::shared_connection::SharedConnection;
use crate::decode::Decoder;
use crate::error::from_failure;
use crate::wire::bind::Parameters;
use crate::wire::frames;
use arrow::record_batch::RecordBatch;
use querygate_driver_api as driver_api;
use querygate_driver_api::execution::{DeclineReason, NativeStatement};
use querygate_types::{Error, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::types::Type;

/// One of so many connections of a pool is shared, four at most: a server's process is busy with one, and others need theirs.
const SHARE: usize = 4;
const SHARED_MAX: usize = 4;
/// Requests that wait on one connection before another is opened.
const REQUESTS_USUAL: usize = 8;
/// Longest text that is kept prepared.
const TEXT_MAX: usize = 16 * 1024;
/// How long a statement has connections of its own: one that cannot be answered here, and at most one that keeps others waiting.
const APART: Duration = Duration::from_secs(60);
/// How long at first: it may have been the server's fault.
const APART_FIRST: Duration = Duration::from_secs(1);
const APART_MAX: usize = 256;
/// How soon it is tried again to open one, when there was no room or the server refused.
const PAUSE: Duration = Duration::from_secs(1);

/// The shared connections of a pool.
#[derive(Debug)]
pub(crate) struct SharedPool {
    open: Mutex<Vec<SharedConnection>>,
    max: usize,
    opening: AtomicBool,
    /// When one may be opened again.
    again: Mutex<Option<Instant>>,
    /// Statements that have connections of their own, or had not long ago.
    apart: Mutex<HashMap<Arc<str>, Apart>>,
    apart_count: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Apart {
    until: Instant,
    pause: Duration,
}

impl Apart {
    fn begin(now: Instant, pause: Duration) -> Self {
        Self { until: now + pause, pause }
    }

    /// Whether nothing of it matters any more.
    fn is_past(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.until) > APART
    }
}

/// Finds rows by a key, as they go to a client.
pub(crate) async fn look_up_wire_rows(
    pool: &Arc<Pool>,
    parameters: &Parameters,
    copying: Copying<'_>,
) -> Result<driver_api::execution::Answer> {
    let (columns, rows) = match answered(pool, &copying.statement.text, parameters, Some(copying)).await? {
        Ok(answered) => answered,
        Err(reason) => return Ok(driver_api::execution::Answer::Declined(reason)),
    };
    Ok(match passthrough::looked_through(rows, columns.types(), copying) {
        Some(rows) => driver_api::execution::Answer::WireRows(rows),
        None => {
            columns.read_on();
            driver_api::execution::Answer::Declined(DeclineReason::ReadFirst)
        }
    })
}

/// Finds rows by a key.
pub(crate) async fn look_up(
    pool: &Arc<Pool>,
    statement: &NativeStatement,
    parameters: &Parameters,
) -> Result<driver_api::execution::Answer> {
    match answered(pool, &statement.text, parameters, None).await? {
        Ok((columns, rows)) => {
            decoded(pool.source(), statement, columns.types(), &rows).map(driver_api::execution::Answer::Batch)
        }
        Err(reason) => Ok(driver_api::execution::Answer::Declined(reason)),
    }
}

/// Columns and rows as the server sent them, or why the statement must run on a connection of its own. Dropping this ends
/// nobody else's wait.
async fn answered(
    pool: &Arc<Pool>,
    text: &Arc<str>,
    parameters: &Parameters,
    copying: Option<Copying<'_>>,
) -> Result<std::result::Result<(Columns, Vec<u8>), DeclineReason>> {
    let shared = pool.shared();
    if let Some(reason) = shared.declined(text) {
        return Ok(Err(reason));
    }
    let answer = match shared.ask(pool, text, parameters, copying)? {
        Asked::Waiting(answer) => answer,
        Asked::Full => return Ok(Err(DeclineReason::NoRoom)),
        Asked::ToRead => return Ok(Err(DeclineReason::ReadFirst)),
    };
    match answer.await {
        Ok(Answer::Rows(columns, rows)) => Ok(Ok((columns, rows))),
        Ok(Answer::Failed(failure)) => Err(from_failure(pool.source(), &failure)),
        Ok(Answer::Unanswered(why)) => {
            shared.unanswered(text, why);
            Ok(Err(DeclineReason::GivenUp))
        }
        Err(_) => Ok(Err(DeclineReason::GivenUp)),
    }
}

fn decoded(source: &str, statement: &NativeStatement, columns: &[Type], rows: &[u8]) -> Result<RecordBatch> {
    let mut decoder = Decoder::new(source, statement, columns.iter(), frames::rows(rows).count())?;
    for row in frames::rows(rows) {
        let row = row.map_err(|_| Error::internal("a row is not what it should be"))?;
        // A row's cells are written as COPY writes them.
        decoder.push_cells(row)?;
    }
    decoder.finish()
}

impl SharedPool {
    /// For a pool of so many connections.
    pub(crate) fn of(size: usize) -> Self {
        Self {
            open: Mutex::default(),
            max: (size / SHARE).min(SHARED_MAX),
            opening: AtomicBool::new(false),
            again: Mutex::default(),
            apart: Mutex::default(),
            apart_count: AtomicUsize::new(0),
        }
    }

    /// Why no shared connection is asked to run the statement.
    fn declined(&self, text: &Arc<str>) -> Option<DeclineReason> {
        if self.max == 0 {
            Some(DeclineReason::SmallPool)
        } else if text.len() > TEXT_MAX {
            Some(DeclineReason::LongText)
        } else {
            self.is_apart(text).then_some(DeclineReason::SetApart)
        }
    }

    fn ask(
        &self,
        pool: &Arc<Pool>,
        text: &Arc<str>,
        parameters: &Parameters,
        copying: Option<Copying<'_>>,
    ) -> Result<Asked> {
        match self.ask_open(text, parameters, copying, REQUESTS_USUAL)? {
            Asked::Full => {
                self.open_one(pool);
                self.ask_open(text, parameters, copying, usize::MAX)
            }
            asked @ (Asked::Waiting(_) | Asked::ToRead) => Ok(asked),
        }
    }

    /// Asks the first on which fewer than so many wait, else the one on which the fewest do: what leaves together costs less.
    fn ask_open(
        &self,
        text: &Arc<str>,
        parameters: &Parameters,
        copying: Option<Copying<'_>>,
        most: usize,
    ) -> Result<Asked> {
        let mut open = lock(&self.open);
        open.retain(|connection| !connection.is_over());
        let waiting = |connection: &SharedConnection| connection.waiting().filter(|waiting| *waiting < most);
        let usual = open.iter().find(|connection| waiting(connection).is_some_and(|waiting| waiting < REQUESTS_USUAL));
        let connection = usual.or_else(|| {
            let taking = open.iter().filter_map(|connection| waiting(connection).map(|waiting| (waiting, connection)));
            taking.min_by_key(|(waiting, _)| *waiting).map(|(_, connection)| connection)
        });
        connection.map_or(Ok(Asked::Full), |connection| connection.ask(text, parameters, copying))
    }

    /// Has one more opened if there may be more, nobody is at it, and the pool has room. Whoever asks now does without it.
    fn open_one(&self, pool: &Arc<Pool>) {
        let must_wait = || lock(&self.again).is_some_and(|again| Instant::now() < again);
        if lock(&self.open).len() >= self.max || must_wait() || self.opening.swap(true, Ordering::SeqCst) {
            return;
        }
        let opening = Opening(Arc::clone(pool));
        tokio::spawn(async move {
            let shared = opening.0.shared();
            match opening.0.open_shared().await {
                Some(connection) => lock(&shared.open).push(connection),
                None => *lock(&shared.again) = Some(Instant::now() + PAUSE),
            }
        });
    }

    fn is_apart(&self, text: &Arc<str>) -> bool {
        if self.apart_count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut apart = lock(&self.apart);
        let now = Instant::now();
        let Some(found) = apart.get(text).copied() else { return false };
        if found.is_past(now) {
            apart.remove(text);
            self.apart_count.store(apart.len(), Ordering::Relaxed);
        }
        now < found.until
    }

    /// A statement kept others waiting: it has connections of its own, the longer the more often that happens.
    pub(crate) fn stalled(&self, text: &Arc<str>) {
        let before = lock(&self.apart).get(text).copied().filter(|apart| !apart.is_past(Instant::now()));
        self.keep_apart(text, before.map_or(APART_FIRST, |before| (before.pause * 2).min(APART)));
    }

    fn unanswered(&self, text: &Arc<str>, why: Unanswered) {
        match why {
            Unanswered::Apart => self.keep_apart(text, APART),
            Unanswered::Again => {}
        }
    }

    fn keep_apart(&self, text: &Arc<str>, pause: Duration) {
        let mut apart = lock(&self.apart);
        let now = Instant::now();
        if apart.len() >= APART_MAX {
            apart.retain(|_, apart| !apart.is_past(now));
        }
        if apart.len() >= APART_MAX {
            apart.clear();
        }
        apart.insert(Arc::clone(text), Apart::begin(now, pause));
        self.apart_count.store(apart.len(), Ordering::Relaxed);
    }

    /// Open ones on which nobody waits.
    pub(crate) fn resting(&self) -> usize {
        let open = lock(&self.open);
        open.iter().filter(|connection| !connection.is_over() && connection.rests_since().is_some()).count()
    }

    /// Since when the one rests that rests longest.
    pub(crate) fn longest(&self) -> Option<Instant> {
        lock(&self.open).iter().filter_map(SharedConnection::rests_since).min()
    }

    /// Closes that one.
    pub(crate) fn close_longest(&self) {
        let mut open = lock(&self.open);
        let resting =
            open.iter().enumerate().filter_map(|(at, connection)| connection.rests_since().map(|since| (since, at)));
        if let Some((_, at)) = resting.min() {
            open.remove(at);
        }
    }
}

/// Somebody opens one.
struct Opening(Arc<Pool>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.shared().opening.store(false, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pools_share_nothing_and_large_ones_little() {
        for (size, expected) in [(1, 0), (3, 0), (4, 1), (8, 2), (16, 4), (100, 4)] {
            assert_eq!(SharedPool::of(size).max, expected, "{size}");
        }
    }

    #[test]
    fn statements_that_kept_others_waiting_are_remembered_and_bounded() {
        let shared = SharedPool::of(8);
        let text: Arc<str> = "slow".into();
        assert!(!shared.is_apart(&text));
        let pause = |shared: &SharedPool| lock(&shared.apart)[&text].pause;
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            shared.stalled(&text);
            assert!(shared.is_apart(&text) && !shared.is_apart(&"quick".into()));
            assert_eq!(pause(&shared), Duration::from_secs(expected));
        }
        // Over, and remembered for a minute.
        let ago = |seconds| Apart { until: Instant::now() - Duration::from_secs(seconds), pause: APART_FIRST };
        lock(&shared.apart).insert(Arc::clone(&text), ago(1));
        assert!(!shared.is_apart(&text));
        shared.stalled(&text);
        assert_eq!(pause(&shared), 2 * APART_FIRST);
        lock(&shared.apart).insert(Arc::clone(&text), ago(61));
        assert!(!shared.is_apart(&text));
        assert_eq!(shared.apart_count.load(Ordering::Relaxed), 0);
        for number in 0..2 * APART_MAX {
            shared.stalled(&format!("s{number}").into());
        }
        assert!(lock(&shared.apart).len() <= APART_MAX);
    }
}
