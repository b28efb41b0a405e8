//! Imports: rows that change records which are there, which records they mean, and how many questions that takes.

use crate::own::{Gate, ROWS};
use querygate_tests::server::Answer;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// With so many customers more, of whom two have one name.
fn gate(more: usize) -> Gate {
    let mut rows = ROWS.to_owned();
    for n in 0..more {
        let name = if n < 2 { "Twin".to_owned() } else { format!("Name {n}") };
        write!(rows, "INSERT INTO customers VALUES ('m{n:04}', '{name}', NULL);").unwrap();
    }
    Gate::over(&rows)
}

fn import(gate: &Gate, object: &str, mode: &str, fields: &[&str], rows: &[Value]) -> Answer {
    let body = json!({"format": "json", "writeMode": mode, "matchFields": fields, "rows": rows});
    gate.ask("nora", "POST", &format!("/data/{object}/import"), Some(&body))
}

/// What became of each row, a word each.
fn actions(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["results"].as_array().unwrap().clone();
    let word = |row: &Value| match row["ok"].as_bool() {
        Some(true) => row["action"].as_str().unwrap().to_owned(),
        _ => row["code"].as_str().unwrap().to_owned(),
    };
    results.iter().map(word).collect()
}

/// Statements that only read which a request led to.
fn questions(gate: &Gate, answer: &Answer) -> usize {
    let id = answer.header("x-request-id").unwrap().to_owned();
    let reads = |line: &&Value| line["template"].as_str().is_some_and(|template| template.contains("\"$or\""));
    gate.audited(&id).iter().filter(reads).count()
}

#[test]
fn rows_find_the_records_that_they_mean() {
    let gate = gate(3);
    let row = |name: Value, phone: &str| json!({"name": name, "phone": phone});
    let rows = [
        row(json!("Bob"), "+1001"),
        row(json!("Twin"), "+1002"),
        row(json!("Nobody"), "+1003"),
        row(json!("bob"), "+1004"),
        row(json!(null), "+1005"),
        row(json!("{today}"), "+1006"),
        row(json!("Name 2"), "+1007"),
    ];
    let updated = import(&gate, "shop_customers", "update", &["name"], &rows);
    let expected = ["updated", "AMBIGUOUS_MATCH", "skipped", "skipped", "REQUIRED", "skipped", "updated"];
    assert_eq!(actions(&updated)[..5], expected[..5], "{}", updated.text());
    assert_eq!(actions(&updated)[6], expected[6], "{}", updated.text());
    assert_eq!(gate.get("nora", "/data/shop_customers/c2")["record"]["phone"], "+1001");
    assert_eq!(gate.get("nora", "/data/shop_customers/m0000")["record"]["phone"], Value::Null);
    // Numbers, and values in other forms than they are stored in; two fields.
    let tickets =
        [json!({"id": 41, "title": "One"}), json!({"id": "42", "title": "Two"}), json!({"id": 99, "title": "No"})];
    let updated = import(&gate, "shop_tickets", "update", &["id"], &tickets);
    assert_eq!(actions(&updated), ["updated", "updated", "skipped"], "{}", updated.text());
    let orders = [
        json!({"region": "eu", "code": "A-1", "margin": 7}),
        json!({"region": "us", "code": "A-1", "margin": 8}),
        json!({"region": "us", "code": "A-9", "id": "o9"}),
    ];
    let upserted = import(&gate, "shop_orders", "upsert", &["region", "code"], &orders[..1]);
    assert_eq!(actions(&upserted), ["updated"]);
    let upserted = import(&gate, "shop_orders", "upsert", &["region", "code"], &orders);
    assert_eq!(actions(&upserted)[0], "updated", "{}", upserted.text());
    assert_eq!(actions(&upserted)[2], "created", "{}", upserted.text());
    assert_ne!(actions(&upserted)[1], "updated", "it is another record's code: {}", upserted.text());
}

#[test]
fn many_rows_are_found_by_few_questions() {
    let gate = gate(400);
    let rows: Vec<Value> = (2..402).map(|n| json!({"name": format!("Name {n}"), "phone": "+1999"})).collect();
    let upserted = import(&gate, "shop_customers", "upsert", &["name"], &rows);
    let actions = actions(&upserted);
    let count = |word: &str| actions.iter().filter(|action| *action == word).count();
    assert_eq!((count("updated"), count("created")), (398, 2), "{}", upserted.text());
    let asked = questions(&gate, &upserted);
    assert!((8..=20).contains(&asked), "{asked} questions for 400 rows");
    assert_eq!(gate.get("nora", "/data/shop_customers?phone=%2B1999")["total"], 400);
}

