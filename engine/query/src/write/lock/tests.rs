//! Tests of locked rows: a key stays what it is, one row changes once, and what was found is what is changed.

use crate::testing::{Yard, on_runtime};
use querygate_query_api::service::Delivery;
use std::sync::Arc;
use std::time::Duration;

/// A key may be given the value that it has; no other.
#[test]
fn a_key_stays_what_it_is() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("UPDATE notes SET id = 'n9' WHERE id = 'n1'", "0A000"),
            ("UPDATE notes SET id = id || 'x'", "0A000"),
            ("UPDATE notes SET id = NULL WHERE id = 'n1'", "0A000"),
            ("UPDATE notes SET words = 'x', id = 'n1'", "0A000"),
        ],
    );
    yard.owner().says(&[
        ("UPDATE notes SET id = id, words = 'same'", "UPDATE 3"),
        ("UPDATE notes SET id = 'n1' WHERE id = 'n1'", "UPDATE 1"),
    ]);
}

/// PostgreSQL, UPDATE with FROM: a target row that joins several rows is changed once.
#[test]
fn a_row_that_is_found_twice_changes_once() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("UPDATE jobs SET hours = coalesce(hours, 0) + 1 FROM steps s WHERE s.job = jobs.id", "UPDATE 2"),
        ("SELECT id, hours FROM jobs ORDER BY id", "j1|6.0; j2|4.0; j3|NULL"),
        ("DELETE FROM notes USING notes AS other", "DELETE 3"),
    ]);
}

/// Values are computed of the row as it is changed: what each session adds is there. The steps pass over the number that a rule refuses.
#[test]
fn concurrent_changes_of_one_row_follow_each_other() {
    let yard = Yard::new();
    let owner = yard.owner();
    owner.run("UPDATE jobs SET hours = 0 WHERE id = 'j1'");
    let seats: Vec<_> = (0..4).map(|_| yard.owner()).collect();
    std::thread::scope(|scope| {
        for seat in &seats {
            scope.spawn(|| {
                for _ in 0..5 {
                    let add = || seat.run("UPDATE jobs SET hours = hours + 5 WHERE id = 'j1'");
                    let answers: Vec<String> =
                        (0..100).map(|_| add()).take_while(|answer| answer != "UPDATE 1").collect();
                    assert!(answers.len() < 100, "{answers:?}");
                }
            });
        }
    });
    assert_eq!(yard.stored("hours", "FROM yard_jobs WHERE id = 'j1'"), ["100.0"]);
}

/// A change by its key and one by another condition find the same rows.
#[test]
fn a_key_finds_the_row_that_a_query_finds() {
    for condition in ["id = 'j1'", "id = 'j1' AND true", "id IN ('j1')", "id || '' = 'j1'", "code = 'k1'", "'j1' = id"]
    {
        let yard = Yard::new();
        let sql = format!("UPDATE jobs SET title = title || '!' WHERE {condition}");
        assert_eq!(yard.owner().run(&sql), "UPDATE 1", "{sql}");
        assert_eq!(yard.stored("id, title", "FROM yard_jobs ORDER BY id"), ["j1|roof!", "j2|wall", "j3|door"], "{sql}");
        let reader = yard.clerk();
        assert_eq!(reader.run(&sql.replace("j1", "j2").replace("k1", "k2")), "UPDATE 0", "{sql}");
    }
}

/// A caller that stops waiting for a change leaves all of it or nothing.
#[test]
fn a_change_that_is_not_waited_for_is_whole_or_not_there() {
    let yard = Yard::new();
    let owner = yard.owner();
    let prepared = owner.prepare("UPDATE jobs SET title = title || '!'").unwrap();
    for micros in [0, 100, 500, 1_000, 2_000, 5_000, 20_000] {
        let (session, prepared) = (Arc::clone(&owner.session), Arc::clone(&prepared));
        on_runtime(async move {
            let run = session.run(&prepared, &[], Delivery::Batches);
            drop(tokio::time::timeout(Duration::from_micros(micros), run).await);
        });
    }
    // A task that is on its way out ends before the next statement of its source.
    assert_eq!(owner.run("UPDATE jobs SET region = 'x'"), "UPDATE 3");
    let marks = yard.stored("length(title) - 4", "FROM yard_jobs");
    assert!(marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
}
