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
        assert_eq!((answer.status, &answer.json()["sqlstate"]), (413, &json!("54000")), "{path}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), None, "another try gets the same");
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
    assert_eq!(refused("POST", "/analytics/query", Some(&count)), (404, "CUBE_NOT_FOUND".to_owned()));
    let described = gate.get("nora", "/openapi.json");
    assert!(described["paths"]["/api/v1/data/shop_parcels/{id}"].is_object());
    assert!(described["paths"].get("/api/v1/data/shop_parcels/export").is_none());
}

/// Each refused method says what is open, whoever refuses it: the route, or the engine when the change is decided.
#[test]
fn what_is_not_opened_for_a_change_says_what_is() {
    let gate = Gate::new();
    parcels(&gate);
    let record = json!({"code": "x"});
    let one = json!({"records": [{"id": "p1", "data": record}]});
    let across = json!({"operations": [{"object": "shop_parcels", "action": "create", "data": record}]});
    for (method, path, body) in [
        ("PATCH", "/data/shop_parcels/p1", &record),
        ("DELETE", "/data/shop_parcels/p1", &json!(null)),
        ("POST", "/data/shop_parcels/createMany", &json!([record])),
        ("POST", "/data/shop_parcels/updateMany", &one),
        ("POST", "/data/shop_parcels/deleteMany", &json!({"ids": ["p1"]})),
        ("POST", "/data/shop_parcels/batch", &json!({"operation": "create", "records": [record]})),
        ("POST", "/batch", &across),
        ("GET", "/data/shop_parcels", &json!(null)),
    ] {
        let answer = gate.ask("nora", method, path, Some(body).filter(|body| !body.is_null()));
        let said = answer.json();
        assert_eq!((answer.status, &said["code"]), (405, &json!("OBJECT_API_METHOD_NOT_ALLOWED")), "{method} {path}");
        assert_eq!(
            (&said["allowed"], answer.header("allow")),
            (&json!(["get", "create"]), Some("GET, POST")),
            "{path}"
        );
    }
    // Who does not see the object hears nothing of its methods.
    let hidden = gate.ask("rita", "PATCH", "/data/shop_parcels/p1", Some(&record));
    assert!(hidden.status == 403 && hidden.header("allow").is_none() && !hidden.text().contains("allowed"));
    assert_eq!(gate.get("nora", "/data/shop_parcels/p1")["record"]["code"], "x".repeat(1_000), "nothing was changed");
}

/// A structure is no key: its text would be stored, and the record would not be found by it.
#[test]
fn a_key_is_a_text_or_a_number() {
    let gate = Gate::new();
    let customer = |id: Value| json!({"id": id, "name": "Zoe"});
    for id in [json!({"$ref": 0}), json!({"a": 1}), json!(["c9"]), json!({"$eq": "c9"})] {
        let said = gate.ask("nora", "POST", "/data/shop_customers", Some(&customer(id.clone())));
        assert_eq!((said.status, &said.json()["fields"][0]["field"]), (400, &json!("id")), "{id}: {}", said.text());
        let many =
            gate.refused("nora", "POST", "/data/shop_customers/createMany", Some(&json!([customer(id.clone())])));
        assert_eq!(many, (400, "VALIDATION_FAILED".to_owned()), "{id}");
        let line = json!({"order_id": id, "line": 9, "amount": 1});
        assert_eq!(gate.refused("nora", "POST", "/data/shop_lines", Some(&line)).0, 400, "a part of a key: {id}");
    }
    assert_eq!(gate.get("nora", "/data/shop_customers")["total"], 2);
    // Within a batch it is the key of an earlier record, whoever else refers to it.
    let operations = json!({"operations": [
        {"object": "shop_customers", "action": "create", "data": {"id": "c7", "name": "Zoe"}},
        {"object": "shop_parcels", "action": "create", "data": {"id": {"$ref": 0}, "code": "same"}},
        {"object": "shop_orders", "action": "create", "data": {"id": "o9", "code": "A-9", "customer": {"$ref": 0}}},
    ]});
    let refused = gate.refused("nora", "POST", "/batch", Some(&operations));
    assert_eq!(refused, (405, "OBJECT_API_METHOD_NOT_ALLOWED".to_owned()), "parcels are not open for many");
    let operations = json!({"operations": [
        {"object": "shop_customers", "action": "create", "data": {"id": "c7", "name": "Zoe"}},
        {"object": "shop_orders", "action": "create", "data": {"id": {"$ref": 0}, "code": "A-9", "customer": {"$ref": 0}}},
        {"object": "shop_lines", "action": "create", "data": {"order_id": {"$ref": 1}, "line": 1, "amount": 1}},
    ]});
    let made = gate.ask("nora", "POST", "/batch", Some(&operations));
    assert_eq!(made.status, 200, "{}", made.text());
    let results = made.json()["results"].clone();
    assert_eq!((&results[1]["id"], &results[2]["order_id"]), (&json!("c7"), &json!("c7")), "{results}");
}

/// No source is asked for a text that none keeps.
#[test]
fn a_nul_character_is_in_no_key_and_in_no_value() {
    let gate = Gate::new();
    let before = gate.get("nora", "/data/shop_orders");
    let change = json!({"code": "A-7"});
    for (path, method) in [
        ("/data/shop_orders/o1%00", "GET"),
        ("/data/shop_orders/%00", "PATCH"),
        ("/data/shop_orders/o1%00", "PATCH"),
        ("/data/shop_orders/o1%00", "DELETE"),
        ("/data/shop_lines/o1%00,2", "GET"),
        ("/data/shop_lines/o1%00,2", "DELETE"),
        ("/data/shop_tickets/4%001", "GET"),
        ("/data/shop_tickets/41%00", "DELETE"),
    ] {
        let body = Some(&change).filter(|_| method == "PATCH");
        let refused = gate.refused("nora", method, path, body);
        assert_eq!(refused, (404, "RECORD_NOT_FOUND".to_owned()), "{method} {path}");
    }
    let many = json!({"records": [{"id": "o1\u{0}", "data": {"code": "A-7"}}, {"id": "o1", "data": {"code": "A\u{0}"}}], "options": {"continueOnError": true}});
    let many = gate.ask("nora", "POST", "/data/shop_orders/updateMany", Some(&many)).json();
    let codes = [&many["results"][0]["errors"][0]["code"], &many["results"][1]["errors"][0]["code"]];
    assert_eq!(codes, [&json!("RECORD_NOT_FOUND"), &json!("VALIDATION_ERROR")], "{many}");
    for values in [
        json!({"code": "A\u{0}"}),
        json!({"tags": ["x", "y\u{0}"]}),
        json!({"extra": {"a": [{"b": "\u{0}"}]}}),
        json!({"extra": {"a\u{0}": 1}}),
        json!({"customer": "c1\u{0}"}),
    ] {
        let refused = gate.refused("nora", "PATCH", "/data/shop_orders/o1", Some(&values));
        assert_eq!(refused, (400, "VALIDATION_ERROR".to_owned()), "{values}");
        let mut record = json!({"id": "o9", "code": "A-9"});
        record.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        let refused = gate.refused("nora", "POST", "/data/shop_orders", Some(&record));
        assert_eq!(refused, (400, "VALIDATION_ERROR".to_owned()), "{record}");
    }
    assert_eq!(gate.refused("nora", "POST", "/data/shop_orders", Some(&json!({"id": "o\u{0}", "code": "A-9"}))).0, 400);
    assert_eq!(gate.get("nora", "/data/shop_orders"), before, "nothing was changed");
}