#[test]
fn a_new_key_that_comes_twice_makes_one_record() {
    let gate = gate(0);
    let row = |name: &str, phone: &str| json!({"name": name, "phone": phone});
    let rows = [
        row("Zed", "+2001"),
        row("Yan", "none"),
        row("Zed", "+2002"),
        row("Yan", "+2003"),
        row("Yan", "+2004"),
        row("zed", "+2005"),
    ];
    let expected = ["created", "invalid_phone", "updated", "created", "updated", "created"];
    let body = json!({"format": "json", "writeMode": "upsert", "matchFields": ["name"], "rows": rows, "dryRun": true});
    let dry = gate.ask("nora", "POST", "/data/shop_customers/import", Some(&body));
    assert_eq!(actions(&dry), expected, "{}", dry.text());
    assert_eq!(gate.get("nora", "/data/shop_customers?name=Zed")["total"], 0);
    let upserted = import(&gate, "shop_customers", "upsert", &["name"], &rows);
    assert_eq!(actions(&upserted), expected, "{}", upserted.text());
    for (name, phone) in [("Zed", "+2002"), ("Yan", "+2004"), ("zed", "+2005")] {
        let found = gate.get("nora", &format!("/data/shop_customers?name={name}"));
        assert_eq!((&found["total"], &found["records"][0]["phone"]), (&json!(1), &json!(phone)), "{name}");
    }
    // The text of a number is the number.
    let tickets = [json!({"id": 97, "title": "One"}), json!({"id": "97", "title": "Two"})];
    let upserted = import(&gate, "shop_tickets", "upsert", &["id"], &tickets);
    assert_eq!(actions(&upserted), ["created", "updated"], "{}", upserted.text());
    assert_eq!(gate.get("nora", "/data/shop_tickets/97")["record"]["title"], "Two");
    // A value that no ticket can be found by is its row's fault.
    let tickets = [json!({"id": "five", "title": "Five"}), json!({"id": 98, "title": "Three"})];
    let upserted = import(&gate, "shop_tickets", "upsert", &["id"], &tickets);
    assert_eq!(actions(&upserted), ["INVALID_FILTER", "created"], "{}", upserted.text());
}

#[test]
fn a_mode_that_is_none_is_refused_and_nothing_is_stored() {
    let gate = gate(0);
    let before = gate.get("nora", "/data/shop_customers?top=1")["total"].clone();
    let row = json!({"name": "New"});
    for (key, mode) in [("writeMode", json!("upser")), ("writeMode", json!(1)), ("mode", json!("upsert"))] {
        let body = json!({"format": "json", key: mode, "matchFields": ["name"], "rows": [row.clone()]});
        let refused = gate.ask("nora", "POST", "/data/shop_customers/import", Some(&body));
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        assert!(refused.text().contains("writeMode"), "{body}: {}", refused.text());
    }
    assert_eq!(gate.get("nora", "/data/shop_customers?top=1")["total"], before);
    let made = import(&gate, "shop_customers", "insert", &[], &[row]);
    assert_eq!(actions(&made).len(), 1, "{}", made.text());
}

#[test]
fn cells_are_read_as_spreadsheets_write_them() {
    let gate = gate(0);
    let csv = "id,code,margin,placed_on,placed_at\n\
        g1,G-1,\"1,234,567.5\",2026/07/15,2026/07/15 10:00\n\
        g2,G-2,\"1,000\",2026-7-5,2026-07-15T10:00:00Z\n\
        g3,G-3,\"3,14\",,\n\
        g4,G-4,,07/15/2026,\n\
        g5,G-5,,2026/02/30,\n";
    let imported = gate.ask("nora", "POST", "/data/shop_orders/import", Some(&json!({"format": "csv", "csv": csv})));
    let refused = |csv: &str| {
        let body = json!({"format": "csv", "csv": csv});
        gate.refused("nora", "POST", "/data/shop_orders/import", Some(&body))
    };
    // Thousands that no quotes hold together are two cells.
    assert_eq!(refused("id,margin\ng9,1,000\n"), (400, "INVALID_REQUEST".to_owned()));
    assert_eq!(refused("id,code\ng9,\"x\ng8,y\n"), (400, "INVALID_REQUEST".to_owned()));
    let expected = ["created", "created", "invalid_number", "invalid_date", "invalid_date"];
    let actions: Vec<String> = actions(&imported).iter().map(|word| word.to_lowercase()).collect();
    assert_eq!(actions, expected, "{}", imported.text());
    let record = |id: &str| gate.get("nora", &format!("/data/shop_orders/{id}"))["record"].clone();
    let first = record("g1");
    assert_eq!((&first["margin"], &first["placed_on"]), (&json!(1_234_567.5), &json!("2026-07-15")), "{first}");
    assert_eq!(first["placed_at"], "2026-07-15T10:00:00.000Z");
    assert_eq!((&record("g2")["margin"], &record("g2")["placed_on"]), (&json!(1000), &json!("2026-07-05")));
}
