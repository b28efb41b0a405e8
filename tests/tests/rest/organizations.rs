//! Organizations that are walled off: what a new record may name, and whose users are seen.

use querygate_tests::server::{PASSWORD, Request, Shop, runtime};
use serde_json::{Value, json};

const STACK: &str = r#"
manifest: { id: com.example.yard, namespace: yard, version: 1.0.0, type: app, name: Yard, engines: { protocol: "^17" } }
objects:
  - name: yard_boat
    label: Boat
    sharingModel: public_read_write
    nameField: name
    fields:
      name: { type: text, label: Name }
permissions:
  - name: yard_office
    label: Office
    objects:
      yard_boat: { allowRead: true, allowCreate: true, allowEdit: true, viewAllRecords: true, modifyAllRecords: true }
      sys_user: { allowRead: true, viewAllRecords: true }
"#;
const ROWS: &str =
    "CREATE TABLE yard_boat(id TEXT PRIMARY KEY NOT NULL, name TEXT, organization_id TEXT, owner_id TEXT, \
     created_at TIMESTAMPTZ_TEXT, created_by TEXT, updated_at TIMESTAMPTZ_TEXT, updated_by TEXT);
INSERT INTO yard_boat(id, name, organization_id) VALUES ('b1', 'Ada', 'oa'), ('b2', 'Bea', 'ob');";

fn yard() -> Shop {
    let user = |name: &str, organization: &str| {
        format!(
            "email = \"{name}@yard.example\"\norganization = \"{organization}\"\npermission_sets = [\"yard_office\"]"
        )
    };
    let users = [("ann", user("ann", "oa")), ("abe", user("abe", "oa")), ("bob", user("bob", "ob"))];
    let users: Vec<(&str, &str)> = users.iter().map(|(name, rights)| (*name, rights.as_str())).collect();
    Shop::isolated(STACK, &users, ROWS)
}

fn ask(shop: &Shop, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let login = json!({"email": "ann@yard.example", "password": PASSWORD});
    let login = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(shop.rest());
    let token = login.json()["token"].as_str().unwrap_or_else(|| panic!("{}", login.text())).to_owned();
    let request = Request::new(method, &format!("/api/v1{path}")).header("authorization", &format!("Bearer {token}"));
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let answer = request.send(shop.rest());
    (answer.status, answer.json())
}

#[test]
fn a_new_record_names_no_other_organization() {
    let yard = yard();
    let create = |record: &Value| ask(&yard, "POST", "/data/yard_boat", Some(record));
    let (status, refused) = create(&json!({"id": "n1", "name": "Cam", "organization_id": "ob"}));
    assert_eq!((status, &refused["code"]), (403, &json!("PERMISSION_DENIED")), "{refused}");
    let (status, many) = ask(
        &yard,
        "POST",
        "/data/yard_boat/createMany",
        Some(&json!([{"id": "n2", "name": "Dee", "organization_id": "ob"}])),
    );
    assert_ne!(status, 201, "{many}");
    assert_eq!(create(&json!({"id": "n3", "name": "Eve", "organization_id": "oa"})).0, 201);
    assert_eq!(create(&json!({"id": "n4", "name": "Fay"})).0, 201);
    let client = yard.client("ann");
    let other = "INSERT INTO boat (id, name, organization_id) VALUES ('n5', 'Gil', 'ob')";
    let error = runtime().block_on(client.batch_execute(other)).unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    let (_, all) = ask(&yard, "GET", "/data/yard_boat?sort=id&select=id,organization_id", None);
    let stored: Vec<&Value> = all["records"].as_array().unwrap().iter().map(|record| &record["id"]).collect();
    assert_eq!(stored, ["b1", "n3", "n4"], "{all}");
}

#[test]
fn a_right_to_all_users_ends_at_the_wall() {
    let yard = yard();
    let (status, seen) = ask(&yard, "GET", "/data/sys_user?sort=id&select=id", None);
    let ids: Vec<&Value> = seen["records"].as_array().unwrap().iter().map(|record| &record["id"]).collect();
    assert_eq!((status, ids.contains(&&json!("ann")), ids.contains(&&json!("bob"))), (200, true, false), "{seen}");
    assert_eq!(ask(&yard, "GET", "/data/sys_user/bob", None).0, 404);
}
