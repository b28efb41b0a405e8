//! Sums that sessions make of what they run again and again: whose they are, when they are collected, and whether so much comes that
//! they should be made at all.

use querygate_telemetry_api::{RunAccumulator, StatementRecord};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Statements a second up to which each is told by itself. With its row in the store a record takes some 30 µs of a processor.
const CALM: f64 = 100.0;
/// Runs of a statement that all sessions together tell by themselves between two collections: what models are trained on.
const SINGLY: usize = 32;
/// Sessions that are collected from; others tell each run by itself.
const SESSIONS_MAX: usize = 4_096;

/// The sessions, and what they are told. Both ends share it.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    pressed: AtomicBool,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    all: Vec<Arc<RunAccumulator>>,
    /// Whose turn it is next to tell some runs by themselves.
    turn: usize,
    closed: bool,
}

impl Sessions {
    /// How many runs of a statement a session tells by itself from now on, each in its turn.
    fn singly(&mut self) -> impl Fn(usize) -> u32 + use<> {
        let (sessions, turn) = (self.all.len().max(1), self.turn % self.all.len().max(1));
        let each = u32::try_from(SINGLY / sessions).unwrap_or(0);
        let some = SINGLY % sessions;
        self.turn = turn + some;
        move |place| each + u32::from((place + sessions - turn) % sessions < some)
    }
}

impl Gathering {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// So much comes now that sessions are to add up, whatever came before.
    pub(crate) fn press(&self) {
        self.pressed.store(true, Ordering::Relaxed);
    }

    /// Collects from one more session. `false`: there are too many, or nobody collects any more.
    pub(crate) fn begin(&self, runs: &Arc<RunAccumulator>) -> bool {
        let mut sessions = self.sessions();
        let room = !sessions.closed && sessions.all.len() < SESSIONS_MAX;
        if room {
            sessions.all.push(Arc::clone(runs));
        }
        room
    }

    /// Puts the sums behind `taken`, one for each statement of a principal. Sessions that ended are forgotten.
    pub(crate) fn take(&self, taken: &mut Vec<StatementRecord>) {
        let mut sums = Vec::new();
        {
            let mut sessions = self.sessions();
            let (singly, mut place) = (sessions.singly(), 0);
            sessions.all.retain(|runs| {
                // Nobody adds to it once the session and its statements are gone.
                let ended = Arc::strong_count(runs) == 1;
                runs.take(&mut sums, singly(place));
                place += 1;
                !ended
            });
        }
        taken.extend(joined(sums));
    }

    /// The same for the last time.
    pub(crate) fn close(&self, taken: &mut Vec<StatementRecord>) {
        let mut sums = Vec::new();
        let mut sessions = self.sessions();
        sessions.closed = true;
        sessions.all.drain(..).for_each(|runs| runs.close(&mut sums));
        drop(sessions);
        self.pressed.store(false, Ordering::Relaxed);
        taken.extend(joined(sums));
    }

    /// So many statements came within this time: decides what becomes of the next.
    pub(crate) fn came(&self, statements: u64, within: Duration) {
        #[allow(clippy::cast_precision_loss, reason = "nobody runs 2^53 statements in a second")]
        let rate = statements as f64 / within.as_secs_f64().max(0.1);
        self.pressed.store(rate > CALM, Ordering::Relaxed);
    }
}

/// The sums of sessions that ran the same, together.
fn joined(sums: Vec<StatementRecord>) -> Vec<StatementRecord> {
    let mut places: HashMap<_, usize> = HashMap::new();
    let mut all: Vec<StatementRecord> = Vec::new();
    for record in sums {
        let fragment = record.fragments.first().map(|fragment| fragment.template.fingerprint);
        let key =
            (record.fingerprint, fragment, Arc::clone(&record.login), Arc::clone(&record.application), record.door);
        match places.entry(key) {
            Entry::Occupied(place) if all[*place.get()].objects == record.objects => all[*place.get()].join(record),
            Entry::Occupied(_) => all.push(record),
            Entry::Vacant(place) => {
                place.insert(all.len());
                all.push(record);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement, tell};

    /// What so many sessions, each with a run of so many statements, hand over: records in the queue are not counted.
    #[test]
    fn sums_of_all_sessions_are_one_record_and_some_tell_runs_by_themselves_in_turns() {
        for (sessions, expected) in [(1, 32), (3, 32), (100, 32), (1_000, 32)] {
            let listener = crate::testing::Listener::pressed();
            let gathering = Gathering::default();
            let all: Vec<Arc<RunAccumulator>> = (0..sessions).map(|_| Arc::default()).collect();
            all.iter().for_each(|one| assert!(gathering.begin(one)));
            let record = statement("sam", 1, 1, DAY);
            let mut told = Vec::new();
            gathering.take(&mut told);
            for _ in 0..3 {
                // The first run of a session is told while it is found out that somebody collects.
                let _ = listener.take();
                let runs = 70;
                all.iter().for_each(|one| (0..runs).for_each(|_| tell(&listener, one, &record)));
                gathering.take(&mut told);
                let singly = listener.take().len();
                let sum: u64 = told.drain(..).map(|record| record.runs()).sum();
                assert_eq!(singly as u64 + sum, runs * sessions);
                assert!(singly == expected || singly == expected + all.len(), "{singly} of {sessions}");
            }
        }
    }

    #[test]
    fn who_asks_something_else_or_is_another_has_a_sum_of_its_own() {
        let one = statement("sam", 1, 1, DAY);
        let mut other_objects = one.clone();
        other_objects.objects = Arc::new([]);
        let sums = [
            one.clone(),
            statement("ann", 1, 1, DAY),
            statement("sam", 2, 1, DAY),
            StatementRecord { application: "other".into(), ..one.clone() },
            other_objects,
            one.clone(),
            one,
        ];
        let runs: Vec<u64> = joined(sums.to_vec()).iter().map(StatementRecord::runs).collect();
        assert_eq!(runs, [3, 1, 1, 1, 1]);
    }

    #[test]
    fn sessions_are_bounded_and_nobody_begins_after_the_end() {
        let gathering = Gathering::default();
        let all: Vec<Arc<RunAccumulator>> = (0..5_000).map(|_| Arc::default()).collect();
        assert_eq!(all.iter().filter(|one| gathering.begin(one)).count(), SESSIONS_MAX);
        drop(all);
        gathering.take(&mut Vec::new());
        assert!(gathering.sessions().all.is_empty(), "sessions that ended are forgotten");
        gathering.came(1_000, Duration::from_secs(1));
        assert!(gathering.is_pressed() && gathering.begin(&Arc::default()));
        gathering.close(&mut Vec::new());
        assert!(!gathering.is_pressed() && !gathering.begin(&Arc::default()));
        gathering.came(1_000, Duration::from_secs(20));
        assert!(!gathering.is_pressed());
    }
}
