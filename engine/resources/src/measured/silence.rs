//! Threads that work for a statement and do not ask whether it is over: how long they are silent, and what they compute meanwhile. What is
//! silent for long hears neither a timeout nor a cancel.
//!
//! A thread notes when it asked last; the question after says how long ago that is. A thread of its own looks at those that have not asked
//! since, and counts them.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// A silence as long as this is counted and logged.
const SILENT: Duration = Duration::from_millis(100);
/// Between two looks at the threads.
const LOOKS: Duration = Duration::from_millis(250);

/// When a thread asked last, in milliseconds of the system's clock; 0: it works for no statement.
type Asked = AtomicU64;

static THREADS: Mutex<Vec<Weak<Asked>>> = Mutex::new(Vec::new());

thread_local! {
    static ASKED: Arc<Asked> = {
        let asked = Arc::new(Asked::new(0));
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        threads.push(Arc::downgrade(&asked));
        asked
    };
    /// The function that was called since.
    static CALLED: Cell<&'static str> = const { Cell::new("") };
}

/// Milliseconds of a clock that is read in nanoseconds and goes by some milliseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    (seconds * 1_000 + nanoseconds / 1_000_000).max(1)
}

/// What a thread did when it began to work for a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct PriorWork {
    asked: u64,
    called: &'static str,
}

/// The thread works for a statement from now on. Gives what it did before.
pub(super) fn begin() -> PriorWork {
    let asked = ASKED.try_with(|asked| asked.swap(now(), Ordering::Relaxed)).unwrap_or(0);
    PriorWork { asked, called: CALLED.replace("") }
}

/// It does again what it did before.
pub(super) fn end(before: PriorWork, statement: Option<&str>) {
    heard(statement);
    let asked = if before.asked == 0 { 0 } else { now() };
    let _ = ASKED.try_with(|of| of.store(asked, Ordering::Relaxed));
    CALLED.set(before.called);
}

/// The thread asks. `statement`: a text that names it.
pub(super) fn heard(statement: Option<&str>) {
    let _ = ASKED.try_with(|asked| {
        let before = asked.load(Ordering::Relaxed);
        if before == 0 {
            return;
        }
        let now = now();
        asked.store(now, Ordering::Relaxed);
        let silent = Duration::from_millis(now.saturating_sub(before));
        if silent >= SILENT {
            report(silent, statement);
        }
    });
}

/// A function is called, which is known by this name.
pub fn calls(function: &'static str) {
    CALLED.set(function);
}

fn report(silent: Duration, statement: Option<&str>) {
    metrics::counter!("querygate_silent_steps_total").increment(1);
    metrics::histogram!("querygate_silent_step_seconds").record(silent.as_secs_f64());
    let (milliseconds, function) = (u64::try_from(silent.as_millis()).unwrap_or(u64::MAX), CALLED.get());
    tracing::info!(milliseconds, function, statement, "a statement did not ask whether it is over");
}

/// Threads that are silent now.
fn silent() -> usize {
    let now = now();
    let limit = u64::try_from(SILENT.as_millis()).unwrap_or(u64::MAX);
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = threads.iter().filter_map(Weak::upgrade).map(|thread| thread.load(Ordering::Relaxed));
    asked.filter(|asked| *asked > 0 && now.saturating_sub(*asked) >= limit).count()
}

/// Counts silent threads from now on.
pub(super) fn watch() {
    static WATCH: OnceLock<()> = OnceLock::new();
    WATCH.get_or_init(|| {
        let watch = std::thread::Builder::new().name("watch".to_owned()).spawn(|| {
            loop {
                std::thread::sleep(LOOKS);
                metrics::gauge!("querygate_silent_threads").set(silent() as f64);
            }
        });
        if let Err(error) = watch {
            tracing::warn!(%error, "threads are not watched");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_silent_until_it_asks_or_ends() {
        let before = begin();
        assert_eq!(before.asked, 0);
        std::thread::sleep(SILENT * 2);
        assert!(silent() >= 1);
        let asked = ASKED.with(Arc::clone);
        let at = asked.load(Ordering::Relaxed);
        calls("repeat");
        heard(Some("SELECT ?"));
        assert!(asked.load(Ordering::Relaxed) > at);
        let inner = begin();
        assert_eq!((inner.called, CALLED.get()), ("repeat", ""));
        end(inner, None);
        assert_eq!(CALLED.get(), "repeat");
        end(before, None);
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}
