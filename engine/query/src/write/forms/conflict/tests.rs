//! Tests of ON CONFLICT: which rows are inserted, which update the row that is there, and what a hidden row tells.

use super::*;
use crate::testing::Yard;

fn key(value: &str) -> Option<Key> {
    Some(vec![ScalarValue::Utf8(Some(value.to_owned()))])
}

fn proposed(there: &[bool], wanted: &[bool]) -> Proposed {
    let none = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
    Proposed { insert: none.clone(), update: none, there: there.to_vec(), wanted: wanted.to_vec() }
}

/// DO NOTHING: of the rows whose key is taken, by a stored row or by one before it, none is inserted.
#[test]
fn rows_whose_key_is_taken_are_left_out() {
    let conflict = Conflict { keys: vec![vec![0]], update: None };
    let keys = vec![vec![key("a"), key("b"), key("b"), None, None, key("c")]];
    let taken = vec![HashSet::from([key("a").unwrap()])];
    let split = conflict.split(&keys, &taken, &proposed(&[false; 6], &[false; 6])).unwrap().unwrap();
    assert_eq!(split, Split { insert: vec![1, 3, 4, 5], ..Split::default() }, "a key with a NULL is like no other");
}

/// Without a named key, whichever one is taken counts.
#[test]
fn any_of_several_keys_may_be_taken() {
    let conflict = Conflict { keys: vec![vec![0], vec![1]], update: None };
    let keys = vec![vec![key("a"), key("b"), key("c")], vec![key("x"), key("y"), key("x")]];
    let taken = vec![HashSet::new(), HashSet::from([key("y").unwrap()])];
    let split = conflict.split(&keys, &taken, &proposed(&[false; 3], &[false; 3])).unwrap().unwrap();
    assert_eq!(split.insert, [0]);
}

/// PostgreSQL, INSERT: a statement that would change a row twice is an error (21000).
#[test]
fn a_row_is_not_changed_twice() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("INSERT INTO notes (id) VALUES ('n1'), ('n1') ON CONFLICT (id) DO UPDATE SET words = 'x'", "21000"),
            ("INSERT INTO notes (id) VALUES ('z'), ('z') ON CONFLICT (id) DO UPDATE SET words = 'x'", "21000"),
        ],
    );
    assert_eq!(yard.owner().run("INSERT INTO notes (id) VALUES ('z'), ('z') ON CONFLICT DO NOTHING"), "INSERT 0 1");
}

#[test]
fn new_rows_are_stored_and_others_updated() {
    let yard = Yard::new();
    yard.owner().says(&[
        (
            "INSERT INTO notes AS n (id, words) VALUES ('n1', 'b'), ('n8', 'c')
             ON CONFLICT (id) DO UPDATE SET words = n.words || excluded.words",
            "INSERT 0 2",
        ),
        ("SELECT id, words FROM notes WHERE id IN ('n1', 'n8') ORDER BY id", "n1|hotb; n8|c"),
        // Rows that the condition leaves as they are do not count.
        (
            "INSERT INTO notes (id, words) VALUES ('n1', 'd'), ('n2', 'd')
             ON CONFLICT (id) DO UPDATE SET words = excluded.words WHERE notes.words = 'cold'",
            "INSERT 0 1",
        ),
        ("SELECT id, words FROM notes WHERE id IN ('n1', 'n2') ORDER BY id", "n1|hotb; n2|d"),
        ("INSERT INTO notes (id) VALUES ('n1'), ('n9') ON CONFLICT DO NOTHING RETURNING id", "n9"),
        ("INSERT INTO jobs (id, title, code) VALUES ('q', 'x', 'k1') ON CONFLICT (code) DO UPDATE SET title = 'taken' RETURNING id", "j1"),
        ("INSERT INTO notes (id) VALUES ('n1') ON CONFLICT ON CONSTRAINT notes_pkey DO NOTHING", "INSERT 0 0"),
    ]);
}

/// A row that the principal does not read tells that its key is taken, as by any INSERT, and nothing of it is computed.
#[test]
fn a_hidden_row_tells_only_that_its_key_is_taken() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    let before = yard.all();
    for rest in [
        "SET title = 'x'",
        "SET hours = 1 / (jobs.hours - 3)",
        "SET title = 'x' WHERE jobs.hours = 3",
        "SET title = 'x' WHERE false",
    ] {
        let sql =
            format!("INSERT INTO jobs (id, title, region) VALUES ('j2', 'y', 'eu') ON CONFLICT (id) DO UPDATE {rest}");
        assert_eq!(clerk.run(&sql), "23505 duplicate key value violates a unique constraint", "{sql}");
        assert_eq!(yard.all(), before, "{sql}");
    }
    let nothing = "INSERT INTO jobs (id, title, region) VALUES ('j2', 'y', 'eu') ON CONFLICT DO NOTHING";
    assert_eq!(clerk.run(nothing), "INSERT 0 0");
}

/// Both halves are governed: the row that is inserted as by INSERT, the one that is updated as by UPDATE.
#[test]
fn both_halves_are_governed() {
    let yard = Yard::new();
    let upsert =
        |rest: &str| format!("INSERT INTO jobs (id, title, region) VALUES ('j1', 'y', 'eu') ON CONFLICT {rest}");
    let cases = [
        ("(id) DO UPDATE SET region = 'us'", "42501"),
        ("(id) DO UPDATE SET title = 'thirteen char'", "22001"),
        ("(id) DO UPDATE SET hours = 13", "23514"),
        ("(id) DO UPDATE SET secret = 'x'", "42703"),
        ("(id) DO UPDATE SET title = jobs.card", "42501"),
        ("(id) DO UPDATE SET code = 'k2'", "23505"),
        ("(id) DO UPDATE SET title = title", "42702"),
        ("(id) DO UPDATE SET title = excluded.code", "0A000"),
        ("(id) DO UPDATE SET title = 'x' WHERE random() < 2", "0A000"),
        ("(id) DO UPDATE SET id = 'x'", "0A000"),
        ("DO UPDATE SET title = 'x'", "42601"),
        ("(region) DO NOTHING", "42P10"),
        ("(id, code) DO NOTHING", "42P10"),
        ("(secret) DO NOTHING", "42703"),
        ("ON CONSTRAINT none DO NOTHING", "42704"),
    ];
    let cases: Vec<(String, &str)> = cases.iter().map(|(rest, code)| (upsert(rest), *code)).collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(sql, code)| (sql.as_str(), *code)).collect();
    yard.refuses(&yard.clerk(), &cases);
    // A key that only the gate keeps unique is none that may be taken.
    yard.refuses(
        &yard.owner(),
        &[("INSERT INTO crews (id, name) VALUES ('c1', 'x') ON CONFLICT (code) DO NOTHING", "42P10")],
    );
}
