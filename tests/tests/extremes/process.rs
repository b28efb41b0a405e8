//! What a process holds and computes, read off the system.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at what it holds.
const LOOKS: Duration = Duration::from_millis(2);
/// Between two looks at what it computed, and how much of that another user's look-ups may take.
const COMPUTED: Duration = Duration::from_millis(80);
const IDLE: Duration = Duration::from_millis(50);
const RESTS_WITHIN: Duration = Duration::from_secs(20);

/// A process that is watched until this is dropped.
pub(crate) struct Process {
    pid: u32,
    most: Arc<AtomicU64>,
    before: AtomicU64,
    over: Arc<AtomicBool>,
}

impl Process {
    pub(crate) fn of(pid: u32) -> Self {
        let (most, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (seen, ends) = (Arc::clone(&most), Arc::clone(&over));
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                seen.fetch_max(resident(pid), Ordering::Relaxed);
                std::thread::sleep(LOOKS);
            }
        });
        Self { pid, most, before: AtomicU64::new(0), over }
    }

    /// What it has more from now on is asked for.
    pub(crate) fn begin(&self) {
        let now = resident(self.pid);
        self.before.store(now, Ordering::Relaxed);
        self.most.store(now, Ordering::Relaxed);
    }

    /// The most bytes that it had more since then.
    pub(crate) fn grown(&self) -> u64 {
        self.most.load(Ordering::Relaxed).saturating_sub(self.before.load(Ordering::Relaxed))
    }

    /// How long it goes on computing.
    pub(crate) async fn rests(&self) -> Duration {
        let began = Instant::now();
        let mut computed = computed(self.pid);
        loop {
            let waited = began.elapsed();
            tokio::time::sleep(COMPUTED).await;
            let now = self::computed(self.pid);
            if now - computed < IDLE || waited > RESTS_WITHIN {
                return waited;
            }
            computed = now;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Bytes of a process in memory; 0 after its end.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Time that its threads computed.
fn computed(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
