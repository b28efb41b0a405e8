//! Formula fields: computed for those who see all that they read, absent for others, over every way rows are stored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_tests::harness::{Answer, Client, Fixture, Layout, TestGate};
use querygate_types::principal::Principal;
use serde_json::{Value, json};

fn fixture() -> Fixture {
    let formula = |source: &str, returns: Value| json!({"type": "formula", "label": "f", "expression": {"dialect": "cel", "source": source}, "returnType": returns});
    let stack = json!({
        "manifest": {"id": "test.f", "namespace": "f", "version": "1.0.0", "type": "app", "name": "f", "engines": {"protocol": "^17"}},
        "objects": [{"name": "f_deals", "label": "Deals", "sharingModel": "public_read_write", "ownership": "none",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": {
                "name": {"type": "text", "label": "n"},
                "amount": {"type": "currency", "label": "a"},
                "chance": {"type": "percent", "label": "c"},
                "closes": {"type": "date", "label": "d"},
                "labels": {"type": "tags", "label": "t"},
                "pin": {"type": "text", "label": "p", "maskingRule": {"keepHead": 0}, "requiredPermissions": ["f.see"]},
                "expected": formula("(record.amount == null ? 0 : record.amount) * (record.chance == null ? 0 : record.chance) / 100", json!("number")),
                "title": formula("record.name + ': ' + string(record.amount)", json!("text")),
                "large": formula("record.amount >= 1000.0", json!("boolean")),
                "due": formula("addDays(record.closes, 30)", json!("date")),
                "labelled": formula("joinNonEmpty(record.labels, '/')", json!("text")),
                "pinned": formula("'<' + record.pin + '>'", json!("text")),
                "broken": formula("record.nothing", json!("text")),
                "hidden": formula("record.name", json!("text")),
            }}],
        "capabilities": [{"name": "f.see", "label": "see", "scope": "org"}],
        "permissions": [
            {"name": "f_reader", "label": "r", "objects": {"f_deals": {"allowRead": true}},
             "fields": {"f_deals.chance": {"readable": false}, "f_deals.hidden": {"readable": false}}},
            {"name": "f_seer", "label": "s", "objects": {"f_deals": {"allowRead": true}}, "systemPermissions": ["f.see"]},
        ],
    });
    let rows = json!([
        {"id": "a", "name": "Ann", "amount": 1250.5, "chance": 40, "closes": "2024-01-15", "labels": ["x", "y"], "pin": "12"},
        {"id": "b", "name": "Bob", "amount": 10, "chance": 5, "closes": "2023-12-31", "labels": [], "pin": "34"},
        {"id": "c"},
    ]);
    let mut fixture = Fixture::new(stack, Vec::new());
    let table = Fixture::declared(&fixture.snapshot(), "f_deals", &rows);
    fixture.tables.push(table);
    fixture
}

fn rows(client: &Client, sql: &str) -> Vec<String> {
    match client.run(sql) {
        Answer::Rows { rows, .. } => rows
            .iter()
            .map(|row| row.iter().map(|v| v.as_deref().unwrap_or("~")).collect::<Vec<_>>().join("|"))
            .collect(),
        other => panic!("{sql}: {}", other.text()),
    }
}

fn sees(permission_set: &str) -> Principal {
    Principal::builder("ann").permission_set(permission_set).build()
}

#[test]
fn formulas_are_columns_like_others() {
    for layout in Layout::ALL {
        let gate = TestGate::new(&fixture(), layout);
        let seer = gate.client(&sees("f_seer"));
        for (sql, expected) in [
            (
                "SELECT id, expected, title, large FROM deals ORDER BY id",
                vec!["a|500.2|Ann: 1250.5|true", "b|0.5|Bob: 10|false", "c|0.0|~|~"],
            ),
            (
                "SELECT due, labelled, pinned FROM deals ORDER BY id",
                vec!["2024-02-14|x/y|<12>", "2024-01-30||<34>", "~|~|~"],
            ),
            ("SELECT title FROM deals WHERE large", vec!["Ann: 1250.5"]),
            (
                "SELECT large, sum(expected), count(*) FROM deals GROUP BY large ORDER BY 2",
                vec!["~|0.0|1", "false|0.5|1", "true|500.2|1"],
            ),
            ("SELECT a.id FROM deals a JOIN deals b ON a.due > b.due ORDER BY 1", vec!["a"]),
            ("SELECT id FROM deals ORDER BY expected DESC LIMIT 1", vec!["a"]),
            (
                "SELECT data_type FROM information_schema.columns WHERE table_name = 'deals' AND column_name IN ('expected', 'due') ORDER BY 1",
                vec!["date", "double precision"],
            ),
        ] {
            assert_eq!(rows(&seer, sql), expected, "{layout:?} {sql}");
        }
    }
}

#[test]
fn a_formula_is_absent_where_what_it_reads_is_hidden_or_masked() {
    let gate = TestGate::new(&fixture(), Layout::Sqlite);
    let reader = gate.client(&sees("f_reader"));
    let seer = gate.client(&sees("f_seer"));
    assert_eq!(rows(&reader, "SELECT title FROM deals ORDER BY id"), ["Ann: 1250.5", "Bob: 10", "~"]);
    for (client, column) in [(&reader, "expected"), (&reader, "pinned"), (&reader, "hidden"), (&seer, "broken")] {
        let answer = client.run(&format!("SELECT {column} FROM deals")).text();
        let unknown = client.run("SELECT never_was FROM deals").text();
        assert_eq!(answer.replace(column, "never_was"), unknown);
    }
    let listed =
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'deals' ORDER BY ordinal_position";
    assert_eq!(
        rows(&reader, listed),
        ["id", "name", "amount", "closes", "labels", "pin", "title", "large", "due", "labelled"]
    );
    assert_eq!(rows(&seer, "SELECT hidden FROM deals WHERE id = 'a'"), ["Ann"]);
}
