//! The tables of joins across sources hold what their bench says of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use querygate_bench::choices::{Case, RATIOS, digest, reader, schema};
use std::collections::HashSet;

fn column(table: &'static str, rows: i64, name: &str) -> Vec<i64> {
    let batches: Vec<RecordBatch> = reader(table, rows).map(std::result::Result::unwrap).collect();
    let place = schema(table).index_of(name).unwrap();
    batches.iter().flat_map(|batch| batch.column(place).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[test]
fn as_many_rows_meet_as_is_said() {
    let rows = 100_000;
    let places = column("keys", rows, "place");
    assert_eq!(places.iter().collect::<HashSet<_>>().len(), 10_000);
    for ratio in RATIOS {
        let few = rows / ratio;
        let spread = column("keys", rows, "spread").into_iter().zip(&places);
        let spread: HashSet<i64> = spread.filter(|(_, place)| **place < few).map(|(spread, _)| spread).collect();
        let met = |name: &str, meets: &dyn Fn(&i64) -> bool| {
            column("facts", rows, name).iter().filter(|value| meets(value)).count()
        };
        assert_eq!(met("spread", &|value| spread.contains(value)), usize::try_from(few).unwrap(), "{ratio}");
        assert_eq!(met(&format!("of_{ratio}"), &|value| *value < few), 100_000, "{ratio}");
        assert!(met("skewed", &|value| *value < few) >= 50_000, "{ratio}");
    }
}

#[test]
fn each_case_has_a_statement_of_its_own_and_a_digest_forgets_the_order_alone() {
    let statements: HashSet<(String, String)> = Case::all().map(|case| (case.to_string(), case.sql(100_000))).collect();
    assert_eq!(statements.len(), 48);
    let batch = reader("keys", 100_000).next().unwrap().unwrap();
    let whole = digest(&batch).unwrap();
    let (first, rest) = (batch.slice(0, 10), batch.slice(10, batch.num_rows() - 10));
    assert_eq!(digest(&rest).unwrap().wrapping_add(digest(&first).unwrap()), whole);
    assert_ne!(digest(&rest).unwrap(), whole);
}
