//! Tests of RETURNING: rows as they are stored and as their principal reads them.

use crate::testing::Yard;

/// PostgreSQL: rows of INSERT and UPDATE are given as they are stored, those of DELETE as they were.
#[test]
fn rows_are_given_as_they_are_stored() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("INSERT INTO jobs (id, title) VALUES ('j8', 'new') RETURNING id, state, hours", "j8|open|NULL"),
        ("UPDATE jobs SET hours = 9 WHERE id = 'j1' RETURNING hours, title", "9.0|roof"),
        ("UPDATE jobs SET hours = 9 WHERE id = 'none' RETURNING hours", ""),
        ("DELETE FROM notes WHERE id = 'n1' RETURNING *", "n1|j1|hot"),
        ("UPDATE notes n SET words = 'x' WHERE id = 'n2' RETURNING n.*", "n2|j2|x"),
        ("UPDATE notes SET words = 'y' WHERE id = 'n2' RETURNING words AS w, id", "y|n2"),
    ]);
}

/// Expressions over the changed rows are computed as a SELECT of them would.
#[test]
fn expressions_are_computed_of_the_changed_rows() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("UPDATE jobs SET hours = 6 WHERE id = 'j1' RETURNING hours * 2, upper(title), 1 + 1", "12.0|ROOF|2"),
        ("UPDATE jobs SET hours = 7 WHERE id = 'j1' RETURNING double", "14.0"),
        ("UPDATE jobs SET hours = NULL WHERE id = 'j1' RETURNING coalesce(hours, -1), hours IS NULL", "-1.0|true"),
        ("INSERT INTO notes (id, words) VALUES ('a', 'x'), ('b', NULL) RETURNING id || coalesce(words, '-')", "ax; b-"),
        ("UPDATE jobs SET hours = 0 WHERE id = 'j1' RETURNING 1 / hours", "22012 division by zero"),
        ("DELETE FROM steps WHERE id = 's1' RETURNING length(words) > 2", "true"),
    ]);
    assert_eq!(yard.stored("hours", "FROM yard_jobs WHERE id = 'j1'"), ["NULL"], "what failed is not stored");
}

/// The principal's own view: masked columns masked, hidden ones not there.
#[test]
fn rows_are_given_as_their_principal_reads_them() {
    let yard = Yard::new();
    yard.owner().says(&[("UPDATE jobs SET title = 'x' WHERE id = 'j1' RETURNING card", "************1111")]);
    let clerk = yard.clerk();
    yard.refuses(
        &clerk,
        &[
            ("UPDATE jobs SET title = 'y' RETURNING secret", "42703"),
            ("UPDATE jobs SET title = 'y' RETURNING upper(secret)", "42703"),
            ("UPDATE jobs SET title = 'y' RETURNING (SELECT max(id) FROM jobs)", "0A000"),
            ("UPDATE jobs SET title = 'y' RETURNING count(*)", "0A000"),
            ("UPDATE jobs SET title = 'y' RETURNING row_number() OVER ()", "0A000"),
            ("UPDATE jobs SET title = 'y' FROM crews c WHERE c.id = jobs.crew RETURNING *", "0A000"),
            ("UPDATE jobs SET title = 'y' FROM crews c WHERE c.id = jobs.crew RETURNING c.name", "0A000"),
        ],
    );
    let all = clerk.run("UPDATE jobs SET title = 'z' WHERE id = 'j1' RETURNING title, card, region");
    assert!(!all.contains("s1") && !all.contains("41111") && all.contains("z|"), "{all}");
}

/// A row that its writer could not read afterwards is not given back, and not stored (PostgreSQL, CREATE POLICY: SELECT policies apply to
/// RETURNING).
#[test]
fn a_row_that_is_given_back_is_readable() {
    let yard = Yard::new();
    yard.refuses(&yard.clerk(), &[("UPDATE jobs SET region = 'us' WHERE id = 'j1' RETURNING id", "42501")]);
}

/// What the gate knows of a row's table is given back, and what it does not know of its place and its writers is refused.
#[test]
fn system_columns_are_given_back_where_there_are_any() {
    let yard = Yard::new();
    let owner = yard.owner();
    let table = owner.run("SELECT DISTINCT tableoid FROM notes");
    let changed = owner.run("UPDATE notes SET words = 'x' WHERE id = 'n2' RETURNING id, tableoid");
    assert_eq!(changed, format!("n2|{table}"));
    yard.refuses(
        &owner,
        &[
            ("UPDATE notes SET words = 'y' WHERE id = 'n2' RETURNING xmin", "0A000"),
            ("UPDATE notes n SET words = 'y' WHERE id = 'n2' RETURNING n.ctid AS place, id", "0A000"),
            (
                "INSERT INTO notes (id, words) VALUES ('n2', 'y') ON CONFLICT (id) DO UPDATE SET words = 'y' \
                 RETURNING (xmax = 0) AS inserted",
                "0A000",
            ),
            ("UPDATE notes SET words = 'y' WHERE id = 'n2' AND xmin = 5", "0A000"),
            ("DELETE FROM notes n WHERE n.ctid = '(0,1)'", "0A000"),
            ("UPDATE notes SET words = 'y' RETURNING nothing", "42703"),
        ],
    );
}
