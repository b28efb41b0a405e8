//! Hooks of records.

use super::gate::Gate;
use querygate_tests::server::{Answer, PASSWORD, Request};
use serde_json::{Value, json};

impl Gate {
    pub(crate) fn token(&self, user: &str) -> String {
        let body = json!({"email": format!("{user}@sales.example"), "password": PASSWORD});
        let answer = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body).send(self.server.rest.unwrap());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::new(method, &format!("/api/v1/data/{path}"));
        let request = if body.is_null() { request } else { request.json(body) };
        request.header("authorization", &format!("Bearer {token}")).send(self.server.rest.unwrap())
    }
}

#[test]
fn a_hook_fills_and_refuses_a_record() {
    let gate = Gate::new();
    let nora = gate.token("nora");
    let made = gate.send(&nora, "POST", "sales_deals", &json!({"title": " Big ", "stage": "won", "probability": 3}));
    assert_eq!(made.status, 201, "{}", made.text());
    let record = made.json()["record"].clone();
    assert_eq!((&record["title"], &record["probability"]), (&json!("Big"), &json!(100)), "{record}");
    let changed = gate.send(&nora, "PATCH", "sales_deals/d1", &json!({"title": " two ", "amount": 12}));
    assert_eq!((changed.status, &changed.json()["record"]["title"]), (200, &json!("two")), "{}", changed.text());

    let refused = gate.send(&nora, "PATCH", "sales_deals/d1", &json!({"amount": -1}));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json(), json!({"error": "An amount is positive", "object": "sales_deals"}));
    let refused = gate.send(&nora, "POST", "sales_deals", &json!({"amount": 418}));
    let told =
        json!({"error": "Teapot", "code": "VALIDATION_ERROR", "declaredCode": "TEAPOT", "object": "sales_deals"});
    assert_eq!((refused.status, refused.json()), (418, told));
    let refused = gate.send(&nora, "DELETE", "sales_deals/d2", &Value::Null);
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("A won deal is kept")), "{}", refused.text());
    let failed = gate.send(&nora, "PATCH", "sales_deals/d1", &json!({"title": "loop"}));
    assert_eq!((failed.status, &failed.json()["code"]), (500, &json!("INTERNAL_ERROR")), "{}", failed.text());
    assert_eq!(gate.deal("d1"), "two|open|12.0|5.0|-");
}

#[test]
fn a_record_of_somebody_else_is_not_told_of() {
    let gate = Gate::new();
    let omar = gate.token("omar");
    let refused = gate.send(&omar, "PATCH", "sales_deals/d1", &json!({"title": "leak"}));
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("a hook of the table refuses the change")));
    assert!(!refused.text().contains("hush"), "{}", refused.text());
}
