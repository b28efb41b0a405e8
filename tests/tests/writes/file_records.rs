//! Records in folders of Parquet files, through the REST door.

use crate::files::{Gate, rows};
use crate::source::PASSWORD;
use querygate_tests::server::Request;
use serde_json::{Value, json};

#[test]
fn records_are_created_over_rest_and_not_changed() {
    let gate = Gate::new();
    let send = |request: Request| request.send(gate.server.rest.unwrap());
    let login = json!({"email": "nora@lake.example", "password": PASSWORD});
    let token = send(Request::new("POST", "/api/v1/auth/sign-in/email").json(&login)).json()["token"].clone();
    let ask = |method: &str, path: &str, body: &Value| {
        let request = Request::new(method, &format!("/api/v1/data/{path}"));
        send(request.header("authorization", &format!("Bearer {}", token.as_str().unwrap())).json(body))
    };
    let created =
        ask("POST", "lake_orders", &json!({"region": "eu", "amount": 2.5, "placed_at": "2026-02-03T04:05:06.789Z"}));
    assert_eq!(created.status, 201, "{}", created.text());
    let record = created.json()["record"].clone();
    assert_eq!(
        (&record["amount"], &record["placed_at"]),
        (&json!(2.5), &json!("2026-02-03T04:05:06.789Z")),
        "{record}"
    );
    let id = record["id"].as_str().unwrap();
    assert_eq!(rows(&gate.client("nora"), &format!("SELECT amount FROM orders WHERE id = '{id}'")), ["2.5000"]);
    let again = ask("POST", "lake_orders", &json!({"id": id, "region": "eu"}));
    assert_eq!(again.status, 409, "{}", again.text());
    for method in ["PATCH", "DELETE"] {
        let refused = ask(method, &format!("lake_orders/{id}"), &json!({"region": "us"}));
        assert_eq!(refused.status, 501, "{method} {}", refused.text());
    }
    assert_eq!((gate.names("orders").len(), gate.left().len()), (2, 0));
}
