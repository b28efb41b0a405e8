//! Tests of plain values: they are those that the query would give, and what may fail or differ is left to the query.

use super::*;
use crate::testing::{Reader, Shop, lines_of};
use chrono::TimeZone;

fn plain(reader: &Reader, sql: &str) -> Option<Vec<String>> {
    let bound = reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let now = Utc.with_ymd_and_hms(2026, 5, 6, 7, 8, 9).unwrap();
    plain_rows(&bound, &[], &reader.state, now).unwrap().map(|rows| lines_of(&[rows]))
}

/// Constants, casts, functions of one value, arithmetic: as a plan of them computes.
#[test]
fn plain_values_are_those_of_the_query() {
    let reader = Shop::open().owner();
    for sql in [
        "VALUES (1, 'a'), (2, NULL)",
        "VALUES (CAST('7' AS int)), (8)",
        "VALUES (-3)",
        "VALUES (CAST('2026-02-28' AS date))",
        "VALUES (CAST(1.5 AS numeric(10, 2)))",
        "VALUES (true, CAST(NULL AS bigint))",
        "VALUES (abs(-4))",
        "VALUES (CAST('  12 ' AS int))",
        "VALUES (CAST(2.5 AS int)), (CAST(3.5 AS int))",
    ] {
        let own = plain(&reader, sql).unwrap_or_else(|| panic!("{sql} is plain"));
        assert_eq!(own, reader.rows(sql).unwrap(), "{sql}");
    }
}

/// What fails gives no rows here: the query is run, and says what is wrong.
#[test]
fn what_fails_is_left_to_the_query() {
    let reader = Shop::open().owner();
    for (sql, code) in [
        ("VALUES (CAST(CAST(3e9 AS float8) AS int))", "22003"),
        ("VALUES (1), (CAST(CAST(1e30 AS float8) AS int))", "22003"),
        ("VALUES (sqrt(CAST(-1 AS float8)))", "2201F"),
        ("VALUES (abs(CAST(-2147483648 AS int)))", "22003"),
    ] {
        assert_eq!(plain(&reader, sql), None, "{sql}");
        assert_eq!(reader.rows(sql).unwrap_err().code().sqlstate(), code, "{sql}");
    }
}

/// What reads rows, is another one each time, or grows beyond its text is run.
#[test]
fn other_queries_are_run() {
    let reader = Shop::open().owner();
    let many = vec!["(1)"; ROWS_MAX + 1].join(", ");
    let many = format!("VALUES {many}");
    for sql in [
        "SELECT 1",
        "SELECT * FROM (VALUES (1)) v",
        "VALUES ((SELECT 1))",
        "VALUES (random())",
        "VALUES (gen_random_uuid())",
        "VALUES (repeat('x', 100000))",
        "VALUES ('a' || 'b')",
        "VALUES (1) LIMIT 1",
        "VALUES (1) UNION ALL VALUES (2)",
        "VALUES (CASE WHEN true THEN 1 END)",
        many.as_str(),
    ] {
        assert_eq!(plain(&reader, sql), None, "{sql}");
    }
    let most = vec!["(1)"; ROWS_MAX].join(", ");
    assert_eq!(plain(&reader, &format!("VALUES {most}")).unwrap().len(), ROWS_MAX);
}

/// The time is the statement's, one for all its values.
#[test]
fn the_time_is_that_of_the_statement() {
    let reader = Shop::open().owner();
    let rows = plain(&reader, "VALUES (CAST(now() AS timestamptz)), (CAST(now() AS timestamptz))").unwrap();
    assert_eq!(rows[0], rows[1]);
    assert!(rows[0].starts_with("2026-05-06T07:08:09"), "{rows:?}");
}
