//! Numbers with more digits than a double has: records are found, matched and referred to by all that is written.

use crate::own::Gate;
use querygate_tests::server::{Answer, Request};
use serde_json::{Value, json};

const STACK: &str = r#"
manifest: { id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: shop_accounts
    label: Account
    datasource: shop
    external: { remoteName: accounts, writable: true }
    sharingModel: public_read_write
    systemFields: false
    nameField: name
    fields:
      id: { type: number }
      name: { type: text }
      balance: { type: currency }
      rate: { type: number }
      size: { type: number }
      tags: { type: tags }
      opened: { type: datetime }
      parent: { type: lookup, reference: shop_accounts }
  - name: shop_prices
    label: Price
    datasource: shop
    external: { remoteName: prices, writable: true }
    sharingModel: public_read_write
    systemFields: false
    nameField: label
    fields:
      id: { type: number }
      label: { type: text }
      instead: { type: lookup, reference: shop_prices }
querygate:
  tables:
    shop_accounts:
      primaryKey: [id]
      columnTypes: { id: bigint, balance: "numeric(20,2)", rate: real, size: double precision, opened: timestamptz, parent: bigint }
    shop_prices: { primaryKey: [id], columnTypes: { id: "numeric(20,0)", instead: "numeric(20,0)" } }
permissions:
  - name: shop_manager
    label: Everything
    objects:
      "*": { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, allowExport: true, viewAllRecords: true, modifyAllRecords: true }
  - name: shop_reader
    label: Reads
    objects:
      shop_accounts: { allowRead: true }
"#;

/// `a` and `b` have balances that are one double, `c` and `d` such keys.
const ROWS: &str = "CREATE TABLE accounts(id INTEGER PRIMARY KEY NOT NULL, name TEXT, balance DECIMAL_TEXT(20,2), rate FLOAT4, size DOUBLE,
    tags LIST_TEXT, opened TIMESTAMPTZ_TEXT, parent BIGINT);
CREATE TABLE prices(id DECIMAL_TEXT(20,0) PRIMARY KEY NOT NULL, label TEXT, instead DECIMAL_TEXT(20,0));
INSERT INTO accounts VALUES
    (1, 'a', '1234567890123456.78', 0.5, 0.1, '[\"x\",\"y\"]', '2024-01-02T00:00:00.000Z', NULL),
    (2, 'b', '1234567890123456.77', NULL, NULL, '[]', NULL, 9007199254740993),
    (9007199254740992, 'c', NULL, NULL, 9007199254740994, NULL, NULL, NULL),
    (9007199254740993, 'd', NULL, NULL, NULL, NULL, NULL, 9007199254740992);
INSERT INTO prices VALUES ('99999999999999999998', 'less', NULL), ('99999999999999999999', 'more', '99999999999999999998');";

fn send(gate: &Gate, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::new(method, &format!("/api/v1/data/{path}"));
    let request = request.header("authorization", &format!("Bearer {}", gate.token("nora")));
    gate.send(request.text("application/json", body))
}

/// Names of the accounts that a filter finds, or the code of its refusal.
fn found(gate: &Gate, filter: &str) -> Result<String, String> {
    let body = format!(r#"{{"where":{filter},"fields":["name"],"orderBy":[{{"field":"name","order":"asc"}}]}}"#);
    names(&send(gate, "POST", "shop_accounts/query", &body))
}

fn names(answer: &Answer) -> Result<String, String> {
    let told = answer.json();
    if answer.status != 200 {
        return Err(told["code"].as_str().unwrap().to_owned());
    }
    let names = told["records"].as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap().to_owned());
    Ok(names.collect::<Vec<_>>().join(" "))
}

