//! Tests of many sets of values: one change of all of them, or none of them.

use super::*;
use crate::sql::parse::parse;
use crate::testing::{Yard, on_runtime};
use arrow::array::{Float64Array, Int64Array, StringArray};

/// Only a bare `VALUES` of one row of parameters takes sets as they are.
#[test]
fn cells_are_those_of_a_row_of_parameters() {
    let cells = |sql: &str| {
        let parsed = parse(sql).unwrap();
        match parsed[0].class() {
            crate::sql::classify::Classified::Write(ast) => cells(ast),
            other => panic!("{sql}: {other:?}"),
        }
    };
    assert_eq!(cells("INSERT INTO t (a, b) VALUES ($1, $2)"), Some(vec![0, 1]));
    assert_eq!(cells("INSERT INTO t (a, b) VALUES ($2, $2)"), Some(vec![1, 1]));
    for sql in [
        "INSERT INTO t (a, b) VALUES ($1, 1)",
        "INSERT INTO t (a) VALUES ($1), ($2)",
        "INSERT INTO t (a) VALUES ($1::int)",
        "INSERT INTO t (a) VALUES (DEFAULT)",
        "INSERT INTO t (a) SELECT $1",
        "INSERT INTO t (a) VALUES ($1) ORDER BY 1",
        "INSERT INTO t DEFAULT VALUES",
        "UPDATE t SET a = $1",
        "DELETE FROM t WHERE a = $1",
    ] {
        assert_eq!(cells(sql), None, "{sql}");
    }
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn run_sets(seat: &crate::testing::Seat, sql: &str, sets: Vec<ArrayRef>) -> Result<Option<u64>> {
    let prepared = seat.prepare(sql)?;
    let session = Arc::clone(&seat.session);
    on_runtime(async move { session.run_sets(&prepared, &sets).await })
}

#[test]
fn all_sets_are_stored_or_none() {
    let yard = Yard::new();
    let owner = yard.owner();
    let insert = "INSERT INTO notes (id, words) VALUES ($1, $2)";
    assert_eq!(run_sets(&owner, insert, vec![texts(&["a", "b", "c"]), texts(&["x", "y", "z"])]).unwrap(), Some(3));
    let before = yard.all();
    let error = run_sets(&owner, insert, vec![texts(&["d", "e", "n1"]), texts(&["x", "y", "z"])]).unwrap_err();
    assert_eq!(error.code().sqlstate(), "23505");
    assert_eq!(yard.all(), before);
    let jobs = "INSERT INTO jobs (id, title, hours) VALUES ($1, $2, $3)";
    let hours = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let error =
        run_sets(&owner, jobs, vec![texts(&["d", "e"]), texts(&["x", "y"]), hours(vec![1.0, 1000.0])]).unwrap_err();
    assert_eq!(error.code().sqlstate(), "23514", "a contract of a field");
    assert_eq!(yard.all(), before);
}

/// Values that must be cast, and statements that are more than an insert, are run set by set.
#[test]
fn what_is_no_plain_insert_is_run_set_by_set() {
    let yard = Yard::new();
    let (owner, before) = (yard.owner(), yard.all());
    let numbers = || Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef;
    for (sql, sets) in [
        (
            "INSERT INTO jobs (id, title, hours) VALUES ($1, $2, $3)",
            vec![texts(&["a", "b"]), texts(&["x", "y"]), numbers()],
        ),
        ("INSERT INTO notes (id) VALUES ($1) ON CONFLICT DO NOTHING", vec![texts(&["a", "b"])]),
        ("UPDATE notes SET words = $1", vec![texts(&["a", "b"])]),
    ] {
        assert_eq!(run_sets(&owner, sql, sets).unwrap(), None, "{sql}");
        assert_eq!(yard.all(), before, "{sql}");
    }
}

/// Sets are judged by the policies that judge any new row.
#[test]
fn sets_are_governed() {
    let yard = Yard::new();
    let before = yard.all();
    let insert = "INSERT INTO jobs (id, title, region) VALUES ($1, $2, $3)";
    let sets = |region: &str| vec![texts(&["a", "b"]), texts(&["x", "y"]), texts(&["eu", region])];
    assert_eq!(run_sets(&yard.clerk(), insert, sets("us")).unwrap_err().code().sqlstate(), "42501");
    assert_eq!(yard.all(), before);
    assert_eq!(run_sets(&yard.clerk(), insert, sets("eu")).unwrap(), Some(2));
    let notes = "INSERT INTO notes (id, job) VALUES ($1, $2)";
    let error = run_sets(&yard.clerk(), notes, vec![texts(&["p", "q"]), texts(&["j1", "j2"])]).unwrap_err();
    assert_eq!(error.code().sqlstate(), "23503", "a hidden job is not there");
}
