//! Tests of SELECT … FOR UPDATE: rows of one table that the principal may change.

use crate::testing::Yard;

#[test]
fn locked_rows_are_those_of_the_query() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("SELECT id, title FROM jobs WHERE region = 'eu' ORDER BY id FOR UPDATE", "j1|roof; j3|door"),
        ("SELECT title FROM jobs AS j ORDER BY id LIMIT 1 FOR UPDATE", "roof"),
        ("SELECT title FROM jobs AS j ORDER BY id LIMIT 1 FOR UPDATE OF j", "roof"),
        ("SELECT title FROM jobs ORDER BY id LIMIT 1 FOR UPDATE OF \"jobs\" SKIP LOCKED", "roof"),
        ("SELECT id FROM jobs WHERE false FOR SHARE", ""),
    ]);
}

/// PostgreSQL wants the right to UPDATE for any lock: without it the statement is refused, and rows out of reach are not locked.
#[test]
fn a_lock_wants_the_right_to_change() {
    let yard = Yard::new();
    yard.refuses(
        &yard.reader(),
        &[("SELECT id FROM jobs FOR UPDATE", "42501"), ("SELECT id FROM jobs FOR SHARE", "42501")],
    );
    yard.refuses(&yard.clerk(), &[("SELECT id FROM crews FOR UPDATE", "42501")]);
    assert_eq!(yard.clerk().run("SELECT id FROM jobs ORDER BY id FOR UPDATE"), "j1; j3");
}

/// PostgreSQL, "The Locking Clause": no lock of rows that are none of a table.
#[test]
fn what_is_no_row_of_a_table_is_not_locked() {
    let yard = Yard::new();
    let refused = [
        "SELECT count(*) FROM jobs FOR UPDATE",
        "SELECT DISTINCT region FROM jobs FOR UPDATE",
        "SELECT region FROM jobs GROUP BY region FOR UPDATE",
        "SELECT region FROM jobs GROUP BY region HAVING true FOR UPDATE",
        "SELECT id FROM jobs UNION SELECT id FROM notes FOR UPDATE",
        "SELECT row_number() OVER () FROM jobs FOR UPDATE",
        "SELECT j.id FROM jobs j, notes n FOR UPDATE",
        "SELECT j.id FROM jobs j LEFT JOIN crews c ON c.id = j.crew FOR UPDATE OF c",
        "SELECT j.id FROM jobs j FULL JOIN crews c ON c.id = j.crew FOR UPDATE OF j",
        "SELECT count(*) FROM jobs j, notes n FOR UPDATE OF j",
        "SELECT id FROM (SELECT id FROM jobs) x FOR UPDATE",
        "WITH w AS (SELECT 1) SELECT id FROM jobs FOR UPDATE",
    ];
    let cases: Vec<(&str, &str)> = refused.iter().map(|sql| (*sql, "0A000")).collect();
    yard.refuses(&yard.owner(), &cases);
    yard.refuses(&yard.owner(), &[("BEGIN READ ONLY; SELECT id FROM jobs FOR UPDATE", "25006")]);
}

/// PostgreSQL, "The Locking Clause": with OF, only rows of the named table are locked, however many others a query reads.
#[test]
fn of_names_the_table_whose_rows_are_locked() {
    let yard = Yard::new();
    yard.owner().says(&[(
        "SELECT j.title, c.name FROM jobs j JOIN crews c ON c.id = j.crew WHERE j.id = 'j1' FOR UPDATE OF j",
        "roof|North",
    )]);
    // Who may not change crews may lock jobs beside them.
    assert_eq!(
        yard.clerk().run("SELECT j.id FROM jobs j LEFT JOIN crews c ON c.id = j.crew ORDER BY j.id FOR UPDATE OF j"),
        "j1; j3"
    );
    yard.refuses(
        &yard.owner(),
        &[
            ("SELECT id FROM jobs FOR UPDATE OF crews", "42P01"),
            ("SELECT id FROM jobs AS j FOR UPDATE OF jobs", "42P01"),
            ("SELECT id FROM jobs FOR UPDATE OF public.jobs", "42601"),
        ],
    );
    yard.refuses(&yard.clerk(), &[("SELECT j.id FROM jobs j JOIN crews c ON c.id = j.crew FOR UPDATE OF c", "42501")]);
}
