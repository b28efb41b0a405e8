//! Changes of a version that is not the last one: refused with the record as it is now, as far as the caller may read it.

use super::gate::Gate;
use querygate_tests::server::{Answer, Request, change};
use serde_json::json;
use tempfile::TempDir;

const STACK: &str = r#"
manifest: { id: com.example.desk, namespace: desk, version: 1.0.0, type: app, name: Desk, engines: { protocol: "^17" } }
objects:
  - name: desk_papers
    label: Paper
    datasource: shop
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      title: { type: text }
      region: { type: text }
      phone: { type: text, maskingRule: { keepTail: 2 } }
      secret: { type: text }
      updated_at: { type: datetime }
permissions:
  - name: desk_manager
    label: Manager
    objects:
      desk_papers: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
  - name: desk_clerk
    label: Clerk
    objects:
      desk_papers: { allowRead: true, allowEdit: true, allowDelete: true }
    fields:
      desk_papers.secret: { readable: false, editable: false }
    rowLevelSecurity:
      - { name: region, label: Region, object: desk_papers, operation: all, using: "record.region == current_user.region", check: "record.region == current_user.region" }
"#;

fn gate() -> Gate {
    let entry = "[[sources]]\nname = \"shop\"\nkind = \"memory\"\nwrites = true\n";
    Gate::served(TempDir::new().unwrap(), None, STACK, entry, "")
}

#[test]
fn a_change_that_comes_too_late_hears_what_is_there_now() {
    let gate = gate();
    let wanda = gate.client("wanda");
    for (id, region) in [("e", "eu"), ("u", "us")] {
        let values = format!("('{id}', 'old', '{region}', '5551234', 'hidden')");
        change(&wanda, &format!("INSERT INTO papers(id, title, region, phone, secret) VALUES {values}")).unwrap();
    }
    let token = gate.token("eve");
    let send = |method: &str, id: &str, version: Option<&str>| -> Answer {
        let path = format!("/api/v1/data/desk_papers/{id}");
        let request = Request::new(method, &path).header("authorization", &format!("Bearer {token}"));
        let request = match version {
            Some(version) => request.header("if-match", &format!("\"{version}\"")),
            None => request,
        };
        let request = if method == "PATCH" { request.json(&json!({"title": "new"})) } else { request };
        request.send(gate.server.rest.unwrap())
    };
    let expected = send("GET", "e", None).json()["record"].clone();
    let version = expected["updated_at"].as_str().unwrap().to_owned();
    assert_eq!((&expected["phone"], expected.get("secret")), (&json!("*****34"), None));
    let stale = send("PATCH", "e", Some("2025-01-01T00:00:00.000Z"));
    let body = stale.json();
    assert_eq!((stale.status, &body["code"]), (409, &json!("CONCURRENT_UPDATE")), "{body}");
    assert_eq!((&body["currentVersion"], &body["currentRecord"]), (&json!(version), &expected));
    assert!(!body.to_string().contains("hidden"), "{body}");
    assert_eq!(send("DELETE", "e", Some("*")).json()["currentRecord"], expected);
    // Of a record that is hidden nothing is heard, whatever its version is.
    for (method, id) in [("PATCH", "u"), ("DELETE", "u"), ("PATCH", "x"), ("DELETE", "x")] {
        let (stale, plain) = (send(method, id, Some("2025-01-01T00:00:00.000Z")), send(method, id, None));
        assert_eq!((stale.status, stale.text()), (plain.status, plain.text()), "{method} {id}");
        assert!(stale.status >= 400 && stale.json().get("currentRecord").is_none(), "{}", stale.text());
    }
    assert_eq!(send("PATCH", "e", Some(&version)).status, 200);
    assert_eq!(send("PATCH", "e", None).status, 200);
}
