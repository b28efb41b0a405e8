//! Records of ObjectStack's own objects: who reads them, and which of them.

use crate::own::{GATE, Gate};
use querygate_tests::server::{PASSWORD, Request, Shop};
use serde_json::{Value, json};

const STACK: &str = r#"
manifest: { id: com.example.yard, namespace: yard, version: 1.0.0, type: app, name: Yard, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: yard_boat
    label: Boat
    datasource: shop
    external: { remoteName: boats, writable: true }
    sharingModel: public_read_write
    nameField: name
    fields:
      id: { type: text, label: Id }
      name: { type: text, label: Name }
      keeper: { type: user, label: Keeper }
positions:
  - { name: skipper, label: Skipper }
permissions:
  - { name: yard_hand, label: Hand, objects: { yard_boat: { allowRead: true } } }
  - { name: yard_office, label: Office, objects: { yard_boat: { allowRead: true }, sys_position: { allowRead: true } } }
data:
  - object: sys_user
    externalId: id
    mode: upsert
    records: [{ id: hal, name: Hal Hand, created_at: "2026-01-02T03:04:05.000Z" }, { id: ola, name: Ola Office }]
"#;
const ROWS: &str = "CREATE TABLE boats(id TEXT PRIMARY KEY NOT NULL, name TEXT, keeper TEXT);
INSERT INTO boats VALUES ('b1', 'Ada', 'hal'), ('b2', 'Bea', 'ola'), ('b3', 'Cam', NULL);";

fn yard() -> Shop {
    let user = |name: &str, set: &str| {
        format!("user_id = \"{name}\"\nemail = \"{name}@yard.example\"\npermission_sets = [\"{set}\"]")
    };
    let users = [
        ("hal", user("hal", "yard_hand")),
        ("ola", user("ola", "yard_office")),
        ("root", user("root", "admin_full_access")),
    ];
    let users: Vec<(&str, &str)> = users.iter().map(|(name, rights)| (*name, rights.as_str())).collect();
    Shop::new(STACK, &users, ROWS)
}

fn ask(shop: &Shop, user: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let login = json!({"email": format!("{user}@yard.example"), "password": PASSWORD});
    let login = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(shop.rest());
    let token = login.json()["token"].as_str().unwrap_or_else(|| panic!("{}", login.text())).to_owned();
    let request = Request::new(method, &format!("/api/v1{path}")).header("authorization", &format!("Bearer {token}"));
    let answer = match body {
        Some(body) => request.json(body),
        None => request,
    }
    .send(shop.rest());
    (answer.status, answer.json())
}

fn ids(body: &Value) -> Vec<&str> {
    body["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect()
}

#[test]
fn users_are_read_by_themselves_and_by_who_sees_all_records() {
    let yard = yard();
    let (status, own) = ask(&yard, "hal", "GET", "/data/sys_user?sort=id&limit=50", None);
    assert_eq!((status, ids(&own), &own["total"], &own["hasMore"]), (200, vec!["hal"], &json!(1), &json!(false)));
    assert_eq!(own["records"][0]["created_at"], "2026-01-02T03:04:05.000Z");
    let (_, all) = ask(&yard, "root", "GET", "/data/sys_user?sort=-id&select=id,name&top=2", None);
    assert_eq!(all["records"], json!([{"id": "root", "name": "root"}, {"id": "ola", "name": "Ola Office"}]));
    assert_eq!((&all["total"], &all["hasMore"]), (&json!(3), &json!(true)));
    let (status, hidden) = ask(&yard, "hal", "GET", "/data/sys_user/ola", None);
    let (_, absent) = ask(&yard, "hal", "GET", "/data/sys_user/nix", None);
    assert_eq!((status, &hidden["code"]), (404, &json!("RECORD_NOT_FOUND")));
    assert_eq!(hidden.to_string().replace("ola", "nix"), absent.to_string(), "another user is as none");
    let by_name = json!({"where": {"name": "Ola Office"}, "fields": ["id"]});
    assert_eq!(ids(&ask(&yard, "hal", "POST", "/data/sys_user/query", Some(&by_name)).1), Vec::<&str>::new());
    assert_eq!(ids(&ask(&yard, "root", "POST", "/data/sys_user/query", Some(&by_name)).1), ["ola"]);
    let pattern = json!({"where": {"name": {"$contains": "a"}}});
    assert_eq!(ask(&yard, "root", "POST", "/data/sys_user/query", Some(&pattern)).0, 501, "no filter is passed over");
    let (_, session) = ask(&yard, "hal", "GET", "/auth/get-session", None);
    assert_eq!(session["user"]["createdAt"], "2026-01-02T03:04:05.000Z");
}

#[test]
fn references_to_users_are_expanded_as_far_as_their_reader_sees_them() {
    let yard = yard();
    let expanded = |user: &str| {
        let body = json!({"fields": ["id", "keeper"], "orderBy": [{"field": "id", "order": "asc"}],
            "expand": {"keeper": {"object": "sys_user", "fields": ["name"]}}});
        let (_, answer) = ask(&yard, user, "POST", "/data/yard_boat/query", Some(&body));
        answer["records"].as_array().unwrap().iter().map(|record| record["keeper"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(expanded("root"), [json!({"name": "Hal Hand"}), json!({"name": "Ola Office"}), json!(null)]);
    assert_eq!(expanded("hal"), [json!({"name": "Hal Hand"}), json!("ola"), json!(null)]);
}

#[test]
fn what_is_not_granted_is_denied_and_what_is_not_kept_is_said() {
    let yard = yard();
    for object in ["sys_position", "sys_permission_set", "sys_metadata", "sys_record_share"] {
        for (method, path, body) in
            [("GET", format!("/data/{object}"), None), ("POST", format!("/data/{object}"), Some(json!({"name": "x"})))]
        {
            let (status, told) = ask(&yard, "hal", method, &path, body.as_ref());
            assert_eq!((status, &told["code"]), (403, &json!("PERMISSION_DENIED")), "{method} {path}");
        }
    }
    let (_, positions) = ask(&yard, "ola", "GET", "/data/sys_position", None);
    assert!(ids(&positions).contains(&"skipper") && ids(&positions).contains(&"everyone"), "{positions}");
    let (_, sets) = ask(&yard, "root", "GET", "/data/sys_permission_set", None);
    assert!(ids(&sets).contains(&"yard_hand") && ids(&sets).contains(&"admin_full_access"), "{sets}");
    assert_eq!(ask(&yard, "hal", "GET", "/data/sys_session", None).0, 501);
    assert_eq!(ask(&yard, "root", "PATCH", "/data/sys_user/hal", Some(&json!({"name": "x"}))).0, 501);
    assert_eq!(ask(&yard, "root", "GET", "/data/sys_nothing", None).0, 404);
}

/// Many changes at once are refused as one is, before anything of them is read.
#[test]
fn changes_of_several_are_refused_as_single_ones() {
    let yard = yard();
    let row = json!({"id": "x", "name": "x"});
    let records = json!([{"id": "x", "data": {"name": "x"}}]);
    for (user, object, status, code) in
        [("root", "sys_user", 501, "NOT_IMPLEMENTED"), ("hal", "sys_position", 403, "PERMISSION_DENIED")]
    {
        let change = json!({"object": object, "action": "create", "data": row.clone()});
        for (path, body) in [
            (format!("/data/{object}"), row.clone()),
            (format!("/data/{object}/createMany"), json!([row.clone()])),
            (format!("/data/{object}/updateMany"), json!({"records": records.clone()})),
            (format!("/data/{object}/deleteMany"), json!({"ids": ["x"]})),
            (format!("/data/{object}/batch"), json!({"operation": "upsert", "records": records.clone()})),
            (format!("/data/{object}/import"), json!({"format": "json", "rows": [row.clone()]})),
            ("/batch".to_owned(), json!({"operations": [change]})),
        ] {
            let (found, told) = ask(&yard, user, "POST", &path, Some(&body));
            assert_eq!((found, &told["code"]), (status, &json!(code)), "{user} {path}: {told}");
        }
    }
}

#[test]
fn keys_are_told_to_their_owners_without_what_opens() {
    let gate = Gate::new();
    for user in ["nora", "rita"] {
        let made = gate.ask(user, "POST", "/keys", Some(&json!({"name": user}))).json();
        let told = gate.get(user, "/data/sys_api_key").to_string();
        assert!(!told.contains(made["data"]["key"].as_str().unwrap()), "{told}");
    }
    let names = |user: &str| {
        let body = gate.get(user, "/data/sys_api_key");
        body["records"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((names("rita"), names("nora").len()), (vec![json!("rita")], 2), "nora sees all records of all objects");
}

#[test]
fn ties_and_pages_are_in_the_order_of_keys() {
    let ids = |path: &str| {
        let body = GATE.get("nora", path);
        body["records"].as_array().unwrap().iter().map(|record| record["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("/data/shop_orders?sort=-region&select=id"), ["o2", "o3", "o1"], "ties fall where the order does");
    assert_eq!(ids("/data/shop_orders?sort=region&select=id"), ["o1", "o3", "o2"]);
    assert_eq!(ids("/data/shop_orders?limit=-1&select=id"), ["o1", "o2", "o3"], "a limit below zero makes a page");
}
