//! Tests of finding rows: which values a column takes, what DEFAULT stands for, and what a change may not be made of.

use super::*;
use crate::sql::parse::parse;
use crate::testing::Yard;

/// PostgreSQL, INSERT: the lists of VALUES are of one length, and that of the columns.
#[test]
fn values_are_as_many_as_columns() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("INSERT INTO notes (id, words) VALUES ('a', 'b'), ('c')", "42601"),
            ("INSERT INTO notes (id, words) VALUES ('a')", "42601"),
            ("INSERT INTO notes (id) VALUES ('a', 'b')", "42601"),
            ("INSERT INTO notes VALUES ('a', 'j1', 'c', 'd')", "42601"),
            ("INSERT INTO notes (id, words) SELECT 'a'", "42601"),
            ("INSERT INTO notes (id) SELECT 'a', 'b'", "42601"),
        ],
    );
    // Without a list, values are for the first columns.
    assert_eq!(yard.owner().run("INSERT INTO notes VALUES ('n8', 'j1')"), "INSERT 0 1");
    assert_eq!(yard.stored("id, job, words", "FROM yard_notes WHERE id = 'n8'"), ["n8|j1|NULL"]);
}

/// A value of another type is an assignment only where PostgreSQL casts in an assignment (`pg_cast.castcontext`): 42804 otherwise.
#[test]
fn a_value_is_of_its_columns_type_or_cast_in_assignment() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("UPDATE jobs SET ready = 1", "42804"),
            ("UPDATE jobs SET hours = true", "42804"),
            ("UPDATE jobs SET due = 20260101", "42804"),
            ("UPDATE jobs SET hours = title", "42804"),
            ("UPDATE jobs SET due = title", "42804"),
            ("INSERT INTO jobs (id, title, ready) VALUES ('x', 'y', 1)", "42804"),
            ("INSERT INTO jobs (id, title, size) SELECT 'x', 'y', 'z'::text", "42804"),
            ("INSERT INTO jobs (id, title, due) VALUES ('x', 'y', (SELECT title FROM jobs LIMIT 1)) LIMIT 1", "42804"),
            ("INSERT INTO jobs (id, title, due) VALUES ('x', 'y', '2026-01-01') ORDER BY 1", "42804"),
            (
                "WITH w AS (SELECT max(title) AS a FROM jobs) INSERT INTO jobs (id, title, due) VALUES ('x', 'y', (SELECT a FROM w))",
                "42804",
            ),
            ("UPDATE jobs SET hours = 'many'", "22P02"),
            ("UPDATE jobs SET due = '2026-02-30'", "22008"),
            ("UPDATE jobs SET size = 3000000000", "22003"),
        ],
    );
    let text = "42804 column \"hours\" is of type double precision but expression is of type boolean";
    assert_eq!(yard.owner().run("UPDATE jobs SET hours = true"), text);
    yard.owner().says(&[
        ("UPDATE jobs SET title = 5 WHERE id = 'j1'", "UPDATE 1"),
        ("UPDATE jobs SET hours = '7' WHERE id = 'j1'", "UPDATE 1"),
        ("UPDATE jobs SET ready = 'no' WHERE id = 'j1'", "UPDATE 1"),
        ("UPDATE jobs SET due = TIMESTAMP '2026-03-04 23:00' WHERE id = 'j1'", "UPDATE 1"),
    ]);
    assert_eq!(yard.stored("title, hours, ready, due", "FROM yard_jobs WHERE id = 'j1'"), ["5|7.0|0|2026-03-04"]);
}

