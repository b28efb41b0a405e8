//! What one request may come to: bodies, faults, expanded references; and routes that read an object which is opened for few methods.

use crate::own::Gate;
use querygate_tests::server::execute;
use serde_json::{Map, Value, json};

/// A record that refers to itself some hundred times, which metadata opens for single reads alone.
fn parcels(gate: &Gate) {
    let near = format!("[{}]", vec!["\"p1\""; 200].join(","));
    let rows = format!("INSERT INTO parcels VALUES ('p1', '{}', '{near}')", "x".repeat(1_000));
    execute(&gate.file("shop.sqlite"), &rows);
}

#[test]
fn lists_of_references_are_expanded_up_to_a_bound() {
    let gate = Gate::new();
    parcels(&gate);
    let one = gate.get("nora", "/data/shop_parcels/p1?expand=near");
    let near = one["record"]["near"].as_array().unwrap();
    assert_eq!((near.len(), &near[199]["id"]), (200, &json!("p1")));
    for path in ["/data/shop_parcels/p1?expand=near.near", "/data/shop_parcels/p1?expand=near.near.near"] {
        let answer = gate.ask("nora", "GET", path, None);
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert_eq!(answer.json()["sqlstate"], "54000", "{path}: {}", answer.text());
    }
}

#[test]
fn the_faults_of_a_body_are_told_up_to_a_bound() {
    let gate = Gate::new();
    let keys: Map<String, Value> = (0..2_000).map(|number| (format!("k{number}"), json!(1))).collect();
    let query = gate.ask("nora", "POST", "/data/shop_orders/query", Some(&Value::Object(keys)));
    assert_eq!((query.status, query.json()["fields"].as_array().unwrap().len()), (400, 100));
    let batch = json!({"operation": "delete", "records": vec![json!({}); 150]});
    let batch = gate.ask("nora", "POST", "/data/shop_orders/batch", Some(&batch));
    assert_eq!((batch.status, batch.json()["fields"].as_array().unwrap().len()), (400, 100));
}

/// The time that planning takes grows with the square of their number.
#[test]
fn conditions_are_taken_up_to_a_bound() {
    let gate = Gate::new();
    let ask = |body: &Value| gate.ask("nora", "POST", "/data/shop_orders/query", Some(body));
    let tests = |count: usize| (0..count).map(|n| json!({"code": {"$ne": n.to_string()}})).collect::<Vec<_>>();
    for operator in ["$and", "$or"] {
        let most = ask(&json!({"where": {operator: tests(500)}}));
        assert_eq!((most.status, &most.json()["total"]), (200, &json!(3)), "{operator}: {}", most.text());
        let more = ask(&json!({"where": {operator: tests(501)}}));
        assert_eq!((more.status, &more.json()["code"]), (400, &json!("INVALID_QUERY")), "{operator}: {}", more.text());
    }
    let one = json!({"function": "count", "alias": "a", "filter": {"$or": tests(300)}});
    let other = json!({"function": "count", "alias": "b", "filter": {"$or": tests(300)}});
    assert_eq!(ask(&json!({"aggregations": [one, other]})).status, 400, "they count together");
    let list: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    assert_eq!(ask(&json!({"where": {"code": {"$in": list}}})).status, 200, "a list is one");
}

#[test]
fn what_is_not_opened_for_lists_is_not_listed_in_another_way() {
    let gate = Gate::new();
    parcels(&gate);
    let refused = |method: &str, path: &str, body: Option<&Value>| gate.refused("nora", method, path, body);
    let closed = (405, "OBJECT_API_METHOD_NOT_ALLOWED".to_owned());
    assert_eq!(refused("GET", "/data/shop_parcels", None), closed);
    assert_eq!(refused("GET", "/data/shop_parcels/export", None), closed);
    assert_eq!(refused("GET", "/search?q=x&objects=shop_parcels", None), closed);
    let count = json!({"cube": "shop_parcels", "measures": ["count"]});
    assert_eq!(refused("POST", "/analytics/query", Some(&count)), (404, "OBJECT_NOT_FOUND".to_owned()));
    let described = gate.get("nora", "/openapi.json");
    assert!(described["paths"]["/api/v1/data/shop_parcels/{id}"].is_object());
    assert!(described["paths"].get("/api/v1/data/shop_parcels/export").is_none());
}
