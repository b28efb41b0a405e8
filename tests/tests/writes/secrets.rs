//! Fields of type `secret`, whose values ObjectStack keeps encrypted: the gate has no keys for that and stores none.

use crate::servers::ask;
use querygate_tests::server::{PASSWORD, Request, Shop};
use serde_json::json;

const STACK: &str = r#"
manifest: { id: com.example.desk, namespace: desk, version: 1.0.0, type: app, name: Desk, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: desk_notes
    label: Note
    datasource: shop
    external: { remoteName: notes, writable: true }
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      words: { type: text }
      token: { type: secret }
permissions:
  - name: desk_all
    label: Everything
    objects:
      desk_notes: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
"#;

#[test]
fn secrets_are_not_stored_in_the_clear() {
    let users = [("nora", "email = \"nora@shop.example\"\npermission_sets = [\"desk_all\"]")];
    let rows = "CREATE TABLE notes(id text primary key not null, words text, token text); INSERT INTO notes VALUES ('n1', 'a', NULL)";
    let shop = Shop::new(STACK, &users, rows);
    let nora = shop.client("nora");
    for sql in [
        "INSERT INTO notes (id, token) VALUES ('n2', 'TOPSECRET')",
        "INSERT INTO notes (id, token) SELECT 'n2', 'TOPSECRET'",
        "UPDATE notes SET token = 'TOPSECRET' WHERE id = 'n1'",
        "INSERT INTO notes (id, words) VALUES ('n1', 'b') ON CONFLICT (id) DO UPDATE SET token = 'TOPSECRET'",
    ] {
        let (code, text) = ask(&nora, sql).unwrap_err();
        assert_eq!(code, "0A000", "{sql}: {text}");
        assert!(text.contains("a value for the secret \"token\" is not supported"), "{sql}: {text}");
    }
    let login = json!({"email": "nora@shop.example", "password": PASSWORD});
    let signed_in = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(shop.rest());
    let token = format!("Bearer {}", signed_in.json()["token"].as_str().unwrap());
    let send = |method: &str, path: &str, body| {
        Request::new(method, path).header("authorization", &token).json(&body).send(shop.rest())
    };
    let records = "/api/v1/data/desk_notes";
    let made = send("POST", records, json!({"id": "n2", "token": "TOPSECRET"}));
    assert_eq!(made.status, 501, "{}", made.text());
    let changed = send("PATCH", &format!("{records}/n1"), json!({"token": "TOPSECRET"}));
    assert_eq!(changed.status, 501, "{}", changed.text());
    let changed = send("PATCH", &format!("{records}/n1"), json!({"words": "c", "token": null}));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(shop.stored("SELECT id || ':' || words || ':' || coalesce(token, '-') FROM notes"), ["n1:c:-"]);
}