/// A default that the metadata says stands for DEFAULT; one that only the source knows cannot be given by the gate.
#[test]
fn default_is_that_of_the_metadata() {
    let yard = Yard::new();
    let owner = yard.owner();
    owner.says(&[
        ("INSERT INTO jobs (id, title, state) VALUES ('d1', 'a', DEFAULT), ('d2', 'b', 'done')", "INSERT 0 2"),
        ("UPDATE jobs SET state = DEFAULT WHERE id = 'j2'", "UPDATE 1"),
        ("INSERT INTO jobs (id, title) VALUES ('d3', 'c')", "INSERT 0 1"),
    ]);
    let states = yard.stored("id, state", "FROM yard_jobs WHERE id IN ('d1', 'd2', 'd3', 'j2') ORDER BY id");
    assert_eq!(states, ["d1|open", "d2|done", "d3|open", "j2|open"]);
    owner.says(&[(
        "WITH w AS (SELECT date '2026-05-06' AS d) INSERT INTO jobs (id, title, state, due) \
         VALUES ('w1', 'a', DEFAULT, (SELECT d FROM w)), ('w2', 'b', 'done', '2026-05-07')",
        "INSERT 0 2",
    )]);
    let named_before = yard.stored("id, state, due", "FROM yard_jobs WHERE id LIKE 'w%' ORDER BY id");
    assert_eq!(named_before, ["w1|open|2026-05-06", "w2|done|2026-05-07"]);
    yard.refuses(
        &owner,
        &[
            ("UPDATE jobs SET region = DEFAULT", "0A000"),
            ("INSERT INTO jobs (id, title, region) VALUES ('x', 'y', DEFAULT), ('z', 'y', 'eu')", "0A000"),
            ("INSERT INTO jobs (region) VALUES (DEFAULT)", "0A000"),
        ],
    );
}

/// What a masked column holds is not shown to its reader, so nothing that is stored in the open is made of it.
#[test]
fn nothing_is_made_of_a_masked_column() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("UPDATE jobs SET title = card", "42501"),
            ("UPDATE jobs j SET title = substr(j.card, 1, 3)", "42501"),
            ("UPDATE jobs SET title = CASE WHEN card IS NULL THEN 'a' ELSE 'b' END", "42501"),
            ("UPDATE jobs SET title = jobs::text", "42501"),
            ("UPDATE jobs SET title = (SELECT max(card) WHERE region = 'eu')", "42501"),
        ],
    );
}

#[test]
fn the_word_default_is_bare() {
    let value = |sql: &str| {
        let mut query = skeleton(&format!("VALUES ({sql})")).unwrap();
        let values = cells(&mut query).unwrap();
        values.rows[0][0].clone()
    };
    assert!(is_default(&value("DEFAULT")) && is_default(&value("default")));
    for other in ["\"default\"", "'default'", "(default)", "a.default", "1"] {
        assert!(!is_default(&value(other)), "{other}");
    }
}

/// Names are looked for everywhere in an expression, in subqueries, too: what looks unnamed must not be.
#[test]
fn a_name_is_found_wherever_it_stands() {
    let expr = |sql: &str| {
        let query = skeleton(&format!("SELECT {sql} FROM t")).unwrap();
        let SetExpr::Select(select) = *query.body else { panic!("{sql}") };
        let SelectItem::UnnamedExpr(expr) = select.projection[0].clone() else { panic!("{sql}") };
        expr
    };
    let secret = |qualifier: Option<&str>, word: &str| qualifier.is_none_or(|q| q == "t") && word == "secret";
    for sql in [
        "secret",
        "SECRET",
        "t.secret",
        "public.t.secret",
        "-secret",
        "f(1, secret)",
        "sum(a) FILTER (WHERE secret)",
        "CASE WHEN a THEN b ELSE secret END",
        "a IN (1, secret)",
        "a BETWEEN secret AND 2",
        "(SELECT secret)",
        "EXISTS (SELECT 1 FROM u WHERE u.a = t.secret)",
        "a IN (SELECT b FROM u ORDER BY secret)",
        "ARRAY[secret]",
        "rank() OVER (ORDER BY secret)",
        "secret::text",
    ] {
        assert!(names(&expr(sql), &secret), "{sql}");
    }
    for sql in ["a", "\"SECRET\"", "u.secret", "'secret'", "secret()", "f(a, 'secret')", "(SELECT u.secret FROM u)"] {
        assert!(!names(&expr(sql), &secret), "{sql}");
    }
}

/// A query that looks whether records are there has one parameter for each value, and prints no value.
#[test]
fn a_look_for_references_binds_its_values() {
    let query = existing("crews", "id", 3).unwrap().to_string();
    assert_eq!(
        query,
        "SELECT \"r\".\"id\" AS \"k\" FROM \"public\".\"crews\" AS \"r\" WHERE \"r\".\"id\" IN ($1, $2, $3)"
    );
    assert_eq!(parse(&query).unwrap().len(), 1);
}
