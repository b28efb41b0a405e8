//! Tests of what is computed of rows in the gate: which queries are taken, what a condition wants of a key, templates of both.

use super::template::Template;
use super::*;
use crate::testing::{Reader, Shop, Yard};

fn columns(reader: &Reader) -> Vec<GovernedColumn> {
    let objects = reader.workspace.catalog.objects();
    objects.iter().find(|object| object.sql_name == "orders").unwrap().table.columns().to_vec()
}

fn bound(reader: &Reader, sql: &str) -> Bound {
    reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_owned()))
}

/// Names and values that a condition wants columns to have.
fn wanted(columns: &[GovernedColumn], equal: &[(usize, ScalarValue)]) -> Vec<String> {
    equal.iter().map(|(place, value)| format!("{}={value}", columns[*place].field.name())).collect()
}

/// Plain projections over the table are computed of its changed rows; nothing that needs other rows is.
#[test]
fn projections_of_the_table_are_taken() {
    let reader = Shop::open().owner();
    let columns = columns(&reader);
    for sql in [
        "SELECT id, pieces + 1 FROM orders",
        "SELECT upper(o.stage) AS s, 1 FROM orders AS o",
        "SELECT * FROM orders",
        "SELECT CASE WHEN pieces > 2 THEN 'many' END FROM orders",
    ] {
        assert!(Computation::admits(&bound(&reader, sql), &columns).is_ok(), "{sql}");
    }
    for sql in [
        "SELECT count(*) FROM orders",
        "SELECT DISTINCT stage FROM orders",
        "SELECT id FROM orders ORDER BY id",
        "SELECT id FROM orders LIMIT 1",
        "SELECT id FROM orders WHERE pieces > 1",
        "SELECT rank() OVER (ORDER BY id) FROM orders",
        "SELECT id, (SELECT max(id) FROM orders) FROM orders",
        "SELECT id FROM orders WHERE EXISTS (SELECT 1 FROM regions)",
        "SELECT o.id FROM orders o, regions r",
        "SELECT id FROM orders UNION ALL SELECT id FROM orders",
        "SELECT unnest(ARRAY[1, 2]) FROM orders",
        "SELECT 1",
    ] {
        let refused = Computation::admits(&bound(&reader, sql), &columns).unwrap_err();
        assert_eq!(refused.code().sqlstate(), "0A000", "{sql}");
    }
}

/// A condition that is nothing but columns equal to values names a row; anything else is found by its query.
#[test]
fn a_condition_names_the_values_that_it_wants() {
    let reader = Shop::open().owner();
    let columns = columns(&reader);
    let find = |sql: &str| {
        let found = Computation::where_equal(&bound(&reader, sql), Vec::new(), &reader.state, &columns).unwrap();
        found.map(|(_, equal)| wanted(&columns, &equal))
    };
    for (condition, expected) in [
        ("id = 'o1'", vec!["id=o1"]),
        ("'o1' = id", vec!["id=o1"]),
        ("id = 'o' || '1'", vec!["id=o1"]),
        ("id = 'o1' AND pieces = 5", vec!["id=o1", "pieces=5"]),
        ("pieces = 2 + 3", vec!["pieces=5"]),
    ] {
        assert_eq!(find(&format!("SELECT id FROM orders WHERE {condition}")).unwrap(), expected, "{condition}");
    }
    for condition in [
        "id <> 'o1'",
        "id = 'o1' OR id = 'o2'",
        "id IN ('o1', 'o2')",
        "id = stage",
        "id = NULL",
        "upper(id) = 'O1'",
        "pieces > 4",
        "NOT id = 'o1'",
    ] {
        assert_eq!(find(&format!("SELECT id FROM orders WHERE {condition}")), None, "{condition}");
    }
    assert_eq!(find("SELECT id FROM orders"), None, "without a condition there is no key");
}

/// A template is made once and filled with each run's values: the computation is that of the values.
#[test]
fn a_template_is_filled_with_values() {
    let reader = Shop::open().owner();
    let columns = columns(&reader);
    let bound = bound(&reader, "SELECT id, pieces + $2::int FROM orders WHERE id = $1");
    let template = Template::of(&bound, &reader.state, &columns).unwrap();
    for (id, more) in [("o1", 1), ("o2", 7)] {
        let (_, equal) = template.with(&[text(id), ScalarValue::Int32(Some(more))]).unwrap().unwrap();
        assert_eq!(wanted(&columns, &equal), [format!("id={id}")]);
    }
    // NULL is equal to nothing, and a value of another type is for another plan.
    assert!(template.with(&[ScalarValue::Utf8(None), ScalarValue::Int32(Some(1))]).unwrap().is_none());
    assert!(template.with(&[text("o1"), ScalarValue::Int64(Some(1))]).unwrap().is_none());
    assert!(template.with(&[text("o1")]).unwrap().is_none(), "too few");
}

/// No template of what is another expression for other values, or at another time.
#[test]
fn what_depends_on_its_values_has_no_template() {
    let reader = Shop::open().owner();
    let columns = columns(&reader);
    for sql in [
        "SELECT id, now() FROM orders WHERE id = $1",
        "SELECT id, current_user FROM orders WHERE id = $1",
        "SELECT id FROM orders WHERE id > $1",
        "SELECT id FROM orders WHERE id = $1 OR true",
        "SELECT count(*) FROM orders WHERE id = $1",
        "SELECT id FROM orders",
        "SELECT CASE WHEN $2 THEN 1 END FROM orders WHERE id = $1",
    ] {
        assert!(Template::of(&bound(&reader, sql), &reader.state, &columns).is_none(), "{sql}");
    }
}

/// Arithmetic is checked as in queries: what overflows is an error, not another number (PostgreSQL, "Mathematical Functions").
#[test]
fn arithmetic_is_checked() {
    let yard = Yard::new();
    let owner = yard.owner();
    yard.refuses(
        &owner,
        &[
            ("UPDATE jobs SET size = 3 WHERE id = 'j1' RETURNING 2147483647 + size", "22003"),
            ("UPDATE jobs SET size = 3 WHERE id = 'j1' RETURNING 10 / (size - 3)", "22012"),
            ("UPDATE jobs SET size = size + 2147483647 WHERE id = 'j1'", "22003"),
            ("UPDATE jobs SET size = 1 / (size - size) WHERE id = 'j1'", "22012"),
            ("INSERT INTO jobs (id, title, size) VALUES ('x', 'y', 2147483647 + 1)", "22003"),
            ("UPDATE jobs SET hours = CAST(title AS float8) WHERE id = 'j1'", "22P02"),
        ],
    );
    let prepared = owner.prepare("UPDATE jobs SET size = size + $1 WHERE id = $2").unwrap();
    assert_eq!(owner.execute(&prepared, &[Some("1"), Some("j1")]), "UPDATE 1");
    for _ in 0..2 {
        assert_eq!(&owner.execute(&prepared, &[Some("2147483647"), Some("j1")])[..5], "22003");
    }
    assert_eq!(yard.stored("size", "FROM yard_jobs WHERE id = 'j1'"), ["4"]);
}
