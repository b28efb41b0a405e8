//! Tests of what learning gets of a statement that a session runs again and again.

use super::*;
use crate::engine::EngineOptions;
use crate::testing::{Yard, on_runtime, options};
use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use querygate_query_api::column::arrow_type_of;
use querygate_query_api::service::Delivery;
use std::sync::atomic::{AtomicBool, Ordering};

const LOOK_UP: &str = "SELECT title FROM jobs WHERE id = $1";

/// Keeps what it gets.
#[derive(Debug, Default)]
struct Listener {
    is_calm: AtomicBool,
    records: Mutex<Vec<StatementRecord>>,
    sessions: Mutex<Vec<Arc<RunAccumulator>>>,
}

impl Telemetry for Listener {
    fn record(&self, record: StatementRecord) {
        self.records.lock().unwrap().push(record);
    }

    fn is_pressed(&self) -> bool {
        !self.is_calm.load(Ordering::Relaxed)
    }

    fn collect(&self, runs: &Arc<RunAccumulator>) -> bool {
        self.sessions.lock().unwrap().push(Arc::clone(runs));
        true
    }
}

impl Listener {
    /// What was recorded singly since the last call.
    fn singly(&self) -> Vec<StatementRecord> {
        std::mem::take(&mut *self.records.lock().unwrap())
    }

    /// What sessions added up since the last call.
    fn summed(&self) -> Vec<StatementRecord> {
        let mut taken = Vec::new();
        self.sessions.lock().unwrap().iter().for_each(|session| session.take(&mut taken, 0));
        taken
    }
}

fn yard() -> (Arc<Listener>, Yard) {
    let listener = Arc::new(Listener::default());
    let telemetry = Some(Arc::clone(&listener) as Arc<dyn Telemetry>);
    (listener, Yard::with(EngineOptions { telemetry, ..options() }))
}

/// Whether the one fragment of a run was not timed: one that was has waited for its source, however shortly.
fn is_untimed(record: &StatementRecord) -> bool {
    matches!(&record.fragments[..], [fragment] if fragment.acquire.is_zero())
}

#[test]
fn every_run_is_counted_whether_its_fragment_is_timed_or_not() {
    let (listener, yard) = yard();
    yard.store("UPDATE yard_jobs SET title = hex(zeroblob(40000)) WHERE id = 'j2'");
    let seat = yard.owner();
    let prepared = seat.prepare(LOOK_UP).unwrap();
    for _ in 0..10 {
        for n in 0..40 {
            let (id, title) = if n % 2 == 0 { ("j1", "roof") } else { ("j3", "door") };
            assert_eq!(seat.execute(&prepared, &[Some(id)]), title);
        }
        assert_eq!(seat.execute(&prepared, &[Some("j2")]).len(), 80_000);
    }
    let (singly, summed) = (listener.singly(), listener.summed());
    let (mut runs, mut rows, mut of_fragments) = (0, 0, 0);
    // What goes on is recorded before its end, too.
    let singly: Vec<StatementRecord> = singly.into_iter().filter(|record| !record.under_way).collect();
    for record in singly.iter().chain(&summed) {
        let (more_rows, more_of_fragments) =
            record.more.as_ref().map_or((0, 0), |more| (more.rows, more.fragment.rows));
        runs += record.runs();
        rows += record.rows + more_rows;
        of_fragments += record.fragments.iter().map(|fragment| fragment.rows).sum::<u64>() + more_of_fragments;
    }
    assert_eq!((runs, rows, of_fragments), (410, 410, 410));
    let [sum] = &summed[..] else { panic!("{summed:?}") };
    let more = sum.more.as_ref().unwrap();
    assert!(more.runs > 50, "{singly:?}");
    assert_eq!(more.fragment.bytes, more.bytes);
    for times in [&more.fragment.total, &more.fragment.worked] {
        assert_eq!(times.each().map(|(_, runs)| runs).sum::<u64>(), more.runs, "each has a time");
    }
    // What is out of the ordinary is a record with its fragment, timed or not.
    let large: Vec<&StatementRecord> = singly.iter().filter(|record| record.bytes >= 80_000).collect();
    assert_eq!(large.len(), 10);
    for record in &large {
        let [fragment] = &record.fragments[..] else { panic!("{record:?}") };
        let known = (fragment.rows, fragment.bytes, fragment.complete);
        assert_eq!(known, (1, record.bytes, !is_untimed(record)), "what was not timed is nothing to learn from");
        assert!(fragment.total <= record.total && fragment.began >= record.started);
    }
    assert!(large.iter().any(|record| is_untimed(record)), "{large:?}");
}

