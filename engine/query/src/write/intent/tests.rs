//! Tests of intents: which forms of a change are taken, by which names, and the tags that they end with.

use crate::testing::Yard;

/// Forms that PostgreSQL takes and the gate does not are refused before anything is read (0A000), and so are those of other dialects.
#[test]
fn forms_that_are_not_listed_are_refused() {
    let yard = Yard::new();
    let refused = [
        "INSERT OR REPLACE INTO jobs (id, title) VALUES ('j9', 'x')",
        "REPLACE INTO jobs (id, title) VALUES ('j9', 'x')",
        "INSERT INTO jobs (id, title) VALUES ('j1', 'x') ON DUPLICATE KEY UPDATE title = 'x'",
        "UPDATE jobs SET title = 'x' LIMIT 1",
        "UPDATE jobs SET (title, region) = (SELECT 'x', 'eu' LIMIT 1)",
        "UPDATE jobs j JOIN crews c ON c.id = j.crew SET title = 'x'",
        "DELETE FROM jobs ORDER BY id LIMIT 1",
        "TRUNCATE notes, bills",
        "TRUNCATE notes CASCADE",
        "TRUNCATE notes RESTART IDENTITY",
    ];
    let before = yard.all();
    let owner = yard.owner();
    for sql in refused {
        let code = owner.code(sql);
        assert!(["0A000", "42601"].contains(&code.as_str()), "{sql}: {code}");
        assert_eq!(yard.all(), before, "{sql}");
    }
}

/// A table or a column that the principal does not see has the error of one that is not there.
#[test]
fn names_that_are_not_seen_do_not_exist() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    yard.refuses(
        &clerk,
        &[
            ("INSERT INTO nothing (id) VALUES ('x')", "42P01"),
            ("INSERT INTO bills (id) VALUES ('x')", "42P01"),
            ("UPDATE pg_catalog.pg_class SET relname = 'x'", "42P01"),
            ("UPDATE other.public.jobs SET title = 'x'", "0A000"),
            ("UPDATE jobs SET nothing = 1", "42703"),
            ("UPDATE jobs SET secret = 'x'", "42703"),
            ("INSERT INTO jobs (id, secret) VALUES ('x', 'y')", "42703"),
            ("DELETE FROM jobs WHERE secret = 's1'", "42703"),
            ("UPDATE jobs SET title = secret", "42703"),
        ],
    );
    let (hidden, absent) = ("UPDATE jobs SET secret = 'x'", "UPDATE jobs SET secreu = 'x'");
    assert_eq!(clerk.run(hidden).replace("secret", "secreu"), clerk.run(absent));
}

/// The nearest column is one that the principal sees.
#[test]
fn a_slip_in_a_columns_name_has_the_nearest_one() {
    let yard = Yard::new();
    let (owner, clerk) = (yard.owner(), yard.clerk());
    for (user, sql, near) in [
        (&clerk, "UPDATE jobs SET tilte = 'x'", Some("title")),
        (&clerk, "INSERT INTO jobs (id, tilte) VALUES ('x', 'y')", Some("title")),
        (&owner, "UPDATE jobs SET secert = 'x'", Some("secret")),
        (&clerk, "UPDATE jobs SET secert = 'x'", None),
        (&clerk, "UPDATE jobs SET secret = 'x'", None),
        (&clerk, "UPDATE jobs SET zebra = 'x'", None),
    ] {
        let error = user.error(sql).unwrap();
        let expected = near.map(|near| format!("Perhaps you meant to reference the column \"{near}\"."));
        assert_eq!((error.code().sqlstate(), error.hint()), ("42703", expected.as_deref()), "{sql}");
    }
}

/// PostgreSQL, UPDATE and INSERT: a column is assigned once.
#[test]
fn a_column_is_assigned_once() {
    let yard = Yard::new();
    let owner = yard.owner();
    yard.refuses(
        &owner,
        &[
            ("UPDATE jobs SET title = 'a', title = 'b'", "42601"),
            ("UPDATE jobs SET (title, region) = ('a', 'b'), region = 'c'", "42601"),
            ("INSERT INTO jobs (id, title, ID) VALUES ('x', 'y', 'z')", "42701"),
        ],
    );
}

/// A row gives several columns their values, each its own.
#[test]
fn columns_get_the_values_of_a_row() {
    let yard = Yard::new();
    let owner = yard.owner();
    yard.refuses(
        &owner,
        &[
            ("UPDATE jobs SET (title, region) = ('a', 'b', 'c')", "42601"),
            ("UPDATE jobs SET (title, region) = (SELECT 'a')", "42601"),
            ("UPDATE jobs SET (title, region) = (SELECT 'a', 'b' FROM jobs)", "21000"),
            ("UPDATE jobs SET title = max(id) OVER ()", "42P20"),
            ("UPDATE jobs SET 'title' = 'a'", "42601"),
        ],
    );
    owner.says(&[
        ("UPDATE jobs SET (title, region) = (SELECT 'x', 'eu') WHERE id = 'j1'", "UPDATE 1"),
        ("SELECT title FROM jobs WHERE id = 'j1' AND region = 'eu'", "x"),
        (
            "UPDATE jobs j SET (title, code) = (SELECT n.id, n.words FROM notes n WHERE n.job = j.id) WHERE j.id = 'j1'",
            "UPDATE 1",
        ),
        ("SELECT title FROM jobs WHERE id = 'j1' AND code = 'hot'", "n1"),
        ("UPDATE jobs SET (title) = ROW('y') WHERE id = 'j1'", "UPDATE 1"),
        ("SELECT title FROM jobs WHERE id = 'j1'", "y"),
        (
            "WITH fresh AS (SELECT 'z' AS title) UPDATE jobs SET title = fresh.title FROM fresh WHERE jobs.id = 'j1'",
            "UPDATE 1",
        ),
        ("SELECT title FROM jobs WHERE id = 'j1'", "z"),
    ]);
}

