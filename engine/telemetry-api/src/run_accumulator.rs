//! Runs of cheap statements, added up where they end: where tens of thousands come in a second, a record of each would cost a good
//! part of what the statement itself does. Knows neither who asks for the sums nor what they are for.

use crate::fragment::FragmentTemplate;
use crate::record::StatementRecord;
use crate::run_sums::{EndedRun, FragmentTimes, RanFragments, RepeatedRun, RunSums};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Statements of one session that are added up at a time.
const STATEMENTS_MAX: usize = 8;
/// A run that takes this many times the usual is unusually slow: the slowest of those is the one that the record is of.
const SLOW: u64 = 4;
/// Runs that the mean of the time before counts as, beside those of now.
const REMEMBERED: u64 = 16;

/// A statement that comes again and again.
#[derive(Debug)]
struct Statement {
    /// Its own in the session.
    number: u64,
    fingerprint: u64,
    application: Arc<str>,
    objects: Arc<[String]>,
    fragment: Option<Arc<FragmentTemplate>>,
    /// Runs since the last collection that were recorded singly because they were the first.
    singly: u32,
    /// Nanoseconds, and the number of runs that they add up.
    usual: (u64, u64),
    /// One run of those that were added up, and the others.
    record: Option<Box<StatementRecord>>,
    more: RunSums,
    /// Whether the one was not timed.
    is_record_untimed: bool,
    /// Whether it is nothing special either: the next one that is timed takes its place.
    gives_way: bool,
    /// Of the others, those whose fragment was not timed and has no time yet.
    untimed: u32,
    /// What its fragment took when it was timed last.
    timed: Option<FragmentTimes>,
}

/// What became of a run that was to be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is to be recorded singly.
    Singly,
    /// It is in the sums of the statement that has this number in its session, and the next one will be.
    Summed(u64),
    /// It is in the sums, because its fragment was not timed; the next one is to be timed and recorded singly.
    BeforeSingle,
}

impl Statement {
    fn new(number: u64, run: &EndedRun<'_>) -> Self {
        Self {
            number,
            fingerprint: run.fingerprint,
            application: Arc::clone(run.application),
            objects: Arc::clone(run.objects),
            fragment: run.template().map(Arc::clone),
            singly: 0,
            usual: (0, 0),
            record: None,
            more: RunSums::default(),
            is_record_untimed: false,
            gives_way: false,
            untimed: 0,
            timed: None,
        }
    }

