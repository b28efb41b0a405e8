//! The learning thread: empties the queue, writes batches, hands them to the plugins, keeps the file within its bounds. Survives what
//! plugins do wrong.

use crate::learning_state::LearningState;
use crate::options::LearningOptions;
use crate::plugin::Plugin;
use crate::telemetry::{Counts, Moment, Receiver, Store};
use futures::FutureExt;
use querygate_telemetry_api::StatementRecord;
use querygate_types::Result;
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the queue is emptied. The thread is not woken by each record: that would cost the statement a system call.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Records that wait for the file beyond the queue, while the disk is full.
const PENDING_MAX: usize = 65_536;
/// Single records of a batch that go into the file; the sums count all.
const STORED_PER_BATCH: usize = 2_000;
/// Of them those of ordinary runs of a statement of a principal, where others were added up in the same batch: more of them say little,
/// and cost most of what learning costs a gate that runs one look-up all the time.
const STORED_OF_SUMMED: usize = 8;
/// How long a plugin may take for a batch or a tick.
const PART_TIMEOUT: Duration = Duration::from_secs(30);
/// How often age and size of the file are looked at.
const RETAIN_EVERY: Duration = Duration::from_secs(60);
/// The two clocks may differ by this much between two looks before it is called a jump.
const JUMP: u64 = 3_600;
/// How long age does not count after a jump: nobody should lose a month because of a wrong clock.
const AFTER_JUMP: Duration = Duration::from_secs(86_400);

/// The thread's own.
pub(crate) struct LearningThread {
    shared: Arc<LearningState>,
    plugins: Vec<Arc<dyn Plugin>>,
    options: LearningOptions,
    receiver: Receiver,
    pending: Vec<StatementRecord>,
    /// The list that the queue is given for the one that is taken from it.
    spare: Vec<StatementRecord>,
    stop: CancellationToken,
    /// When sums of sessions were taken last.
    gathered: Duration,
    /// When the wall's clock jumped last.
    jumped: Option<Duration>,
}

impl LearningThread {
    pub(crate) fn new(
        shared: Arc<LearningState>,
        plugins: Vec<Arc<dyn Plugin>>,
        options: LearningOptions,
        receiver: Receiver,
        stop: CancellationToken,
    ) -> Self {
        let (pending, spare) = (Vec::new(), Vec::new());
        Self { shared, plugins, options, receiver, pending, spare, stop, gathered: Duration::ZERO, jumped: None }
    }

    fn now(&self) -> Moment {
        Moment::now(self.shared.started)
    }

    pub(crate) async fn run(&mut self) {
        let store = match Store::open(&self.options.directory, self.now().seconds).await {
            Ok(store) => store,
            Err(error) => {
                tracing::error!(cause = error.cause(), "learning has no store and is off");
                return;
            }
        };
        let _ = self.shared.store.set(store.clone());
        for plugin in self.plugins.clone() {
            self.guarded(plugin.name(), plugin.load(&store)).await;
        }
        let (mut batch_at, mut tick_at, mut retain_at) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let mut before = self.now();
        loop {
            let stopping = tokio::select! {
                () = self.stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            if stopping {
                // What was handed over before this is in the last batch; what comes afterwards is counted as dropped.
                self.receiver.close(&mut self.pending);
            }
            self.drain();
            let now = self.now();
            self.watch_clock(before, now);
            before = now;
            if stopping || now.running >= batch_at {
                batch_at = now.running + self.options.batch_every;
                self.gather(now);
                self.batch(&store, now).await;
            }
            if stopping || now.running >= tick_at {
                tick_at = now.running + Duration::from_secs(1);
                for plugin in self.plugins.clone() {
                    self.guarded(plugin.name(), plugin.tick(now, &store)).await;
                }
            }
            if now.running >= retain_at {
                retain_at = now.running + RETAIN_EVERY;
                self.retain(&store, now).await;
            }
            if stopping {
                for plugin in self.plugins.clone() {
                    self.guarded(plugin.name(), plugin.close()).await;
                }
                return;
            }
        }
    }

    fn drain(&mut self) {
        if self.pending.len() < PENDING_MAX {
            self.receiver.take(&mut self.pending, &mut self.spare);
        }
    }

    /// Takes what sessions added up beside the records, and lets them know how much of the next is worth a record of its own.
    fn gather(&mut self, now: Moment) {
        if self.pending.len() < PENDING_MAX {
            self.receiver.gather(&mut self.pending);
        }
        let came = self.pending.iter().map(StatementRecord::runs).sum();
        let before = std::mem::replace(&mut self.gathered, now.running);
        self.receiver.came(came, now.running.saturating_sub(before));
    }

    /// Stores and hands on. Plugins get what the file did not take, too: they can learn from it, and a full disk must not hold
    /// records up.
    async fn batch(&mut self, store: &Store, now: Moment) {
        if self.pending.is_empty() {
            return;
        }
        let mut records = std::mem::take(&mut self.pending);
        if records.iter().any(|record| record.under_way) {
            let (going, ended) = records.into_iter().partition(|record| record.under_way);
            records = ended;
            self.hear(going, now, store).await;
        }
        let stored = stored(&records);
        let counts = &self.shared.counts;
        let statements: u64 = records.iter().map(StatementRecord::runs).sum();
        Counts::add(&counts.thinned, statements.saturating_sub(stored.len() as u64));
        match store.append(&stored).await {
            Ok(()) => Counts::add(&counts.written, stored.len() as u64),
            Err(error) => {
                Counts::add(&counts.failed, 1);
                tracing::warn!(%error, cause = error.cause(), "a batch of telemetry was not written");
            }
        }
        for plugin in self.plugins.clone() {
            self.guarded(plugin.name(), plugin.follow(&records, now, store)).await;
        }
    }

    async fn hear(&self, going: Vec<StatementRecord>, now: Moment, store: &Store) {
        for plugin in self.plugins.clone() {
            self.guarded(plugin.name(), plugin.hear(&going, now, store)).await;
        }
    }

    /// Neither an error nor a panic nor a slow plugin stops learning.
    async fn guarded(&self, name: &'static str, work: impl Future<Output = Result<()>>) {
        let bounded = tokio::time::timeout(PART_TIMEOUT, AssertUnwindSafe(work).catch_unwind());
        let failure = match bounded.await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => format!("{error}: {}", error.cause().unwrap_or_default()),
            Ok(Err(_)) => "it panicked".to_owned(),
            Err(_) => "it took too long".to_owned(),
        };
        self.shared.errors.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("querygate_learning_errors_total", "part" => name).increment(1);
        tracing::warn!(part = name, failure, "a plugin of learning failed");
    }

