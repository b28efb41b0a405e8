//! What forms and buttons are drawn by: members of refusals beside their codes, metadata of objects, and the rules of HTTP around them.

use crate::own::{Gate, ROWS, STACK};
use querygate_tests::server::Request;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Orders with a formula, a rule about a hidden field, and a customer who is not deleted before them.
fn gate() -> Gate {
    let more = "customer: { type: lookup, label: Customer, reference: shop_customers, deleteBehavior: restrict }\n      \
                twice: { type: formula, label: Twice, expression: { dialect: cel, source: 'record.paid == true ? 2 : 0' } }";
    let rules = "nameField: code\n    icon: cart\n    validations:\n      \
                 - { type: script, name: kept, message: Too much., condition: 'record.margin != null && record.margin > 50' }\n      \
                 - { type: script, name: named, message: No name., condition: \"record.code == 'none'\" }\n    fields:\n      id: { type: text, required: true }\n      code: { type: text, unique: global }";
    let stack = STACK.replace("customer: { type: lookup, reference: shop_customers }", more).replace(
        "nameField: code\n    fields:\n      id: { type: text, required: true }\n      code: { type: text, unique: global }",
        rules,
    );
    assert!(stack.contains("twice") && stack.contains("icon: cart"));
    Gate::of(&stack, ROWS, "")
}

#[test]
fn refusals_say_what_a_form_needs() {
    let gate = gate();
    let refused = |method: &str, path: &str, body: Option<&Value>| gate.ask("nora", method, path, body).json();
    let fault = |body: &Value| refused("PATCH", "/data/shop_orders/o1", Some(body))["fields"][0].clone();
    assert_eq!(fault(&json!({"total": 2_000_000}))["constraint"], json!({"max": 1_000_000}));
    let told = fault(&json!({"region": "zz"}));
    assert_eq!((&told["options"], &told["constraint"]), (&json!(["eu", "us"]), &json!({"allowed": "eu, us"})));
    let told = fault(&json!({"customer": "nope"}));
    assert_eq!((&told["value"], &told["constraint"]), (&json!("nope"), &json!({"target": "shop_customers"})));
    let told = refused("POST", "/data/shop_orders", Some(&json!({"id": "o1", "code": "X"})));
    assert_eq!((&told["code"], &told["field"]), (&json!("UNIQUE_VIOLATION"), &json!("id")), "{told}");
    assert!(told["developerMessage"].as_str().unwrap().contains("'shop_orders'"), "{told}");
    let told = refused("PATCH", "/data/shop_orders/o1", Some(&json!({"bogus": 1})));
    assert_eq!((&told["code"], &told["field"]), (&json!("INVALID_FIELD"), &json!("bogus")));
    let told = refused("DELETE", "/data/shop_customers/c1", None);
    assert_eq!(
        (&told["code"], &told["dependentObject"], &told["dependentCount"]),
        (&json!("DELETE_RESTRICTED"), &json!("shop_orders"), &json!(2)),
        "{told}"
    );
}

#[test]
fn a_path_says_which_methods_it_takes() {
    let gate = gate();
    let answer = gate.ask("nora", "PUT", "/data/shop_orders/o1", Some(&json!({})));
    assert_eq!((answer.status, answer.header("allow")), (405, Some("DELETE, GET, HEAD, PATCH")));
    assert_eq!(answer.json()["error"]["details"]["allowed"], json!(["DELETE", "GET", "HEAD", "PATCH"]));
}

#[test]
fn formulas_have_the_type_of_their_expression_and_batches_may_come_without_records() {
    let gate = gate();
    let record = gate.get("nora", "/data/shop_orders/o1")["record"].clone();
    assert_eq!(record["twice"], json!(2), "{record}");
    let batch = |options: Value| {
        let body =
            json!({"operation": "update", "records": [{"id": "o1", "data": {"paid": true}}], "options": options});
        gate.ask("nora", "POST", "/data/shop_orders/batch", Some(&body)).json()["results"][0].clone()
    };
    assert!(batch(json!({}))["data"].is_object());
    let quiet = batch(json!({"returnRecords": false}));
    assert!(quiet["success"] == true && quiet.get("data").is_none(), "{quiet}");
}

#[test]
fn metadata_of_an_object_names_nothing_that_its_reader_does_not_see() {
    let gate = gate();
    let item = |user: &str| gate.get(user, "/meta/object/shop_orders")["item"].clone();
    let (all, seen) = (item("nora"), item("rita"));
    assert_eq!((&all["icon"], &seen["icon"]), (&json!("cart"), &json!("cart")));
    assert_eq!((all["validations"].as_array().unwrap().len(), seen["validations"].as_array().unwrap().len()), (2, 1));
    assert!(all.to_string().contains("margin") && !seen.to_string().contains("margin"), "{seen}");
    assert!(!seen.to_string().contains("shop_secrets"), "{seen}");
}

/// One answer on a connection that stays.
fn answered(tcp: &mut TcpStream) -> String {
    let (mut told, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let read = tcp.read(&mut part).unwrap();
        told.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&told);
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = text.find("\r\n\r\n").zip(length).map(|(head, length)| head + 4 + length.parse::<usize>().unwrap());
        if read == 0 || whole.is_some_and(|whole| told.len() >= whole) {
            return text.into_owned();
        }
    }
}

/// A client that sends a body after its head finds its connection as it was, though nobody reads the body.
#[test]
fn a_refusal_without_a_look_at_the_body_keeps_the_connection_or_says_that_it_ends() {
    let gate = gate();
    let address = gate.server.rest.unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for _ in 0..5 {
        let body = json!({"code": "x"}).to_string();
        let head = format!(
            "POST /api/v1/data/shop_orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        tcp.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        tcp.write_all(body.as_bytes()).unwrap();
        let told = answered(&mut tcp);
        assert!(told.starts_with("HTTP/1.1 401") && !told.to_lowercase().contains("connection: close"), "{told}");
    }
    // What is not waited for ends the connection, and says so.
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    tcp.write_all(
        b"POST /api/v1/data/shop_orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    let told = answered(&mut tcp);
    assert!(told.starts_with("HTTP/1.1 401") && told.to_lowercase().contains("connection: close"), "{told}");
    assert_eq!(Request::new("GET", "/api/v1/health").send(address).status, 200);
}
