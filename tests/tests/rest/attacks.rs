//! An attacker's list. Each request of somebody who may not see all is sent to two gates, which differ in nothing but what that user
//! does not see: status, headers and body must be the same, and hold nothing hidden. Each is refused or answered as is said beside it.

use crate::own::{GATE, Gate, ROWS};
use querygate_tests::server::{Answer, Request};
use serde_json::{Value, json};

/// What stands in hidden cells, in hidden rows, behind the mask and in objects that are not readable.
const HIDDEN: [&str; 9] = ["411111", "550000", "hush", "s1", "A-2", "Ann", "+1555", "Bob", "12.75"];

/// The same rows to the eyes of the reader.
fn others() -> String {
    let mut rows = ROWS.to_owned();
    for (from, to) in [
        ("'4111111111111111', 0.5", "'4999999999991111', 12.75"),
        ("'o2', 'A-2', 'c2', 'us', '10.0000', '5500000000000004', 2", "'o7', 'Z-9', 'c1', 'us', '77.0000', '1', 12.75"),
        ("'Ann \"A\"', '+1555'", "'Zoe', NULL"),
        ("('s1', 'hush')", "('s2', 'other'), ('s3', 'words')"),
        ("('o1', 1, 2.5), ('o1', 2, 1)", "('o1', 7, 9)"),
    ] {
        assert!(rows.contains(from), "{from}");
        rows = rows.replace(from, to);
    }
    rows
}

/// What must be the same of two answers.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let own = ["x-request-id", "date", "connection"];
    let mut headers: Vec<_> =
        answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect();
    headers.sort();
    (answer.status, headers, answer.text())
}

fn get(path: &str) -> (&'static str, String, Option<Value>) {
    ("GET", path.to_owned(), None)
}

fn ask(object: &str, body: Value) -> (&'static str, String, Option<Value>) {
    ("POST", format!("/data/{object}/query"), Some(body))
}

fn send(method: &'static str, path: &str, body: Value) -> (&'static str, String, Option<Value>) {
    (method, path.to_owned(), Some(body))
}

