//! What runs that were added up teach, against the same runs told one by one.

use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store};
use crate::templates::Templates;
use crate::testing::{DAY, repeated, statement};
use crate::{Learning, LearningOptions};
use querygate_telemetry_api::system::{Cell, SystemExtension};
use querygate_telemetry_api::{RunAccumulator, StatementRecord, Telemetry};
use querygate_types::principal::Principal;
use std::sync::Arc;
use std::time::Duration;

/// So many runs of a template that differ in time, rows and bytes.
pub(crate) fn runs(count: u64) -> Vec<StatementRecord> {
    let one = |n: u64| {
        let mut record = statement("sam", 1, n % 5, DAY + i64::try_from(n / 100).unwrap());
        record.cached = n.is_multiple_of(2);
        record.bytes = 37 * (n % 23);
        record.planning = Duration::from_nanos(3_000 + n % 1_000);
        record.total = Duration::from_nanos(50_000 + 97 * (n % 500));
        record.fragments[0].total = record.total / 2;
        record.fragments[0].acquire = Duration::from_nanos(n % 3_000);
        record
    };
    (0..count).map(one).collect()
}

fn operator() -> Principal {
    Principal::builder("root").operator(true).build()
}

/// Equal, or numbers that are equal but for the width of a bucket.
fn close(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Float(one), Cell::Float(other)) => (one - other).abs() <= 0.04 * one.abs() + 1e-3,
        _ => one == other,
    }
}

#[tokio::test]
async fn templates_add_up_to_the_same() {
    let (store, now) = (Store::in_memory().await.unwrap(), Moment { seconds: DAY, running: Duration::from_secs(1) });
    let [each, summed] = [runs(5_000), repeated(&runs(5_000), Some(10))];
    assert!(summed.len() < 40, "{}", summed.len());
    let mut rows = Vec::new();
    for records in [each, summed] {
        let templates = Templates::default();
        templates.follow(&records, now, &store).await.unwrap();
        rows.push(templates.rows("templates", &operator()).unwrap().remove(0));
    }
    assert!(rows[0].iter().zip(&rows[1]).all(|(one, other)| close(one, other)), "{rows:?}");
    // Counts, rows, bytes and the sums of times are not only close.
    assert_eq!(rows[0][5..9], rows[1][5..9]);
    let (Cell::Float(one), Cell::Float(other)) = (&rows[0][9], &rows[1][9]) else { panic!("{rows:?}") };
    assert!((one - other).abs() < 5.1, "at most the part of a microsecond of each: {one}, {other}");
    assert_eq!(rows[0][15..], rows[1][15..], "cached, first and last seen");
}

/// A session's runs as they come, and its end before anybody collected.
#[test]
fn what_sessions_add_up_is_collected_and_survives_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = LearningOptions {
        batch_every: Duration::from_millis(200),
        ..LearningOptions::in_directory(folder.path().to_owned())
    };
    let learning = Learning::start(options, Vec::new()).unwrap();
    let records = runs(200);
    let mut told = 0_u64;
    let session = Arc::new(RunAccumulator::default());
    let tell = |session: &Arc<RunAccumulator>, told: &mut u64| {
        for record in &records {
            *told += 1;
            crate::testing::tell(learning.as_ref(), session, record);
        }
    };
    // Until so much has come that it is added up.
    while !learning.is_pressed() {
        tell(&session, &mut told);
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..20 {
        // Each of them is gone at once.
        let passing = Arc::new(RunAccumulator::default());
        (0..3).for_each(|_| tell(&passing, &mut told));
        tell(&session, &mut told);
    }
    learning.close();
    // Too late: counted as lost.
    let mut late = 0;
    tell(&session, &mut late);
    let telemetry = learning.rows("telemetry", &operator()).unwrap().remove(0);
    let count = |at: usize| if let Cell::Integer(count) = telemetry[at] { count.unsigned_abs() } else { 0 };
    let (taken, dropped, written, thinned) = (count(3), count(5), count(6), count(7));
    assert_eq!((taken + dropped, written + thinned), (told + late, taken), "{telemetry:?}");
    assert!(dropped >= late && thinned > told / 2, "{telemetry:?}");
    assert!((told / 2..taken).contains(&count(11)), "added up: {telemetry:?}");
    let templates = learning.extensions()[1].rows("templates", &operator()).unwrap();
    assert_eq!(templates[0][5], Cell::count(taken));
}
