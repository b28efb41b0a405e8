//! Tests of the limit on rows.

use super::*;
use crate::engine::EngineOptions;
use crate::testing::{Yard, options};
use querygate_types::ErrorCode;

#[test]
fn a_limit_is_the_last_number_of_rows_that_is_given() {
    assert!(exceeded(None, u64::MAX).is_none(), "no limit");
    assert!(exceeded(Some(2), 2).is_none());
    let error = exceeded(Some(2), 3).unwrap();
    assert_eq!((error.code(), error.detail()), (ErrorCode::ProgramLimitExceeded, Some("The limit is 2 rows.")));
    assert!(exceeded(Some(0), 1).is_some() && exceeded(Some(0), 0).is_none());
}

/// Every way in which rows leave is counted: queries, cursors, COPY, RETURNING, EXECUTE, answers to questions.
#[test]
fn the_limit_holds_for_every_way_out() {
    let yard = Yard::with(EngineOptions { rows_max: Some(2), writes: true, ..options() });
    let owner = yard.owner();
    assert_eq!(owner.run("SELECT id FROM jobs ORDER BY id LIMIT 2"), "j1; j2");
    for sql in [
        "SELECT id FROM jobs",
        "SELECT * FROM generate_series(1, 3)",
        "VALUES (1), (2), (3)",
        "TABLE jobs",
        "COPY jobs TO STDOUT",
        "PREPARE p AS SELECT id FROM jobs; EXECUTE p",
        "SELECT id FROM jobs UNION ALL SELECT id FROM notes",
    ] {
        assert_eq!(owner.code(sql), "54000", "{sql}");
    }
    // Rows that are only read are not those of a result.
    owner.says(&[("SELECT count(*) FROM jobs, notes", "9"), ("UPDATE jobs SET title = 'x'", "UPDATE 3")]);
}
