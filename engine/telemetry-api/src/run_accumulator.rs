//! Runs of cheap statements, added up where they end: where tens of thousands come in a second, a record of each would cost a good
//! part of what the statement itself does. Knows neither who asks for the sums nor what they are for.

use crate::fragment::FragmentTemplate;
use crate::record::StatementRecord;
use crate::run_sums::{EndedRun, RunSums};
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
}

impl Statement {
    fn new(run: &EndedRun<'_>) -> Self {
        Self {
            fingerprint: run.fingerprint,
            application: Arc::clone(run.application),
            objects: Arc::clone(run.objects),
            fragment: run.fragments.first().map(|fragment| Arc::clone(&fragment.template)),
            singly: 0,
            usual: (0, 0),
            record: None,
            more: RunSums::default(),
        }
    }

    fn is_of(&self, run: &EndedRun<'_>) -> bool {
        let fragment = match (&self.fragment, run.fragments.first()) {
            (None, None) => true,
            (Some(known), Some(one)) => {
                Arc::ptr_eq(known, &one.template) || known.fingerprint == one.template.fingerprint
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.fingerprint == run.fingerprint
            && fragment
            && (Arc::ptr_eq(&self.application, run.application) || self.application == *run.application)
            && (Arc::ptr_eq(&self.objects, run.objects) || self.objects == *run.objects)
    }

    /// Whether a run takes far longer than usual. It is part of what is usual from now on.
    fn is_slow(&mut self, total: Duration) -> bool {
        let nanos = u64::from(total.subsec_nanos());
        let (sum, runs) = &mut self.usual;
        let slow = *runs > 0 && nanos.saturating_mul(*runs) > sum.saturating_mul(SLOW);
        (*sum, *runs) = (sum.saturating_add(nanos), *runs + 1);
        slow
    }

    fn add(&mut self, run: &EndedRun<'_>, slow: bool, whole: impl FnOnce() -> StatementRecord) {
        match &mut self.record {
            None => self.record = Some(Box::new(whole())),
            Some(record) if slow && run.total > record.total => {
                self.more.add(&EndedRun::of(record));
                **record = whole();
            }
            Some(_) => self.more.add(run),
        }
    }

    /// What was added up, and whether anything came at all since the last time.
    fn take(&mut self) -> (Option<StatementRecord>, bool) {
        let more = std::mem::take(&mut self.more);
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

    /// Adds a run up. `false`: it is to be recorded singly, as the first runs of a statement between two collections may be, and
    /// whatever is out of the ordinary. `whole`: its record, asked for once or a few times between two collections.
    pub fn add(
        self: &Arc<Self>,
        run: &EndedRun<'_>,
        collect: impl FnOnce(&Arc<Self>) -> bool,
        whole: impl FnOnce() -> StatementRecord,
    ) -> bool {
        if !run.is_ordinary() {
            return false;
        }
        let mut state = self.state();
        if state.closed {
            return false;
        }
        if !state.followed {
            state.followed = true;
            // Who collects has a lock of its own.
            drop(state);
            if !collect(self) {
                self.state().closed = true;
            }
            return false;
        }
        let singly = state.singly;
        let statement = match state.statements.iter().position(|statement| statement.is_of(run)) {
            Some(place) => &mut state.statements[place],
            None if state.statements.len() >= STATEMENTS_MAX => return false,
            None => {
                state.statements.push(Statement::new(run));
                let last = state.statements.len() - 1;
                &mut state.statements[last]
            }
        };
        let slow = statement.is_slow(run.total);
        let first = statement.singly < singly;
        if first {
            statement.singly += 1;
        } else {
            statement.add(run, slow, whole);
        }
        !first
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
mod tests {
    use super::*;
    use crate::advice::{Choice, Stage};
    use crate::fragment::{FileReads, FragmentRecord, FragmentShape};
    use crate::run_sums::ROWS_MAX;
    use crate::{ChangedRows, Telemetry};
    use querygate_query_api::service::Door;
    use querygate_types::ErrorCode;
    use std::time::UNIX_EPOCH;

    #[derive(Debug, Default)]
    struct Collector {
        followed: Mutex<Vec<Arc<RunAccumulator>>>,
        full: bool,
    }

    impl Telemetry for Collector {
        fn record(&self, _record: StatementRecord) {}

        fn is_pressed(&self) -> bool {
            true
        }

        fn collect(&self, accumulator: &Arc<RunAccumulator>) -> bool {
            self.followed.lock().unwrap().push(Arc::clone(accumulator));
            !self.full
        }
    }

    fn record(fingerprint: u64) -> StatementRecord {
        let template = FragmentTemplate {
            source: "crm".into(),
            kind: "sqlite",
            objects: Arc::new([]),
            text: "SELECT 1".into(),
            fingerprint: fingerprint + 100,
            passing: Vec::new(),
            shape: FragmentShape::default(),
        };
        let fragment = FragmentRecord {
            template: Arc::new(template),
            began: UNIX_EPOCH,
            estimated_rows: None,
            rows: 2,
            bytes: 30,
            acquire: Duration::from_micros(1),
            first_row: None,
            total: Duration::from_micros(11),
            complete: true,
            narrowed: false,
            nulls: Vec::new(),
            columns: Box::default(),
            reads: None,
            error: None,
        };
        StatementRecord {
            id: 7,
            started: UNIX_EPOCH + Duration::from_secs(fingerprint),
            login: "sam".into(),
            door: Door::Postgres,
            application: "test".into(),
            template: "select ?".into(),
            fingerprint,
            objects: Arc::new(["t".to_owned()]),
            planning: Duration::from_micros(4),
            first_row: None,
            total: Duration::from_micros(40),
            rows: 1,
            changed: ChangedRows::default(),
            writes: Vec::new(),
            bytes: 500,
            error: None,
            cached: true,
            choice: None,
            fragments: vec![fragment],
            more: None,
            under_way: false,
            trace: None,
        }
    }

    fn add(accumulator: &Arc<RunAccumulator>, collector: &Collector, record: &StatementRecord) -> bool {
        accumulator.add(&EndedRun::of(record), |sums| collector.collect(sums), || record.clone())
    }

    fn taken(accumulator: &RunAccumulator) -> Vec<StatementRecord> {
        let mut taken = Vec::new();
        accumulator.take(&mut taken, 2);
        taken
    }

    #[test]
    fn what_comes_again_is_added_up_after_the_first_ones_and_nothing_is_lost() {
        let (accumulator, collector) = (Arc::new(RunAccumulator::default()), Collector::default());
        let one = record(1);
        for round in 0..3 {
            let by_themselves = (0..100).filter(|_| !add(&accumulator, &collector, &one)).count();
            // First it is not known yet that somebody collects, and how much.
            assert_eq!(by_themselves, if round == 0 { 1 } else { 2 });
            let taken = taken(&accumulator);
            let [taken] = &taken[..] else { panic!("{taken:?}") };
            let more = taken.more.as_deref().unwrap();
            assert_eq!(more.runs as usize + 1 + by_themselves, 100);
            assert_eq!((more.rows, more.bytes, more.cached), (more.runs, 500 * more.runs, more.runs));
            assert_eq!((more.read, more.read_most), (2 * more.runs, 2), "500 bytes are two rows");
            assert_eq!((more.fragment.rows, more.fragment.bytes), (2 * more.runs, 30 * more.runs));
            let times = [&more.planning, &more.total, &more.fragment.total, &more.fragment.worked];
            let runs = u32::try_from(more.runs).unwrap();
            assert_eq!(times.map(|times| times.sum() / runs), [4, 40, 11, 10].map(Duration::from_micros));
            assert!(times.iter().all(|times| times.each().map(|(_, n)| n).sum::<u64>() == more.runs));
            assert_eq!((taken.runs(), taken.last()), (more.runs + 1, one.started));
        }
        assert_eq!(collector.followed.lock().unwrap().len(), 1);
        // Nothing came since: nothing is handed over, and the statement is forgotten.
        assert!(taken(&accumulator).is_empty() && accumulator.state().statements.is_empty());
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_told_by_itself() {
        let (accumulator, collector) = (Arc::new(RunAccumulator::default()), Collector::default());
        let one = record(1);
        assert_eq!((0..10).filter(|_| add(&accumulator, &collector, &one)).count(), 9);
        assert_eq!(taken(&accumulator).len(), 1);
        assert_eq!([0; 4].map(|_| add(&accumulator, &collector, &one)), [false, false, true, true]);
        type Change = fn(&mut StatementRecord);
        let changes: [Change; 11] = [
            |r| r.error = Some(ErrorCode::SourceLost),
            |r| r.total = Duration::from_secs(1),
            |r| r.rows = ROWS_MAX + 1,
            |r| r.bytes = 200 * (ROWS_MAX + 1),
            |r| r.fragments.push(r.fragments[0].clone()),
            |r| r.fragments[0].complete = false,
            |r| r.fragments[0].narrowed = true,
            |r| r.fragments[0].nulls = vec![0],
            |r| r.fragments[0].reads = Some(FileReads::default()),
            |r| r.fragments[0].error = Some(ErrorCode::SourceLost),
            |r| {
                r.choice = Some(Choice { alternative: "fetch".into(), band: 1, stage: Stage::Trial });
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = one.clone();
            change(&mut other);
            assert!(!add(&accumulator, &collector, &other), "{number}");
        }
        // What differs in more than its numbers is another statement.
        let kinds: [Change; 5] = [
            |r| r.fingerprint = 2,
            |r| r.application = "other".into(),
            |r| r.objects = Arc::new(["u".to_owned()]),
            |r| r.fragments.clear(),
            |r| {
                let other = FragmentTemplate { fingerprint: 9, ..(*r.fragments[0].template).clone() };
                r.fragments[0].template = Arc::new(other);
            },
        ];
        for change in kinds {
            let mut other = one.clone();
            change(&mut other);
            assert_eq!([0; 4].map(|_| add(&accumulator, &collector, &other)), [false, false, true, true]);
        }
        assert_eq!(taken(&accumulator).len(), 6);
        // A statement that is sent as text each time is recognized again.
        let again = record(1);
        assert_eq!([0; 4].map(|_| add(&accumulator, &collector, &again)), [false, false, true, true]);
    }

    #[test]
    fn the_slowest_of_unusually_slow_runs_is_the_one_that_is_told() {
        let (accumulator, collector) = (Arc::new(RunAccumulator::default()), Collector::default());
        let one = record(1);
        assert!(!add(&accumulator, &collector, &one));
        for micros in [40, 50, 41, 400, 60, 1_000, 900, 40] {
            let total = Duration::from_micros(micros);
            assert!(add(&accumulator, &collector, &StatementRecord { total, ..one.clone() }));
        }
        let mut taken = taken(&accumulator);
        let mut record = taken.remove(0);
        assert_eq!((record.total, record.runs()), (Duration::from_millis(1), 8));
        let rest = Duration::from_micros(40 + 50 + 41 + 400 + 60 + 900 + 40);
        assert_eq!(record.more.as_ref().map(|more| more.total.sum()), Some(rest));
        // With what another session did: all of it, and the slower run.
        let other = StatementRecord { total: Duration::from_millis(2), ..one.clone() };
        record.join(other.clone());
        record.join(one);
        assert_eq!((record.total, record.runs()), (other.total, 10));
        let sum = record.more.as_ref().map(|more| (more.rows, more.total.sum()));
        assert_eq!(sum, Some((9, rest + Duration::from_micros(1_000 + 40))));
    }

    #[test]
    fn statements_are_bounded_and_after_the_end_each_run_is_told_by_itself() {
        let (accumulator, collector) = (Arc::new(RunAccumulator::default()), Collector::default());
        let all: Vec<StatementRecord> = (0..20).map(record).collect();
        for _ in 0..10 {
            all.iter().for_each(|one| {
                add(&accumulator, &collector, one);
            });
        }
        assert_eq!(accumulator.state().statements.len(), STATEMENTS_MAX);
        let mut taken = Vec::new();
        accumulator.close(&mut taken);
        assert_eq!(taken.len(), STATEMENTS_MAX);
        assert!((0..10).all(|_| !add(&accumulator, &collector, &all[0])));
        let (accumulator, collector) =
            (Arc::new(RunAccumulator::default()), Collector { full: true, ..Collector::default() });
        assert!((0..10).all(|_| !add(&accumulator, &collector, &all[0])), "nobody would collect");
    }
}