    fn is_of(&self, run: &EndedRun<'_>) -> bool {
        let fragment = match (&self.fragment, run.template()) {
            (None, None) => true,
            (Some(known), Some(one)) => Arc::ptr_eq(known, one) || known.fingerprint == one.fingerprint,
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.fingerprint == run.fingerprint
            && fragment
            && (Arc::ptr_eq(&self.application, run.application) || self.application == *run.application)
            && (Arc::ptr_eq(&self.objects, run.objects) || self.objects == *run.objects)
    }

    /// Whether a run takes far longer than usual.
    fn is_slow(&self, total: Duration) -> bool {
        let (sum, runs) = self.usual;
        runs > 0 && u64::from(total.subsec_nanos()).saturating_mul(runs) > sum.saturating_mul(SLOW)
    }

    /// A run is part of what is usual from now on.
    fn note(&mut self, total: Duration) {
        let (sum, runs) = self.usual;
        self.usual = (sum.saturating_add(u64::from(total.subsec_nanos())), runs + 1);
    }

    /// Adds a run that was not timed, unless it may have to be the record. Whether it did.
    fn repeat(&mut self, run: &RepeatedRun) -> bool {
        if self.record.is_none() || self.is_slow(run.total) {
            return false;
        }
        self.note(run.total);
        self.more.add_repeated(run);
        self.untimed += 1;
        true
    }

    fn add(&mut self, run: &EndedRun<'_>, slow: bool, whole: impl FnOnce() -> StatementRecord) {
        if let Some(times) = run.times() {
            self.more.fragment.add_times(times, std::mem::take(&mut self.untimed));
            self.timed = Some(times);
        }
        match &mut self.record {
            None => {
                self.record = Some(Box::new(whole()));
                (self.is_record_untimed, self.gives_way) = (run.is_untimed(), run.is_untimed());
            }
            Some(record) if (slow && run.total > record.total) || (self.gives_way && !run.is_untimed()) => {
                let replaced = match record.fragments.first() {
                    Some(fragment) if self.is_record_untimed => {
                        self.untimed += 1;
                        EndedRun { fragments: RanFragments::Untimed(&fragment.template), ..EndedRun::of(record) }
                    }
                    Some(_) | None => EndedRun::of(record),
                };
                self.more.add(&replaced);
                **record = whole();
                (self.is_record_untimed, self.gives_way) = (run.is_untimed(), false);
            }
            Some(_) => {
                self.more.add(run);
                self.untimed += u32::from(run.is_untimed());
            }
        }
    }

    /// What was added up, and whether anything came at all since the last time.
    fn take(&mut self) -> (Option<StatementRecord>, bool) {
        let mut more = std::mem::take(&mut self.more);
        let untimed = std::mem::take(&mut self.untimed);
        let timed_record = self.record.as_ref().filter(|_| !self.is_record_untimed);
        let of_record = || timed_record?.fragments.first().map(FragmentTimes::of);
        if let Some(times) = self.timed.or_else(of_record) {
            more.fragment.add_times(times, untimed);
        }
        let came = std::mem::take(&mut self.singly) > 0 || self.record.is_some();
        let (sum, runs) = self.usual;
        if runs > REMEMBERED {
            self.usual = (sum / runs * REMEMBERED, REMEMBERED);
        }
        let record = self.record.take().map(|record| {
            let more = (more.runs > 0).then(|| Box::new(more));
            StatementRecord { more, ..*record }
        });
        (record, came)
    }
}

/// What one session runs again and again, until somebody collects it. Bounded: some 5 KB for each of few statements.
#[derive(Debug, Default)]
pub struct RunAccumulator {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    statements: Vec<Statement>,
    /// Statements so far.
    numbers: u64,
    /// Runs of each statement that are recorded singly until the next collection.
    singly: u32,
    /// Whether somebody collects.
    followed: bool,
    /// The collector is gone, or has no room for this session.
    closed: bool,
}

impl RunAccumulator {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a run up, unless it is to be recorded singly, as the first runs of a statement between two collections may be, and
    /// whatever is out of the ordinary. `whole`: its record, asked for once or a few times between two collections.
    pub fn add(
        self: &Arc<Self>,
        run: &EndedRun<'_>,
        collect: impl FnOnce(&Arc<Self>) -> bool,
        whole: impl FnOnce() -> StatementRecord,
    ) -> Added {
        if !run.is_ordinary() {
            return Added::Singly;
        }
        let mut state = self.state();
        if state.closed {
            return Added::Singly;
        }
        if !state.followed {
            state.followed = true;
            // Who collects has a lock of its own.
            drop(state);
            if !collect(self) {
                self.state().closed = true;
            }
            return Added::Singly;
        }
        let singly = state.singly;
        let statement = match state.statements.iter().position(|statement| statement.is_of(run)) {
            Some(place) => &mut state.statements[place],
            None if state.statements.len() >= STATEMENTS_MAX => return Added::Singly,
            None => {
                state.numbers += 1;
                let new = Statement::new(state.numbers, run);
                state.statements.push(new);
                let last = state.statements.len() - 1;
                &mut state.statements[last]
            }
        };
        let slow = statement.is_slow(run.total);
        statement.note(run.total);
        let first = statement.singly < singly;
        // What models learn from is timed.
        if first && !run.is_untimed() {
            statement.singly += 1;
            return Added::Singly;
        }
        statement.add(run, slow, whole);
        if first { Added::BeforeSingle } else { Added::Summed(statement.number) }
    }

    /// Adds up one more run of the statement with this number, from little more than its numbers. `false`: nothing was done, and it is to
    /// be [added](Self::add) as any run.
    pub fn repeat(&self, statement: u64, run: &RepeatedRun) -> bool {
        if !run.is_ordinary() {
            return false;
        }
        let mut state = self.state();
        let State { statements, singly, .. } = &mut *state;
        let known = statements.iter_mut().find(|one| one.number == statement);
        known.is_some_and(|known| known.singly >= *singly && known.repeat(run))
    }

    /// Hands over what was added up, and forgets statements that did not come since the last time. `singly`: runs of each statement
    /// that are recorded singly from now on until the next time.
    pub fn take(&self, taken: &mut Vec<StatementRecord>, singly: u32) {
        let mut state = self.state();
        state.singly = singly;
        state.statements.retain_mut(|statement| {
            let (record, came) = statement.take();
            taken.extend(record);
            came
        });
    }

    /// Hands over for the last time: from now on every run is recorded singly.
    pub fn close(&self, taken: &mut Vec<StatementRecord>) {
        let mut state = self.state();
        state.closed = true;
        taken.extend(std::mem::take(&mut state.statements).iter_mut().filter_map(|statement| statement.take().0));
    }
}

#[cfg(test)]
mod tests;
