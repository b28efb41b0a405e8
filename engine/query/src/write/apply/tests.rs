//! Tests of what is judged of changed rows: policies before and after, contracts of fields, rules, keys that only the gate keeps.

use crate::testing::Yard;

/// `using` bounds the rows that are changed, `check` those that are left (PostgreSQL, CREATE POLICY): rows outside of `using` are passed
/// over without a word, rows outside of `check` are an error.
#[test]
fn policies_judge_rows_before_and_after() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    clerk.says(&[
        ("UPDATE jobs SET title = 'mine'", "UPDATE 2"),
        ("UPDATE jobs SET title = 'x' WHERE id = 'j2'", "UPDATE 0"),
        ("DELETE FROM jobs WHERE region = 'us'", "DELETE 0"),
    ]);
    let text = "42501 new row violates row-level security policy for table \"jobs\"";
    let refused = [
        "UPDATE jobs SET region = 'us' WHERE id = 'j1'",
        "UPDATE jobs SET region = NULL WHERE id = 'j1'",
        "INSERT INTO jobs (id, title, region) VALUES ('x', 'y', 'us')",
        "INSERT INTO jobs (id, title) VALUES ('x', 'y')",
        "INSERT INTO jobs (id, title, region) VALUES ('x', 'y', 'eu'), ('z', 'y', 'us')",
    ];
    let before = yard.all();
    for sql in refused {
        assert_eq!(clerk.run(sql), text, "{sql}");
        assert_eq!(yard.all(), before, "{sql}");
    }
}

/// ObjectStack's contracts of fields (reference, section 9): required, lengths, bounds, options.
#[test]
fn contracts_of_fields_hold() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("INSERT INTO jobs (id) VALUES ('x')", "23502"),
            ("UPDATE jobs SET title = NULL WHERE id = 'j1'", "23502"),
            ("UPDATE jobs SET title = ''", "23502"),
            ("UPDATE jobs SET title = 'thirteen char'", "22001"),
            ("UPDATE jobs SET hours = -1", "23514"),
            ("UPDATE jobs SET hours = 101", "23514"),
            ("UPDATE jobs SET state = 'lost'", "23514"),
            ("INSERT INTO jobs (id, title, hours) VALUES ('a', 'b', 1), ('c', 'd', 1000)", "23514"),
        ],
    );
    yard.owner().says(&[
        ("UPDATE jobs SET title = 'twelve chars' WHERE id = 'j1'", "UPDATE 1"),
        ("UPDATE jobs SET hours = 100 WHERE id = 'j1'", "UPDATE 1"),
        ("UPDATE jobs SET hours = 0, state = NULL WHERE id = 'j1'", "UPDATE 1"),
    ]);
}

/// A rule sees the whole record: what the statement stores, and what it leaves as it was.
#[test]
fn rules_see_the_whole_record() {
    let yard = Yard::new();
    let owner = yard.owner();
    let error = owner.error("UPDATE jobs SET hours = 13 WHERE id = 'j1'").unwrap();
    assert_eq!((error.code().sqlstate(), error.message()), ("23514", "Thirteen hours are not booked"));
    yard.refuses(&owner, &[("UPDATE jobs SET hours = hours + 8", "23514")]);
    // A rule about a number leaves a record without one alone.
    assert_eq!(owner.run("UPDATE jobs SET title = 'y' WHERE id = 'j3'"), "UPDATE 1");
}

/// ObjectStack, `readonlyWhen`: true of the record as it will be, the value stays as it is stored. SQL refuses to lose a value.
#[test]
fn a_sealed_field_takes_no_value() {
    let yard = Yard::new();
    let owner = yard.owner();
    assert_eq!(owner.run("UPDATE jobs SET sealed = 'new' WHERE id = 'j1'"), "UPDATE 1");
    let before = yard.all();
    let answer = owner.run("UPDATE jobs SET sealed = 'new' WHERE id = 'j2'");
    assert!(answer == "UPDATE 1" || answer.starts_with("42501") || answer.starts_with("428C9"), "{answer}");
    assert_eq!(yard.all(), before, "{answer}");
}

/// Codes of crews are unique by the metadata alone: the gate judges what is stored. NULL is like no other value.
#[test]
fn the_gate_keeps_unique_what_the_source_does_not() {
    let yard = Yard::new();
    let owner = yard.owner();
    yard.refuses(
        &owner,
        &[
            ("INSERT INTO crews (id, name, code) VALUES ('c9', 'x', 'N')", "23505"),
            ("INSERT INTO crews (id, name, code) VALUES ('c8', 'x', 'Z'), ('c9', 'x', 'Z')", "23505"),
            ("UPDATE crews SET code = 'N' WHERE id = 'c2'", "23505"),
            ("UPDATE crews SET code = 'same'", "23505"),
        ],
    );
    owner.says(&[
        ("INSERT INTO crews (id, name, code) VALUES ('c8', 'x', NULL), ('c9', 'x', NULL)", "INSERT 0 2"),
        ("UPDATE crews SET code = 'N' WHERE id = 'c1'", "UPDATE 1"),
        ("UPDATE crews SET code = 'n' WHERE id = 'c2'", "UPDATE 1"),
    ]);
}

/// What the source keeps unique it refuses itself, without the values or the name of its index.
#[test]
fn a_refusal_of_the_source_tells_nothing_of_its_rows() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    // Rules have the names that the catalog shows; `code` is in no key there.
    let (by_key, plain) = ("unique constraint \"jobs_pkey\"", "a unique constraint");
    let before = yard.all();
    for (sql, rule) in [
        ("INSERT INTO jobs (id, title, region) VALUES ('j2', 'x', 'eu')", by_key),
        ("INSERT INTO jobs (id, title, region, code) VALUES ('x', 'x', 'eu', 'k2')", plain),
        ("UPDATE jobs SET code = 'k2' WHERE id = 'j1'", plain),
    ] {
        assert_eq!(clerk.run(sql), format!("23505 duplicate key value violates {rule}"), "{sql}");
        assert_eq!(yard.all(), before, "{sql}");
    }
}

/// ObjectStack: a reference names a record that the writer can read.
#[test]
fn references_name_records_that_are_there() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("UPDATE jobs SET crew = 'none'", "23503"),
            ("INSERT INTO notes (id, job) VALUES ('x', 'none')", "23503"),
            ("INSERT INTO notes (id, job) VALUES ('x', 'j1'), ('y', 'none')", "23503"),
        ],
    );
    // To the clerk a job of another region is not there.
    yard.refuses(&yard.clerk(), &[("INSERT INTO notes (id, job) VALUES ('x', 'j2')", "23503")]);
    assert_eq!(yard.clerk().run("INSERT INTO notes (id, job) VALUES ('x', 'j1'), ('y', NULL)"), "INSERT 0 2");
}
