//! What learning must survive as a whole: floods, and clocks that jump. Nothing is lost but what its bounds leave out, no plugin fails,
//! and what is shown stays numbers.

use crate::testing::{DAY, at, statement};
use crate::{Learning, LearningOptions};
use querygate_telemetry_api::advice::{Question, Variant};
use querygate_telemetry_api::system::{Cell, SystemExtension};
use querygate_telemetry_api::{StatementRecord, Telemetry};
use querygate_types::principal::Principal;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Rails {
    learning: Arc<Learning>,
    _folder: tempfile::TempDir,
}

impl Rails {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = LearningOptions {
            batch_every: Duration::from_millis(50),
            ..LearningOptions::in_directory(folder.path().to_owned())
        };
        Self { learning: Learning::start(options, Vec::new()).unwrap(), _folder: folder }
    }

    fn all(&self, relation: &str) -> Vec<Vec<Cell>> {
        let root = Principal::builder("root").operator(true).build();
        let extensions = self.learning.extensions();
        let owner = extensions.iter().find(|e| e.relations().iter().any(|known| known.name == relation)).unwrap();
        owner.rows(relation, &root).unwrap()
    }

    /// A number of `querygate.telemetry`.
    fn number(&self, column: &str) -> i64 {
        let names = self.learning.relations()[0].columns;
        let place = names.iter().position(|(name, _)| *name == column).unwrap();
        match self.all("telemetry")[0][place] {
            Cell::Integer(number) => number,
            ref other => panic!("{other:?}"),
        }
    }

    /// Hands records over, not faster than they are taken.
    fn record(&self, records: impl Iterator<Item = StatementRecord>) {
        for (record, n) in records.zip(1_u32..) {
            self.learning.record(record);
            if n.is_multiple_of(4_000) {
                self.settle();
            }
        }
        self.settle();
    }

    fn settle(&self) {
        let began = Instant::now();
        while self.number("waiting") > 0 {
            assert!(began.elapsed() < Duration::from_secs(300), "the thread does not take records any more");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything is written, no plugin failed, and every number that is shown is one.
    fn sound(&self) {
        let began = Instant::now();
        // It waits for some seconds only; a slow machine may need more for the last batch.
        loop {
            let asked = Instant::now();
            self.learning.close();
            if asked.elapsed() < Duration::from_secs(4) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(300), "the thread does not end");
        }
        assert_eq!((self.number("errors"), self.number("failed_batches"), self.number("dropped")), (0, 0, 0));
        for relation in ["templates", "anomalies", "models", "plans", "plan_progress"] {
            for row in self.all(relation) {
                let numbers = row.iter().all(|cell| !matches!(cell, Cell::Float(number) if !number.is_finite()));
                assert!(numbers, "{relation}: {row:?}");
            }
        }
    }
}

#[test]
fn a_flood_of_templates_leaves_bounded_tables_and_the_usual_ones_in_them() {
    let rails = Rails::start();
    rails.record((0..400).map(|n| statement("sam", n % 4, 10, DAY)));
    rails.record((0..20_000).map(|n| statement("eve", 1_000 + n, 10, DAY + 60)));
    let advisor = rails.learning.advisor();
    for n in 0..10_000_u64 {
        let template: Arc<str> = format!("select {n}").into();
        let login = format!("user {}", n % 100);
        let variants = [Variant::OneStream];
        let question = Question { fingerprint: n, template: &template, login: &login, band: 3, variants: &variants };
        let _ = advisor.choose(&question);
    }
    rails.sound();
    let templates = rails.all("templates");
    assert!(templates.len() <= 5_000, "{}", templates.len());
    let usual = templates.iter().filter(|row| row.contains(&Cell::Integer(100))).count();
    assert_eq!(usual, 4, "what comes again stays");
    // A default and an alternative for each of at most 4,000 contests.
    assert!(rails.all("plans").len() <= 8_000, "{}", rails.all("plans").len());
}

#[test]
fn a_clock_that_jumps_loses_no_record_and_stops_nothing() {
    let rails = Rails::start();
    let centuries = [DAY, 0, DAY + 400 * 365 * 86_400, 1, DAY - 365 * 86_400, 253_402_300_799, DAY + 1];
    for seconds in centuries {
        let began = |n: u64| {
            let mut record = statement("sam", n % 2, 10, DAY);
            record.started = at(seconds);
            record
        };
        rails.record((0..50).map(began));
    }
    rails.sound();
    assert_eq!(rails.number("taken"), 350);
    let templates = rails.all("templates");
    assert_eq!(templates.iter().filter(|row| row.contains(&Cell::Integer(175))).count(), 2, "{templates:?}");
}

#[test]
fn numbers_that_are_made_to_poison_what_is_learnt_stay_numbers() {
    let rails = Rails::start();
    let absurd = |n: u64| {
        // A year is no time for a statement, nor is none; a source may expect any number of rows.
        let (rows, total) =
            if n.is_multiple_of(2) { (1 << 45, Duration::from_secs(31_536_000)) } else { (0, Duration::ZERO) };
        let mut record = statement("eve", n % 7, 10, DAY + i64::try_from(n).unwrap());
        (record.rows, record.bytes, record.total, record.planning) = (rows, rows * 32, total, total * 2);
        let fragment = &mut record.fragments[0];
        (fragment.rows, fragment.bytes, fragment.total, fragment.acquire) = (rows, rows * 32, total, total * 2);
        fragment.estimated_rows = Some([0, 1, u64::MAX][usize::try_from(n % 3).unwrap()]);
        record
    };
    rails.record((0..400).map(|n| statement("sam", 100 + n % 4, 10, DAY + i64::try_from(n).unwrap())));
    rails.record((0..2_000).map(absurd));
    rails.sound();
    let templates = rails.all("templates");
    assert_eq!(templates.iter().filter(|row| row.contains(&Cell::Integer(100))).count(), 4, "{templates:?}");
}