type Probe = ((&'static str, String, Option<Value>), u16);

/// Hidden and masked fields where fields are named.
fn fields() -> Vec<Probe> {
    let orders = |body| ask("shop_orders", body);
    let count = json!([{"function": "count", "alias": "n"}]);
    vec![
        (get("/data/shop_orders?margin=0.5"), 403),
        (get("/data/shop_orders?card=4111111111111111"), 403),
        (get("/data/shop_orders?sort=margin"), 403),
        (get("/data/shop_orders?sort=-card"), 403),
        (get("/data/shop_orders?select=id,margin,card"), 200),
        (get("/data/shop_orders/o1?select=margin"), 200),
        (get("/data/shop_orders?filter={%22margin%22:{%22$gt%22:0}}"), 403),
        (get("/data/shop_orders?filter=[%22margin%22,%22=%22,0.5]"), 403),
        (get("/data/shop_orders?region=eu&region=us"), 400),
        (get("/data/shop_orders?filter={}&where={%22margin%22:0.5}"), 400),
        (get("/data/shop_orders?search=4111&searchFields=card"), 403),
        (get("/data/shop_orders?expand=margin"), 200),
        (get("/data/shop_orders?expand=customer.name"), 200),
        (orders(json!({"where": {"$not": {"margin": {"$null": true}}}})), 403),
        (orders(json!({"where": {"$or": [{"code": "A-1"}, {"$and": [{"card": {"$startsWith": "4"}}]}]}})), 403),
        (orders(json!({"where": {"total": {"$gt": {"$field": "margin"}}}})), 403),
        (orders(json!({"orderBy": [{"field": "code", "order": "asc"}, {"field": "margin", "order": "asc"}]})), 403),
        (orders(json!({"groupBy": ["margin"], "aggregations": count})), 403),
        (orders(json!({"groupBy": ["card"]})), 403),
        (orders(json!({"aggregations": [{"function": "sum", "field": "margin", "alias": "s"}]})), 403),
        (orders(json!({"aggregations": [{"function": "max", "field": "card", "alias": "s"}]})), 403),
        (orders(json!({"aggregations": [{"function": "count", "alias": "n", "filter": {"margin": {"$gt": 1}}}]})), 403),
        (orders(json!({"groupBy": ["region"], "aggregations": count, "having": {"margin": {"$gt": 1}}})), 403),
        (
            orders(
                json!({"expand": {"customer": {"object": "shop_customers", "where": {"name": {"$startsWith": "A"}}}}}),
            ),
            200,
        ),
        (orders(json!({"expand": {"customer": {"object": "shop_secrets"}}})), 200),
        (orders(json!({"fields": ["MARGIN"]})), 400),
        (orders(json!({"where": {"margin ": 1}})), 400),
        (orders(json!({"where": {"customer.name": "Bob"}})), 400),
        (orders(json!({"limit": 0, "where": {"margin": 0.5}})), 403),
    ]
}

/// Hidden rows and objects, by their keys and beside others.
fn rows() -> Vec<Probe> {
    vec![
        (get("/data/shop_orders"), 200),
        (get("/data/shop_orders?region=us"), 200),
        (get("/data/shop_orders?count=true&limit=1"), 200),
        (get("/data/shop_orders?limit=1&offset=1&sort=id"), 200),
        (get("/data/shop_orders/o2"), 404),
        (get("/data/shop_orders/o7"), 404),
        (get("/data/shop_orders/o2%00"), 404),
        (get("/data/shop_orders/%7Bcurrent_user_id%7D"), 404),
        (get("/data/shop_orders/o1'%20OR%20'1'='1"), 404),
        (get("/data/shop_orders/%F0%9F%92%A9"), 404),
        (get("/data/shop_secrets"), 403),
        (get("/data/shop_secrets/s1"), 403),
        (get("/data/shop_secrets/none"), 403),
        (ask("shop_secrets", json!({"aggregations": [{"function": "count", "alias": "n"}]})), 403),
        (ask("shop_customers", json!({})), 403),
        (get("/data/shop_lines/o1,1"), 403),
        (
            ask(
                "shop_orders",
                json!({"aggregations": [{"function": "count", "alias": "n"}, {"function": "max", "field": "total", "alias": "m"}]}),
            ),
            200,
        ),
        (
            ask("shop_orders", json!({"groupBy": ["region"], "aggregations": [{"function": "count", "alias": "n"}]})),
            200,
        ),
        (ask("shop_orders", json!({"search": "A-2"})), 403),
        (get("/search?q=hush&objects=shop_secrets"), 200),
        (get("/search?q=A&objects=shop_orders,shop_secrets"), 403),
        (get("/search?q=hush"), 403),
        (get("/data/shop_orders/export"), 403),
        (get("/data/shop_secrets/export?format=json"), 403),
    ]
}

/// Descriptions, analytics, verdicts, changes.
fn elsewhere() -> Vec<Probe> {
    let analytics = |body| send("POST", "/analytics/query", body);
    vec![
        (get("/openapi.json"), 200),
        (get("/meta"), 200),
        (get("/meta/object"), 200),
        (get("/meta/object/shop_orders"), 200),
        (get("/meta/object/shop_secrets"), 404),
        (get("/meta/permission"), 200),
        (get("/meta/app/shop_app"), 200),
        (get("/i18n/translations/de"), 200),
        (get("/i18n/labels/shop_secrets/de"), 200),
        (get("/i18n/labels/shop_nothing/de"), 200),
        (get("/packages"), 403),
        (get("/analytics/meta"), 200),
        (analytics(json!({"cube": "shop_orders", "measures": ["margin_sum"]})), 400),
        (analytics(json!({"cube": "shop_orders", "measures": ["count"], "dimensions": ["card"]})), 400),
        (analytics(json!({"cube": "shop_sales", "measures": ["earned"]})), 400),
        (analytics(json!({"cube": "shop_hush", "measures": ["secrets"]})), 404),
        (analytics(json!({"cube": "shop_orders", "measures": ["count"], "where": {"margin": {"$gt": 0}}})), 403),
        (
            send(
                "POST",
                "/analytics/dataset/query",
                json!({"datasetName": "orders_by", "selection": {"measures": ["earned"]}}),
            ),
            400,
        ),
        (send("POST", "/analytics/sql", json!({"cube": "shop_orders", "measures": ["count"]})), 200),
        (get("/security/explain?object=shop_secrets&operation=read"), 200),
        (get("/security/explain?object=shop_orders&operation=read&recordId=o2"), 200),
        (get("/security/explain?object=shop_orders&operation=read&userId=nora"), 403),
        (send("PATCH", "/data/shop_orders/o2", json!({"code": "x"})), 403),
        (send("PATCH", "/data/shop_secrets/s1", json!({"word": "x"})), 403),
        (send("POST", "/data/shop_orders", json!({"id": "o2", "code": "x"})), 403),
        (
            send("POST", "/batch", json!({"operations": [{"object": "shop_secrets", "action": "delete", "id": "s1"}]})),
            403,
        ),
        (send("POST", "/data/shop_orders/deleteMany", json!({"ids": ["o1", "o2", "o9"]})), 200),
        (get("/data/shop_nothing"), 404),
        (get("/data/sys_user"), 200),
        (get("/data/sys_position"), 403),
        (get("/data/shop_orders/query"), 405),
    ]
}

#[test]
fn what_is_hidden_changes_no_answer() {
    let other = Gate::over(&others());
    let probes: Vec<Probe> = [fields(), rows(), elsewhere()].concat();
    assert!(probes.len() >= 80, "{}", probes.len());
    let tokens = [&*GATE, &other].map(|gate| format!("Bearer {}", gate.token("rita")));
    let mut wrong = Vec::new();
    for ((method, path, body), expected) in &probes {
        let mut answers = [&*GATE, &other].into_iter().zip(&tokens).map(|(gate, token)| {
            let request = Request::new(method, &format!("/api/v1{path}")).header("authorization", token);
            gate.send(match body {
                Some(body) => request.json(body),
                None => request,
            })
        });
        let (one, two) = (answers.next().unwrap(), answers.next().unwrap());
        let asked = format!("{method} {path} {}", body.as_ref().map(Value::to_string).unwrap_or_default());
        if one.status != *expected {
            wrong.push(format!("{asked}: {} for {expected}: {:.300}", one.status, one.text()));
        }
        if told(&one) != told(&two) {
            wrong.push(format!("{asked}: {:?}\n  but {:?}", told(&one), told(&two)));
        }
        let text = one.text();
        let leaked = HIDDEN.iter().filter(|word| text.contains(*word) && !asked.contains(*word));
        wrong.extend(leaked.map(|word| format!("{asked}: tells {word}: {text:.300}")));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), probes.len(), wrong.join("\n"));
}

/// Hidden names are in no description, whoever asks for it in whatever words.
#[test]
fn hidden_names_are_in_no_description() {
    for path in [
        "/openapi.json",
        "/meta/object",
        "/meta/object/shop_orders",
        "/i18n/translations/de",
        "/analytics/meta",
        "/me/apps",
    ] {
        let text = GATE.ask("rita", "GET", path, None).text();
        for word in ["margin", "Marge", "shop_secrets", "Geheimnis", "shop_customers", "europe"] {
            let names = text.contains(word);
            // A reference is declared by the name of what it refers to.
            assert!(!names || (word == "shop_customers" && path.starts_with("/meta")), "{path} tells {word}");
        }
    }
}