/// What became of each row of an import, a word each.
fn imported(gate: &Gate, body: &str) -> Vec<String> {
    let answer = send(gate, "POST", "shop_accounts/import", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let word = |row: &Value| row["action"].as_str().filter(|_| row["ok"] == json!(true)).unwrap_or("failed").to_owned();
    told["results"].as_array().unwrap().iter().map(word).collect()
}

#[test]
fn records_are_found_by_all_digits_of_a_number() {
    let gate = Gate::of(STACK, ROWS, "");
    for (filter, expected) in [
        (r#"{"balance":1234567890123456.78}"#, "a"),
        (r#"{"balance":1.23456789012345678e15}"#, "a"),
        (r#"{"balance":"1234567890123456.77"}"#, "b"),
        (r#"{"balance":{"$in":[1234567890123456.77,5]}}"#, "b"),
        (r#"{"balance":{"$gt":1234567890123456.77}}"#, "a"),
        (r#"{"balance":{"$between":[1234567890123456.775,1234567890123456.785]}}"#, "a"),
        (r#"{"balance":{"$lt":1234567890123456.775}}"#, "b"),
        (r#"{"balance":1234567890123456.775}"#, ""),
        (r#"{"balance":{"$ne":1234567890123456.775}}"#, "a b c d"),
        (r#"{"$not":{"balance":1234567890123456.78}}"#, "b c d"),
        (r#"{"balance":{"$lt":1e30}}"#, "a b"),
        (r#"{"balance":{"$gt":99999999999999999999.5}}"#, ""),
        (r#"{"id":9007199254740993}"#, "d"),
        (r#"{"id":{"$gt":9007199254740992}}"#, "d"),
        (r#"{"id":{"$in":[9007199254740993,18446744073709551615,1.5]}}"#, "d"),
        (r#"{"id":{"$lt":18446744073709551615}}"#, "a b c d"),
        (r#"{"id":{"$gt":1.5}}"#, "b c d"),
        (r#"{"parent":9007199254740993}"#, "b"),
        (r#"{"size":0.1000000000000000055511151231257827}"#, "a"),
        (r#"{"size":9007199254740994}"#, "c"),
        (r#"{"rate":0.5}"#, "a"),
    ] {
        assert_eq!(found(&gate, filter), Ok(expected.to_owned()), "{filter}");
    }
    // Between the whole numbers that are doubles there is none.
    assert_eq!(found(&gate, r#"{"size":9007199254740993}"#), Err("INVALID_FILTER".to_owned()));
    for query in ["balance=1234567890123456.78", "filter=%7B%22balance%22%3A1234567890123456.78%7D"] {
        assert_eq!(names(&send(&gate, "GET", &format!("shop_accounts?{query}"), "")), Ok("a".to_owned()), "{query}");
    }
    let export =
        send(&gate, "GET", "shop_accounts/export?fields=name&filter=%7B%22balance%22%3A1234567890123456.78%7D", "");
    assert!(export.text().ends_with("\r\na\r\n"), "{}", export.text());
    assert_eq!(send(&gate, "GET", "shop_accounts/9007199254740993", "").json()["record"]["name"], "d");
    let read = send(&gate, "GET", "shop_accounts/1", "").text();
    assert!(read.contains("\"balance\":1234567890123456.78,"), "{read}");
}

#[test]
fn sums_have_all_digits() {
    let gate = Gate::of(STACK, ROWS, "");
    let body = r#"{"aggregations":[{"function":"sum","field":"balance","alias":"s"},{"function":"max","field":"balance","alias":"m"},
        {"function":"count","alias":"n","filter":{"balance":1234567890123456.78}}]}"#;
    let told = send(&gate, "POST", "shop_accounts/query", body).text();
    assert!(told.contains(r#"{"s":2469135780246913.55,"m":1234567890123456.78,"n":1}"#), "{told}");
}

/// A single is found by what is printed of it.
#[test]
fn a_real_is_found_by_its_own_text() {
    let gate = Gate::of(STACK, ROWS, "");
    assert_eq!(send(&gate, "PATCH", "shop_accounts/2", r#"{"rate":0.1}"#).status, 200);
    let read = send(&gate, "GET", "shop_accounts/2", "").json();
    let filter = json!({"rate": read["record"]["rate"]}).to_string();
    assert_eq!(found(&gate, &filter), Ok("b".to_owned()), "{filter}");
    assert_eq!(found(&gate, r#"{"rate":{"$lte":0.1}}"#), Ok("b".to_owned()));
}

#[test]
fn imports_find_the_record_of_a_number() {
    let gate = Gate::of(STACK, ROWS, "");
    let rows = r#"{"format":"json","writeMode":"upsert","matchFields":["balance"],"rows":[
        {"balance":1234567890123456.78,"name":"a2"},{"balance":1234567890123456.79,"name":"e"},
        {"balance":1234567890123456.790,"name":"e2"},{"balance":1234567890123456.77,"name":"b2"}]}"#;
    assert_eq!(imported(&gate, rows), ["updated", "created", "updated", "updated"]);
    let csv = "balance,name\n1234567890123456.78,a3\n1234567890123456.80,f\n\"1,234,567,890,123,456.77\",b3\n";
    let csv = json!({"format": "csv", "writeMode": "upsert", "matchFields": ["balance"], "csv": csv}).to_string();
    assert_eq!(imported(&gate, &csv), ["updated", "created", "updated"]);
    let by_key = r#"{"format":"json","writeMode":"update","matchFields":["id"],"rows":[
        {"id":9007199254740993,"name":"d2"},{"id":9007199254740991,"name":"g"}]}"#;
    assert_eq!(imported(&gate, by_key), ["updated", "skipped"]);
    let by_title = r#"{"format":"json","rows":[{"name":"h","parent":"d2"},{"name":"i","parent":"9007199254740992"}]}"#;
    assert_eq!(imported(&gate, by_title), ["created", "created"]);
    assert_eq!(found(&gate, r#"{"parent":9007199254740993}"#), Ok("b3 h".to_owned()));
    assert_eq!(found(&gate, r#"{"balance":{"$null":false}}"#), Ok("a3 b3 e2 f".to_owned()));
    assert_eq!(found(&gate, r#"{"balance":1234567890123456.8}"#), Ok("f".to_owned()));
    assert_eq!(found(&gate, r#"{"id":{"$in":[9007199254740992,9007199254740993]}}"#), Ok("c d2".to_owned()));
}

#[test]
fn references_and_keys_have_all_digits() {
    let gate = Gate::of(STACK, ROWS, "");
    let expanded = send(&gate, "GET", "shop_accounts?expand=parent&select=name,parent&sort=name", "").json();
    let parent = |at: usize| expanded["records"][at]["parent"]["name"].clone();
    assert_eq!((parent(1), parent(3)), (json!("d"), json!("c")), "{expanded}");
    let changed = r#"{"records":[{"id":9007199254740993,"data":{"name":"d2","parent":9007199254740993}}]}"#;
    assert_eq!(send(&gate, "POST", "shop_accounts/updateMany", changed).json()["succeeded"], 1);
    let batch = r#"{"operation":"upsert","records":[{"id":9007199254740993,"data":{"name":"d3"}}]}"#;
    assert_eq!(send(&gate, "POST", "shop_accounts/batch", batch).json()["succeeded"], 1);
    assert_eq!(found(&gate, r#"{"parent":9007199254740993}"#), Ok("b d3".to_owned()));
    assert_eq!(send(&gate, "POST", "shop_accounts/deleteMany", r#"{"ids":[9007199254740992]}"#).json()["succeeded"], 1);
    assert_eq!(found(&gate, "{}"), Ok("a b d3".to_owned()));
}

/// Keys that no whole number of 64 bits is, and that are one double.
#[test]
fn a_decimal_is_a_key_with_all_digits() {
    let gate = Gate::of(STACK, ROWS, "");
    let label = |answer: &Answer| answer.json()["records"][0]["label"].clone();
    let expanded = send(&gate, "GET", "shop_prices?expand=instead&sort=-label", "");
    assert_eq!(expanded.json()["records"][0]["instead"]["label"], "less", "{}", expanded.text());
    for (key, expected) in [("99999999999999999998", "less"), ("99999999999999999999", "more")] {
        let read = send(&gate, "GET", &format!("shop_prices/{key}"), "");
        assert_eq!(read.json()["record"]["label"], expected, "{}", read.text());
        let found = send(&gate, "POST", "shop_prices/query", &format!(r#"{{"where":{{"id":{key}}}}}"#));
        assert_eq!((label(&found), found.json()["total"].clone()), (json!(expected), json!(1)), "{}", found.text());
    }
    let referring = send(&gate, "POST", "shop_prices/query", r#"{"where":{"instead":{"$gte":99999999999999999998}}}"#);
    assert_eq!(label(&referring), "more", "{}", referring.text());
    let none = send(&gate, "POST", "shop_prices/query", r#"{"where":{"instead":100000000000000000000}}"#);
    assert_eq!(none.json()["total"], 0, "{}", none.text());
}

#[test]
fn a_list_is_not_found_by_the_complement_of_what_only_texts_are_asked() {
    let gate = Gate::of(STACK, ROWS, "");
    for operator in ["$startsWith", "$endsWith", "$icontains", "$like", "$ilike"] {
        let asked = format!(r#"{{"tags":{{"{operator}":"x"}}}}"#);
        assert_eq!(found(&gate, &asked), Ok(String::new()), "{asked}");
        assert_eq!(found(&gate, &format!(r#"{{"$not":{asked}}}"#)), Ok(String::new()), "{asked}");
    }
    assert_eq!(found(&gate, r#"{"$not":{"tags":{"$contains":"x"}}}"#), Ok("b c d".to_owned()));
}

/// As JavaScript reads it.
#[test]
fn the_end_of_a_day_is_the_midnight_behind_it() {
    let gate = Gate::of(STACK, ROWS, "");
    for text in ["2024-01-01T24:00:00", "2024-01-01T24:00:00Z", "2024-01-01T24:00", "2024-01-02T00:00:00Z"] {
        assert_eq!(found(&gate, &format!(r#"{{"opened":"{text}"}}"#)), Ok("a".to_owned()), "{text}");
    }
    for text in ["2024-01-01T24:00:01Z", "2024-01-01T24:01", "2024-01-01T25:00:00Z"] {
        assert_eq!(found(&gate, &format!(r#"{{"opened":"{text}"}}"#)), Err("INVALID_FILTER".to_owned()), "{text}");
    }
    // What is stored in a column whose type the table says is kept as it is written, and that is no moment of it.
    let changed = send(&gate, "PATCH", "shop_accounts/2", r#"{"opened":"2024-02-29T24:00:00Z"}"#);
    assert_eq!((changed.status, &changed.json()["code"]), (400, &json!("VALIDATION_ERROR")), "{}", changed.text());
}
