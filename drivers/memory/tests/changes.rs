//! Tables in memory that can be changed, under the suites that every driver passes.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests panic")]

use querygate_driver_api::testkit::dataset::{Limits, Table, tables};
use querygate_driver_api::testkit::{changes, lifecycle, suite};
use querygate_memory::{ChangingMemory, MemoryColumn, MemoryTableSpec};
use std::sync::Arc;

const LIMITS: Limits = Limits { timestamp_step: 1, nan: true, infinite: true };

fn spec(table: &Table) -> MemoryTableSpec {
    let column = |(name, value_type): &(&str, _)| MemoryColumn { name: (*name).to_owned(), value_type: *value_type };
    MemoryTableSpec {
        name: table.name.to_owned(),
        columns: table.columns.iter().map(column).collect(),
        primary_key: vec!["id".to_owned()],
        unique: Vec::new(),
    }
}

fn driver() -> ChangingMemory {
    let memory = ChangingMemory::new(1 << 30);
    for table in tables(LIMITS) {
        let rows = || if table.rows.is_empty() { Ok(Vec::new()) } else { Ok(vec![table.batch()?]) };
        memory.put(&spec(&table), rows).unwrap();
    }
    memory
}

#[tokio::test]
async fn what_it_takes_it_answers_as_the_reference_does() {
    let report = suite::run(&driver(), &[], LIMITS).await.unwrap();
    let refused: usize = report.refused.values().sum();
    eprintln!("equal {}, refused {refused}", report.equal);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.equal > 4_000, "{}", report.equal);
}

#[tokio::test]
async fn its_runs_end_as_those_of_any_driver() {
    assert_eq!(lifecycle::run(&driver(), &[]).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let report = changes::run(Arc::new(driver()), &[], LIMITS).await.unwrap();
    eprintln!("stored {}, refused {:#?}", report.stored, report.refused);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.stored > 190, "only {} values were stored", report.stored);
}
