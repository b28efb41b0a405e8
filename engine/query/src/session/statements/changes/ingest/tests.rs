//! Tests of rows that come while they are stored (COPY … FROM STDIN): all of them or none, judged as rows of an INSERT are.

use crate::testing::{Seat, Yard, on_runtime};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use futures::StreamExt;
use querygate_query_api::service::Prepared;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let named = columns.into_iter().enumerate().map(|(at, column)| (format!("c{at}"), column));
    RecordBatch::try_from_iter_with_nullable(named.map(|(name, column)| (name, column, true))).unwrap()
}

fn ingest(seat: &Seat, prepared: &Arc<dyn Prepared>, batches: Vec<Result<RecordBatch>>) -> Result<u64> {
    let (session, prepared) = (Arc::clone(&seat.session), Arc::clone(prepared));
    on_runtime(async move { session.ingest(&prepared, futures::stream::iter(batches).boxed()).await })
}

fn columns_of(prepared: &Arc<dyn Prepared>) -> Vec<String> {
    prepared.ingested().unwrap().iter().map(|column| format!("{}:{}", column.name, column.pg_type.name())).collect()
}

/// The columns that a client is to send: those it names, or all that take values.
#[test]
fn a_copy_is_described_by_its_columns() {
    let yard = Yard::new();
    let owner = yard.owner();
    let all = owner.prepare("COPY notes FROM STDIN").unwrap();
    assert_eq!(columns_of(&all), ["id:text", "job:text", "words:text"]);
    let some = owner.prepare("COPY jobs (id, title, hours, due) FROM STDIN WITH (FORMAT csv)").unwrap();
    assert_eq!(columns_of(&some), ["id:text", "title:text", "hours:float8", "due:date"]);
    let numbered = owner.prepare("COPY tokens FROM STDIN").unwrap();
    assert_eq!(columns_of(&numbered), ["id:text", "words:text"], "a number is given by the gate");
    for (sql, code) in [
        ("COPY notes (nothing) FROM STDIN", "42703"),
        ("COPY nothing FROM STDIN", "42P01"),
        ("COPY notes (id, id) FROM STDIN", "42701"),
        ("COPY tokens (id, number) FROM STDIN", "428C9"),
        ("COPY notes (id) FROM STDIN WITH (FORMAT csv, FORCE_NULL (words))", "42P10"),
    ] {
        assert_eq!(owner.prepare(sql).map(drop).unwrap_err().code().sqlstate(), code, "{sql}");
    }
    assert_eq!(yard.reader().prepare("COPY notes FROM STDIN").map(drop).unwrap_err().code().sqlstate(), "42501");
}

#[test]
fn rows_are_stored_batch_by_batch() {
    let yard = Yard::new();
    let owner = yard.owner();
    let copy = owner.prepare("COPY notes (id, words) FROM STDIN").unwrap();
    let rows =
        vec![Ok(batch(vec![texts(&["a", "b"]), texts(&["x", "y"])])), Ok(batch(vec![texts(&["c"]), texts(&["z"])]))];
    assert_eq!(ingest(&owner, &copy, rows).unwrap(), 3);
    assert_eq!(yard.stored("id, words", "FROM yard_notes WHERE id < 'n' ORDER BY id"), ["a|x", "b|y", "c|z"]);
    assert_eq!(ingest(&owner, &copy, Vec::new()).unwrap(), 0, "no rows are no error");
}

/// An error in the place of rows, in a row, or in its policy leaves nothing of the statement.
#[test]
fn what_is_wrong_with_one_row_stores_none() {
    let yard = Yard::new();
    let (owner, clerk, before) = (yard.owner(), yard.clerk(), yard.all());
    let jobs = "COPY jobs (id, title, region, hours) FROM STDIN";
    let row = |id: &str, title: &str, region: &str, hours: f64| {
        Ok(batch(vec![texts(&[id]), texts(&[title]), texts(&[region]), Arc::new(Float64Array::from(vec![hours]))]))
    };
    let failed = || Err(Error::new(ErrorCode::BadCopyFormat, "a line"));
    for (seat, rows, code) in [
        (&owner, vec![row("a", "x", "eu", 1.0), failed()], "22P04"),
        (&owner, vec![row("a", "x", "eu", 1.0), row("j1", "x", "eu", 1.0)], "23505"),
        (&owner, vec![row("a", "x", "eu", 1.0), row("b", "x", "eu", 1000.0)], "23514"),
        (&owner, vec![row("a", "x", "eu", 1.0), row("b", "x", "eu", 13.0)], "23514"),
        (&owner, vec![row("a", "", "eu", 1.0)], "23502"),
        (&clerk, vec![row("a", "x", "eu", 1.0), row("b", "x", "us", 1.0)], "42501"),
        (&owner, vec![Ok(batch(vec![texts(&["a"])]))], "XX000"),
    ] {
        let copy = seat.prepare(jobs).unwrap();
        assert_eq!(ingest(seat, &copy, rows).unwrap_err().code().sqlstate(), code);
        assert_eq!(yard.all(), before, "{code}");
    }
}

/// References of all rows are looked for, and the first row that is wrong is named.
#[test]
fn a_lost_reference_is_named_by_its_row() {
    let yard = Yard::new();
    let (clerk, before) = (yard.clerk(), yard.all());
    let copy = clerk.prepare("COPY notes (id, job) FROM STDIN").unwrap();
    let rows = || vec![Ok(batch(vec![texts(&["a", "b", "c", "d"]), texts(&["j1", "j3", "j2", "none"])]))];
    let error = ingest(&clerk, &copy, rows()).unwrap_err();
    assert_eq!(error.code().sqlstate(), "23503", "a job of another region is not there for the clerk");
    assert_eq!(yard.all(), before);
    let owner = yard.owner();
    let copy = owner.prepare("COPY notes (id, job) FROM STDIN").unwrap();
    assert_eq!(ingest(&owner, &copy, rows()).unwrap_err().code().sqlstate(), "23503");
    assert_eq!(yard.all(), before);
}

/// In a transaction the rows are stored with it.
#[test]
fn rows_are_part_of_a_transaction() {
    let yard = Yard::new();
    let (owner, before) = (yard.owner(), yard.all());
    let copy = owner.prepare("COPY notes (id) FROM STDIN").unwrap();
    assert_eq!(owner.run("BEGIN"), "BEGIN");
    assert_eq!(ingest(&owner, &copy, vec![Ok(batch(vec![texts(&["a"])]))]).unwrap(), 1);
    assert_eq!(yard.all(), before);
    owner.says(&[("SELECT count(*) FROM notes", "4"), ("ROLLBACK", "ROLLBACK"), ("SELECT count(*) FROM notes", "3")]);
    owner.run("BEGIN READ ONLY");
    assert_eq!(ingest(&owner, &copy, vec![Ok(batch(vec![texts(&["a"])]))]).unwrap_err().code().sqlstate(), "25006");
}
