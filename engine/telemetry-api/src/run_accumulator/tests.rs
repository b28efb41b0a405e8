//! Tests of sums that sessions make.

use super::*;
use crate::advice::{Choice, Stage};
use crate::fragment::{FileReads, FragmentRecord, FragmentShape};
use crate::run_sums::ROWS_MAX;
use crate::{ChangedRows, Telemetry, Times};
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

/// Whether the run was added up.
fn add(accumulator: &Arc<RunAccumulator>, collector: &Collector, record: &StatementRecord) -> bool {
    Added::Singly != accumulator.add(&EndedRun::of(record), |sums| collector.collect(sums), || record.clone())
}

/// Adds a run up as one whose fragment was not timed.
fn add_untimed(accumulator: &Arc<RunAccumulator>, collector: &Collector, record: &StatementRecord) -> Added {
    let fragments = RanFragments::Untimed(&record.fragments[0].template);
    let run = EndedRun { fragments, ..EndedRun::of(record) };
    accumulator.add(&run, |sums| collector.collect(sums), || record.clone())
}

/// Adds it up as one more run of the statement that has this number.
fn repeat(accumulator: &RunAccumulator, number: u64, record: &StatementRecord) -> bool {
    let StatementRecord { started, planning, total, rows, bytes, cached, .. } = *record;
    accumulator.repeat(number, &RepeatedRun { started, planning, total, rows, bytes, cached })
}

/// Microseconds, with the number of runs that took each.
fn times(each: &[(u64, u32)]) -> Times {
    let mut times = Times::default();
    each.iter().for_each(|(micros, runs)| times.add_runs(Duration::from_micros(*micros), *runs));
    times
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
fn runs_that_were_not_timed_count_with_their_rows_and_with_the_times_of_those_that_were() {
    let (accumulator, collector) = (Arc::new(RunAccumulator::default()), Collector::default());
    let one = record(1);
    let timed = |micros| {
        let mut run = one.clone();
        run.fragments[0].total = Duration::from_micros(micros);
        run
    };
    assert!(!add(&accumulator, &collector, &one), "it is found out that somebody collects");
    assert!(add(&accumulator, &collector, &timed(11)), "the record");
    for (micros, untimed) in [(21, 3), (31, 2)] {
        for n in 0..untimed {
            let run = StatementRecord { rows: n, bytes: 100 * n, ..one.clone() };
            assert_eq!(add_untimed(&accumulator, &collector, &run), Added::Summed(1));
        }
        assert!(add(&accumulator, &collector, &timed(micros)));
    }
    assert_eq!(add_untimed(&accumulator, &collector, &one), Added::Summed(1));
    let mut first = taken(&accumulator);
    let more = first.remove(0).more.unwrap();
    assert_eq!((more.runs, more.total.sum(), more.planning.sum()), (8, 8 * one.total, 8 * one.planning));
    // Those that were timed gave 1 row of 500 bytes to the client, and 2 rows of 30 bytes of the fragment.
    assert_eq!((more.rows, more.bytes), (2 + 3 + 1 + 1, 500 * 2 + 300 + 100 + 500));
    assert_eq!((more.fragment.rows, more.fragment.bytes), (2 * 2 + 3 + 1 + 1, 30 * 2 + 300 + 100 + 500));
    assert_eq!(more.fragment.total, times(&[(21, 4), (31, 4)]), "the last one as the one before it");
    assert_eq!(more.fragment.worked, times(&[(20, 4), (30, 4)]));
    // Runs that are to be recorded singly must be timed.
    assert_eq!(add_untimed(&accumulator, &collector, &one), Added::BeforeSingle);
    assert_eq!([0; 3].map(|_| add(&accumulator, &collector, &timed(13))), [false, false, true]);
    assert_eq!(add_untimed(&accumulator, &collector, &one), Added::Summed(1));
    let record = taken(&accumulator).remove(0);
    assert_eq!(record.fragments[0].total, Duration::from_micros(13), "the record is of one that was timed");
    let more = record.more.unwrap();
    assert_eq!((more.runs, more.fragment.rows, more.fragment.total), (2, 2, times(&[(13, 2)])));
}

#[test]
fn what_was_not_timed_and_is_out_of_the_ordinary_is_told_by_itself() {
    let (accumulator, collector) = (Arc::new(RunAccumulator::default()), Collector::default());
    let one = record(1);
    assert!(!add(&accumulator, &collector, &one) && add(&accumulator, &collector, &one));
    for other in [
        StatementRecord { error: Some(ErrorCode::SourceLost), ..one.clone() },
        StatementRecord { total: Duration::from_secs(1), ..one.clone() },
        StatementRecord { rows: ROWS_MAX + 1, ..one.clone() },
    ] {
        assert_eq!(add_untimed(&accumulator, &collector, &other), Added::Singly);
    }
    // A statement whose sums were forgotten since is begun anew.
    accumulator.take(&mut Vec::new(), 0);
    accumulator.take(&mut Vec::new(), 0);
    assert_eq!([0; 3].map(|_| add_untimed(&accumulator, &collector, &one)), [Added::Summed(2); 3]);
    let record = taken(&accumulator).remove(0);
    assert_eq!((record.runs(), record.fragments.len()), (3, 1));
    assert_eq!(record.more.unwrap().fragment.total, times(&[]), "none was timed");
    accumulator.close(&mut Vec::new());
    assert_eq!(add_untimed(&accumulator, &collector, &one), Added::Singly);
}

#[test]
fn a_run_that_is_repeated_counts_as_one_that_is_added_or_is_left_to_that() {
    let [added, repeated] = [(); 2].map(|()| (Arc::new(RunAccumulator::default()), Collector::default()));
    let one = record(1);
    for (accumulator, collector) in [&added, &repeated] {
        assert!(!add(accumulator, collector, &one) && add(accumulator, collector, &one));
    }
    let others = (0..40_u64).map(|n| {
        let micros = Duration::from_micros(30 + n);
        StatementRecord { rows: n % 3, bytes: 90 * n, total: micros, started: one.started + micros, ..one.clone() }
    });
    for other in others {
        assert_eq!(add_untimed(&added.0, &added.1, &other), Added::Summed(1));
        assert!(repeat(&repeated.0, 1, &other));
    }
    let slow = StatementRecord { total: Duration::from_millis(1), ..one.clone() };
    let large = StatementRecord { rows: ROWS_MAX + 1, ..one.clone() };
    let long = StatementRecord { total: Duration::from_secs(1), ..one.clone() };
    for (other, number) in [(&slow, 1), (&large, 1), (&long, 1), (&one, 2)] {
        assert!(!repeat(&repeated.0, number, other), "{other:?}");
    }
    let sums = [added, repeated].map(|(accumulator, _)| (taken(&accumulator).remove(0).more, accumulator));
    assert_eq!(sums[0].0, sums[1].0);
    let [_, (_, accumulator)] = sums;
    assert!(!repeat(&accumulator, 1, &one), "it is to be recorded singly");
    accumulator.take(&mut Vec::new(), 0);
    assert!(!repeat(&accumulator, 1, &one), "it is forgotten");
    accumulator.close(&mut Vec::new());
    assert!(!repeat(&accumulator, 1, &one));
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
