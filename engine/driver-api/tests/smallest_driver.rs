//! The example driver under the conformance suite, so that what it shows is true.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests panic")]

#[path = "../examples/smallest_driver.rs"]
mod example;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use example::SmallestDriver;
use querygate_driver_api::testkit::dataset::{Limits, Table, tables};
use querygate_driver_api::testkit::{lifecycle, suite};
use querygate_driver_api::value::ValueType;
use std::sync::Arc;

const LIMITS: Limits = Limits { timestamp_step: 1, nan: true, infinite: true };

fn driver() -> SmallestDriver {
    let rows = |table: &Table| {
        let field = |(name, value_type): &(&str, ValueType)| Field::new(*name, value_type.to_arrow(), true);
        let schema = Schema::new(table.columns.iter().map(field).collect::<Vec<_>>());
        let empty = || RecordBatch::new_empty(Arc::new(schema));
        if table.rows.is_empty() { empty() } else { table.batch().unwrap() }
    };
    SmallestDriver::new(tables(LIMITS).iter().map(|table| (table.name.to_owned(), rows(table))).collect())
}

#[tokio::test]
async fn what_it_takes_it_answers_as_the_reference_does() {
    let report = suite::run(&driver(), &[], LIMITS).await.unwrap();
    let refused: usize = report.refused.values().sum();
    eprintln!("equal {}, refused {refused}", report.equal);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.equal > 50, "{}", report.equal);
}

#[tokio::test]
async fn its_runs_end_as_those_of_any_driver() {
    assert_eq!(lifecycle::run(&driver(), &[]).await.unwrap(), Vec::<String>::new());
}