    fn watch_clock(&mut self, before: Moment, now: Moment) {
        if let Some(seconds) = jump(before, now) {
            tracing::warn!(seconds, "the clock jumped; records are not forgotten by age for a day");
            self.jumped = Some(now.running);
        }
    }

    async fn retain(&self, store: &Store, now: Moment) {
        let calm = self.jumped.is_none_or(|at| now.running >= at + AFTER_JUMP);
        let age = i64::try_from(self.options.retention.as_secs()).unwrap_or(i64::MAX);
        let before = calm.then(|| now.seconds.saturating_sub(age));
        self.guarded("retention", async { store.retain(before, self.options.size_max).await.map(drop) }).await;
    }
}

/// Records of a batch that go into the file.
fn stored(records: &[StatementRecord]) -> Vec<&StatementRecord> {
    let key = |record: &StatementRecord| (record.fingerprint, Arc::clone(&record.login));
    let summed: HashSet<_> = records.iter().filter(|record| record.more.is_some()).map(key).collect();
    let mut ordinary: HashMap<_, usize> = HashMap::new();
    let kept = |record: &&StatementRecord| {
        let key = key(record);
        if record.more.is_some() || !record.is_ordinary() || !summed.contains(&key) {
            return true;
        }
        let kept = ordinary.entry(key).or_default();
        *kept += 1;
        *kept <= STORED_OF_SUMMED
    };
    let kept: Vec<&StatementRecord> = records.iter().filter(kept).collect();
    // Evenly over the batch, so that no template is left out for coming late.
    let step = kept.len().div_ceil(STORED_PER_BATCH).max(1);
    kept.into_iter().step_by(step).collect()
}

/// Seconds that the wall's clock went between two looks, if the process' own clock says something else.
fn jump(before: Moment, now: Moment) -> Option<i64> {
    let went = now.running.saturating_sub(before.running).as_secs();
    let says = now.seconds.saturating_sub(before.seconds);
    (says.abs_diff(i64::try_from(went).unwrap_or(i64::MAX)) > JUMP).then_some(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summed_tests::runs;
    use crate::testing::{DAY, repeated, statement};
    use querygate_types::ErrorCode;

    #[test]
    fn of_what_is_added_up_few_ordinary_runs_are_rows_of_their_own() {
        // The first run of a session is recorded singly, too: it is found out that somebody collects.
        let mut records = repeated(&runs(1_000), Some(32));
        let singly = records.iter().filter(|record| record.more.is_none()).count();
        assert_eq!((singly, records.len()), (33, 34));
        let all = records.iter().map(StatementRecord::runs).sum::<u64>();
        let few: Vec<u64> = stored(&records).iter().map(|record| record.runs()).collect();
        assert_eq!((few.len(), few.iter().max()), (9, Some(&(all - 33))));
        // Failures, others' runs of it, and what is not added up.
        let failed = StatementRecord { error: Some(ErrorCode::SourceLost), ..records[0].clone() };
        records.extend((0..20).map(|_| failed.clone()));
        records.extend((0..20).map(|_| statement("ann", 1, 1, DAY)));
        records.extend((0..20).map(|_| statement("sam", 2, 1, DAY)));
        assert_eq!(stored(&records).len(), 9 + 60);
        let many: Vec<StatementRecord> = (0..5_000).map(|n| statement("sam", n, 1, DAY)).collect();
        let some = stored(&many);
        assert!((1_000..=STORED_PER_BATCH).contains(&some.len()) && some[some.len() - 1].fingerprint > 4_990);
    }

    #[test]
    fn a_clock_that_jumps_is_noticed_and_one_that_only_runs_is_not() {
        let at = |seconds: i64, running: u64| Moment { seconds, running: Duration::from_secs(running) };
        let before = at(1_000_000, 100);
        for (now, expected) in [
            (at(1_000_001, 101), None),
            // A machine that slept: both clocks went on, or the own one stood still for less than an hour.
            (at(1_090_000, 90_100), None),
            (at(1_003_000, 101), None),
            (at(1_090_000, 101), Some(90_000)),
            (at(0, 101), Some(-1_000_000)),
            (at(i64::MAX, 101), Some(i64::MAX - 1_000_000)),
            (at(i64::MIN, u64::MAX), Some(i64::MIN)),
        ] {
            assert_eq!(jump(before, now), expected, "{now:?}");
        }
    }
}
