//! The hooks of the demo, as its printed list says: one fills a field, one refuses, in psql and over REST.

use querygate_tests::server::{Request, Variant, find_after, psql};
use serde_json::json;

#[test]
fn the_demo_has_a_hook_that_fills_and_one_that_refuses() {
    let (variant, mut server) = Variant::writable();
    let rest = find_after(&server.lines(), "ObjectStack's REST interface: http://");
    server.rest = rest.trim_end_matches("/api/v1").parse().ok();
    let sam = |sql: &str| psql(&server, "sam", &["-At", "-c", sql]);
    let deal = |at: usize| {
        let sql = format!(
            "SELECT id FROM opportunities WHERE stage = 'negotiation' AND amount > 1000 AND owner_id = 'usr_sam' ORDER BY id OFFSET {at} LIMIT 1"
        );
        sam(&sql).out.trim().to_owned()
    };
    let (first, second, third) = (deal(0), deal(1), deal(2));
    assert!(first < second && second < third && !first.is_empty(), "{first} {second} {third}");
    let won = sam(&format!("UPDATE opportunities SET stage = 'won' WHERE id = '{first}' RETURNING stage, probability"));
    assert_eq!(won.out, "won|100\nUPDATE 1\n", "{}", won.err);
    let refused = sam(&format!("UPDATE opportunities SET amount = 1 WHERE id = '{second}'"));
    assert!(refused.err.contains("P0001: More than a fifth off: ask a manager first"), "{}", refused.both());

    let address = server.rest.unwrap();
    let login = json!({"email": "sam@crm.example", "password": "demo-sam"});
    let token = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(address).json()["token"].clone();
    let patch = |id: &str, body: &serde_json::Value| {
        let request = Request::new("PATCH", &format!("/api/v1/data/crm_opportunities/{id}")).json(body);
        request.header("authorization", &format!("Bearer {}", token.as_str().unwrap())).send(address)
    };
    let lost = patch(&third, &json!({"stage": "lost"}));
    assert_eq!((lost.status, &lost.json()["record"]["probability"]), (200, &json!(0)), "{}", lost.text());
    let refused = patch(&second, &json!({"amount": 1}));
    let told = refused.json();
    assert_eq!((refused.status, &told["declaredCode"]), (400, &json!("DISCOUNT")), "{told}");
    assert_eq!(told["error"], "More than a fifth off: ask a manager first");
    // The list that the demo prints names them both.
    let guide = server.lines().join("\n");
    assert!(guide.contains("100, by a script") && guide.contains("a script says no"), "{guide}");
    drop((server, variant));
}