/// Unquoted names are folded to small letters, quoted ones are as they are written; `public` and the database may stand before them.
#[test]
fn names_are_folded_as_in_postgresql() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("UPDATE JOBS SET Title = 'a' WHERE ID = 'j1'", "UPDATE 1"),
        ("UPDATE public.\"jobs\" SET \"title\" = 'b' WHERE id = 'j1'", "UPDATE 1"),
        ("UPDATE yard.public.jobs AS J SET title = 'c' WHERE j.id = 'j1'", "UPDATE 1"),
        ("UPDATE \"Jobs\" SET title = 'd'", "42P01 relation \"Jobs\" does not exist"),
        ("UPDATE jobs SET \"Title\" = 'd'", "42703 column \"Title\" of relation \"jobs\" does not exist"),
        ("SELECT title FROM jobs WHERE id = 'j1'", "c"),
    ]);
}

/// PostgreSQL, 55000. A view over a table that the principal does not see is none.
#[test]
fn a_view_is_not_changed() {
    let yard = Yard::new();
    yard.with_views(&[("titles", "SELECT id, title FROM jobs"), ("dues", "SELECT id FROM bills")]);
    let (owner, clerk) = (yard.owner(), yard.clerk());
    for (sql, message) in [
        ("UPDATE titles SET title = 'x'", "cannot update view \"titles\""),
        ("INSERT INTO titles (id) VALUES ('x')", "cannot insert into view \"titles\""),
        ("DELETE FROM public.titles", "cannot delete from view \"public.titles\""),
        ("TRUNCATE titles", "cannot truncate view \"titles\""),
        ("COPY titles FROM STDIN", "cannot copy to view \"titles\""),
        (
            "MERGE INTO titles t USING crews c ON c.id = t.id WHEN MATCHED THEN DELETE",
            "cannot merge into view \"titles\"",
        ),
    ] {
        let error = clerk.error(sql).unwrap();
        assert_eq!((error.code().sqlstate(), error.message()), ("55000", message), "{sql}");
        assert!(error.hint().is_some_and(|hint| hint.contains("the table that it reads")), "{sql}");
    }
    assert_eq!(clerk.run("SELECT id FROM titles WHERE false"), "");
    assert_eq!(clerk.run("DELETE FROM dues"), "42P01 relation \"dues\" does not exist");
    assert_eq!(owner.run("DELETE FROM dues"), "55000 cannot delete from view \"dues\"");
    for absent in ["dues", "nothing"] {
        let said = format!("42P01 view \"{absent}\" does not exist");
        assert_eq!(clerk.run(&format!("DROP VIEW {absent}")), said);
    }
}

/// The tags of PostgreSQL's CommandComplete: the number of rows, and of INSERT a zero before it.
#[test]
fn a_change_ends_with_its_tag() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("INSERT INTO notes (id, words) VALUES ('n8', 'a'), ('n9', 'b')", "INSERT 0 2"),
        ("UPDATE notes SET words = 'c'", "UPDATE 5"),
        ("UPDATE notes SET words = 'c' WHERE false", "UPDATE 0"),
        ("DELETE FROM notes WHERE id IN ('n8', 'n9', 'n0')", "DELETE 2"),
        (
            "MERGE INTO notes n USING (VALUES ('n1'), ('n7')) AS s(id) ON s.id = n.id
             WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            "MERGE 2",
        ),
        ("TRUNCATE TABLE notes", "TRUNCATE TABLE"),
        ("SELECT count(*) FROM notes", "0"),
    ]);
}

/// TRUNCATE takes all rows or none: a principal who may change some of them only is refused.
#[test]
fn truncate_is_for_those_who_change_all_records() {
    let yard = Yard::new();
    yard.refuses(&yard.clerk(), &[("TRUNCATE notes", "42501"), ("TRUNCATE jobs", "42501")]);
    yard.refuses(&yard.reader(), &[("TRUNCATE notes", "42501")]);
    assert_eq!(yard.owner().run("TRUNCATE notes"), "TRUNCATE TABLE");
    assert!(yard.stored("id", "FROM yard_notes").is_empty());
}

/// With `writes.enabled = false` no change is taken in any form, and a session says that it is read-only.
#[test]
fn a_gate_that_only_reads_takes_no_change() {
    let yard = Yard::with(crate::testing::options());
    let owner = yard.owner();
    yard.refuses(
        &owner,
        &[
            ("INSERT INTO notes (id) VALUES ('x')", "0A000"),
            ("UPDATE notes SET words = 'x'", "0A000"),
            ("DELETE FROM notes", "0A000"),
            ("TRUNCATE notes", "0A000"),
            ("MERGE INTO notes n USING crews c ON c.id = n.id WHEN MATCHED THEN DELETE", "0A000"),
            ("SELECT 1; DELETE FROM notes", "0A000"),
            ("EXPLAIN DELETE FROM notes", "0A000"),
            ("PREPARE p AS DELETE FROM notes", "0A000"),
            ("COPY notes FROM STDIN", "0A000"),
            ("SELECT id FROM notes FOR UPDATE", "0A000"),
        ],
    );
    assert_eq!(owner.run("SHOW default_transaction_read_only"), "on");
}
