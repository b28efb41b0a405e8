//! Values on their way into columns: defaults, the casts of an assignment, types beyond numbers and texts.

use super::KIND;
use crate::gate::{Gate, change, code, rows};
use crate::source::Kind;
use querygate_tests::server::runtime;

fn cell(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn defaults_are_those_of_the_metadata() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    assert_eq!(change(&nora, "UPDATE goods SET kind = DEFAULT, size = 4 WHERE id = 'g1'"), Ok(1));
    assert_eq!(gate.stored("SELECT concat(kind, '|', size) FROM goods WHERE id = 'g1'"), ["plain|4"]);
    let sql = "INSERT INTO goods (id, kind) VALUES ('g2', 'fine'), ('g3', DEFAULT), ('g4', NULL) RETURNING id, kind";
    let mut given = rows(&nora, sql);
    given.sort();
    assert_eq!(given, [[cell("g2"), cell("fine")], [cell("g3"), cell("plain")], [cell("g4"), cell("plain")]]);
    let sql = "INSERT INTO goods (id) VALUES ('g1') ON CONFLICT (id) DO UPDATE SET kind = DEFAULT RETURNING kind";
    assert_eq!(change(&nora, "UPDATE goods SET kind = 'fine'"), Ok(4));
    assert_eq!(rows(&nora, sql), [[cell("plain")]]);
    for sql in ["UPDATE goods SET size = DEFAULT", "INSERT INTO goods (id, size) VALUES ('g8', 1), ('g9', DEFAULT)"] {
        assert_eq!(code(&nora, sql), "0A000", "{sql}");
    }
}

#[test]
fn what_is_assigned_without_a_cast_is_what_postgresql_assigns() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    for (sql, expected) in [
        ("UPDATE goods SET size = true", "42804"),
        ("UPDATE goods SET size = 'x' || 'y'", "42804"),
        ("UPDATE goods SET size = id", "42804"),
        ("UPDATE goods SET ready = 1", "42804"),
        ("UPDATE goods SET ready = size", "42804"),
        ("UPDATE goods SET made_on = 20260101", "42804"),
        ("UPDATE goods SET facts = kind", "42804"),
        ("INSERT INTO goods (id, size) VALUES ('g9', false)", "42804"),
        ("INSERT INTO goods (id, size) VALUES ('g9', 1), ('g8', upper('x'))", "42804"),
        ("INSERT INTO goods (id, made_on) SELECT 'g9', 5", "42804"),
        ("INSERT INTO goods (id, size) SELECT id, id FROM goods", "42804"),
        ("INSERT INTO goods (id) VALUES ('g1') ON CONFLICT (id) DO UPDATE SET size = goods.kind", "42804"),
        ("UPDATE goods SET size = 3000000000", "22003"),
        ("UPDATE goods SET size = 'many'", "22P02"),
        ("INSERT INTO goods (id, size) SELECT 'g9', 3000000000", "22003"),
        ("UPDATE goods SET kind = 'longer than twelve'", "22001"),
        ("INSERT INTO goods (id, kind) SELECT 'g9', repeat('x', 13)", "22001"),
        ("UPDATE goods SET facts = '{'", "22P02"),
        ("UPDATE goods SET id = 'g0'", "0A000"),
    ] {
        assert_eq!(code(&nora, sql), expected, "{sql}");
    }
    let stored = || gate.stored("SELECT concat_ws('|', kind, size, price, made_on) FROM goods WHERE id = 'g1'");
    assert_eq!(stored(), ["fine|1|2.5|2026-01-01"]);
    let sql =
        "UPDATE goods SET size = 2.5, price = 1.23456, kind = 12, made_on = timestamp '2026-02-03 23:00', id = 'g1'";
    assert_eq!(change(&nora, sql), Ok(1));
    assert_eq!(stored(), ["12|3|1.23|2026-02-03"]);
    let sql = "UPDATE goods SET size = size + 0.5, price = price * 2, kind = kind || '          x'";
    assert_eq!(code(&nora, sql), "22001");
    assert_eq!(change(&nora, "UPDATE goods SET size = size + 0.5, kind = 'twelve chars    ', id = id"), Ok(1));
    assert_eq!(stored(), ["twelve chars|4|1.23|2026-02-03"]);
    let sql = "INSERT INTO goods (id, size, price, kind, made_on) SELECT 7, 1.5, 1.005, size, '2026-03-04' FROM goods";
    assert_eq!(change(&nora, sql), Ok(1));
    let sql = "SELECT concat_ws('|', kind, size, price, made_on) FROM goods WHERE id = '7'";
    assert_eq!(gate.stored(sql), ["4|2|1.01|2026-03-04"]);
    assert_eq!(change(&nora, "UPDATE goods SET id = id"), Ok(2));
}

#[test]
fn documents_lists_and_bytes_are_stored() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let sql = r#"UPDATE goods SET facts = '{"a": [1, 2]}', tags = ARRAY['x', 'y,"z'], ready = true RETURNING facts, tags, ready"#;
    assert_eq!(rows(&nora, sql), [[cell(r#"{"a": [1, 2]}"#), cell(r#"{x,"y,\"z"}"#), cell("t")]]);
    let stored = match KIND {
        Kind::Postgres => r#"{"a": [1, 2]}{x,"y,\"z"}"#,
        Kind::Sqlite | Kind::MariaDb => r#"{"a": [1, 2]}["x","y,\"z"]"#,
    };
    assert_eq!(gate.stored("SELECT concat(facts, tags) FROM goods"), [stored]);
    let given = r#"{"b":1,  "aa": {"y":2,"x":1.50}, "b":[ ]}"#;
    let kept = match KIND {
        Kind::Postgres => r#"{"b": [], "aa": {"x": 1.50, "y": 2}}"#,
        Kind::Sqlite | Kind::MariaDb => given,
    };
    let sql = format!("UPDATE goods SET facts = '{given}' WHERE id = 'g1' RETURNING facts");
    assert_eq!(rows(&nora, &sql), [[cell(kept)]]);
    assert_eq!(rows(&nora, "SELECT facts FROM goods WHERE id = 'g1'"), [[cell(kept)]]);
    let counts = runtime().block_on(async {
        let sql = "INSERT INTO goods (id, tags, facts) VALUES ($1, $2, '{\"k\": 1}'), ('g7', '{}', NULL)";
        let insert = nora.prepare(sql).await.unwrap();
        let tags = vec!["a".to_owned(), "b".to_owned()];
        nora.execute(&insert, &[&"g6", &tags]).await.unwrap()
    });
    assert_eq!(counts, 2);
    let sql = "SELECT tags, facts ->> 'k' FROM goods WHERE id >= 'g6' ORDER BY id";
    assert_eq!(rows(&nora, sql), [[cell("{a,b}"), cell("1")], [cell("{}"), None]]);
}