#[test]
fn a_run_that_is_not_read_to_its_end_is_told_by_itself() {
    let (listener, yard) = yard();
    let seat = yard.owner();
    let prepared = seat.prepare(LOOK_UP).unwrap();
    for _ in 0..6 {
        assert_eq!(seat.execute(&prepared, &[Some("j1")]), "roof");
    }
    let _ = listener.singly();
    let to = arrow_type_of(prepared.parameter_types()[0]).unwrap();
    let given: Vec<ArrayRef> = vec![cast(&StringArray::from(vec!["j1"]), &to).unwrap()];
    let session = Arc::clone(&seat.session);
    on_runtime(async move { drop(session.run(&prepared, &given, Delivery::Batches).await.unwrap()) });
    let singly = listener.singly();
    let left = singly.iter().find(|record| record.rows == 0).unwrap();
    let [fragment] = &left.fragments[..] else { panic!("{left:?}") };
    assert!(left.error.is_none() && !fragment.complete, "{left:?}");
}

#[test]
fn where_little_comes_each_run_is_timed() {
    let (listener, yard) = yard();
    let seat = yard.owner();
    let prepared = seat.prepare(LOOK_UP).unwrap();
    for _ in 0..6 {
        assert_eq!(seat.execute(&prepared, &[Some("j1")]), "roof");
    }
    let _ = listener.singly();
    listener.is_calm.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(seat.execute(&prepared, &[Some("j1")]), "roof");
    }
    let singly = listener.singly();
    assert_eq!(singly.len(), 20);
    // The first of them began before it was known.
    assert!(singly[1..].iter().all(|record| record.fragments.len() == 1 && !is_untimed(record)), "{singly:?}");
}

/// The rows that a change finds are not those that it gives, so that no run may count the ones for the others.
#[test]
fn changes_are_measured_in_each_run() {
    let listener = Arc::new(Listener::default());
    let telemetry = Some(Arc::clone(&listener) as Arc<dyn Telemetry>);
    let yard = Yard::with(EngineOptions { telemetry, writes: true, ..options() });
    let seat = yard.owner();
    // No key: its row is found by a fragment.
    let prepared = seat.prepare("UPDATE jobs SET code = $1 WHERE title = 'roof'").unwrap();
    for n in 0..80 {
        assert_eq!(seat.execute(&prepared, &[Some(&format!("c{n}"))]), "UPDATE 1");
    }
    let (singly, summed) = (listener.singly(), listener.summed());
    let records: Vec<&StatementRecord> = singly.iter().chain(&summed).collect();
    let sum = |of: fn(&StatementRecord) -> u64| records.iter().map(|record| of(record)).sum::<u64>();
    assert_eq!((sum(StatementRecord::runs), sum(changed), sum(found)), (80, 80, 80), "{records:?}");
    let fragments: Vec<_> = records.iter().flat_map(|record| &record.fragments).collect();
    assert!(!fragments.is_empty() && fragments.iter().all(|fragment| fragment.complete), "{fragments:?}");
}

fn changed(record: &StatementRecord) -> u64 {
    record.changed.rows + record.more.as_ref().map_or(0, |more| more.changed)
}

/// Rows that its fragments delivered.
fn found(record: &StatementRecord) -> u64 {
    let own: u64 = record.fragments.iter().map(|fragment| fragment.rows).sum();
    own + record.more.as_ref().map_or(0, |more| more.fragment.rows)
}
