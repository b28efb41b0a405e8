//! The door over a stack of its own: logins, what a reader gets and does not get, bounds, changes.

use querygate_tests::server::{Answer, PASSWORD, Request, Server, add_user, binary, connect, execute};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;
use tokio_postgres::Client;

pub(crate) const STACK: &str = include_str!("stack.yaml");

pub(crate) const ROWS: &str = r#"
CREATE TABLE customers(id TEXT PRIMARY KEY NOT NULL, name TEXT, phone TEXT);
CREATE TABLE orders(id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE, customer TEXT, region TEXT, total DECIMAL_TEXT(18,4), card TEXT,
    margin DOUBLE, tags LIST_TEXT, extra TEXT, paid BOOLEAN, placed_on DATE_TEXT, placed_at TIMESTAMPTZ_TEXT);
CREATE TABLE secrets(id TEXT PRIMARY KEY NOT NULL, word TEXT);
CREATE TABLE tickets(id INTEGER PRIMARY KEY NOT NULL, title TEXT NOT NULL, parent INTEGER);
CREATE TABLE parcels(id TEXT PRIMARY KEY NOT NULL, code TEXT, near LIST_TEXT);
CREATE TABLE lines(order_id TEXT NOT NULL, line INTEGER NOT NULL, amount DOUBLE, PRIMARY KEY (order_id, line));
INSERT INTO customers VALUES ('c1', 'Ann "A"', '+1555'), ('c2', 'Bob', NULL);
INSERT INTO orders VALUES
    ('o1', 'A-1', 'c1', 'eu', '12345678901234.5600', '4111111111111111', 0.5, '["x","y"]', '{"a":[1,null]}', 1, '2026-01-01', '2026-01-01T10:00:00.250Z'),
    ('o2', 'A-2', 'c2', 'us', '10.0000', '5500000000000004', 2, '[]', NULL, 0, '2026-01-02', '2026-01-02T10:00:00.000Z'),
    ('o3', 'A-3', 'c1', 'eu', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO secrets VALUES ('s1', 'hush');
INSERT INTO tickets VALUES (41, 'Lamp', NULL), (42, 'Bulb', 41), (43, 'Wire', 77);
INSERT INTO lines VALUES ('o1', 1, 2.5), ('o1', 2, 1);"#;

pub(crate) struct Gate {
    folder: TempDir,
    pub(crate) server: Server,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::over(ROWS)
    }

    /// With rows of these statements.
    pub(crate) fn over(rows: &str) -> Self {
        Self::with(rows, "")
    }

    /// With further lines of `[server]`.
    pub(crate) fn with(rows: &str, server: &str) -> Self {
        Self::of(STACK, rows, server)
    }

    /// Over another stack with the permission sets `shop_manager` and `shop_reader`.
    pub(crate) fn of(stack: &str, rows: &str, server: &str) -> Self {
        Self::made(stack, rows, server, "")
    }

    /// The same with further lines of `[metadata]`.
    pub(crate) fn with_metadata(stack: &str, rows: &str, metadata: &str) -> Self {
        Self::made(stack, rows, "", metadata)
    }

    fn made(stack: &str, rows: &str, server: &str, metadata: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), stack).unwrap();
        let mut config = "[log]\nfilter = \"info,querygate_rest=debug\"\naudit = \"audit.ndjson\"\n[server]\nSERVERdatabase = \"shop\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[flight]\naddress = \"127.0.0.1:0\"\n\
             [rest]\nlisten = \"127.0.0.1:0\"\nkeys = \"keys.ndjson\"\nbody_max = \"64KB\"\n\
             [metadata]\npath = \"metadata\"\nMETADATA[writes]\nenabled = true\n\
             [[sources]]\nname = \"shop\"\nkind = \"sqlite\"\npath = \"shop.sqlite\"\nwrites = true\n"
            .replace("SERVER", server)
            .replace("METADATA", metadata);
        for (user, set) in [("nora", "shop_manager"), ("rita", "shop_reader")] {
            let _ = writeln!(
                config,
                "[[users]]\nname = \"{user}\"\nemail = \"{user}@shop.example\"\npermission_sets = [\"{set}\"]"
            );
        }
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "rita"] {
            add_user(folder.path(), user);
        }
        execute(&at("shop.sqlite"), rows);
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server }
    }

    /// Lines of the audit file with this text, once there is one.
    pub(crate) fn audited(&self, text: &str) -> Vec<Value> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let lines = std::fs::read_to_string(self.file("audit.ndjson")).unwrap_or_default();
            let found: Vec<Value> = lines
                .lines()
                .filter(|line| line.contains(text))
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            if !found.is_empty() || std::time::Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// A session of a user over the PostgreSQL protocol.
    pub(crate) async fn sql(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        connect(&config).await
    }

    pub(crate) fn send(&self, request: Request) -> Answer {
        request.send(self.server.rest.unwrap())
    }

    fn sign_in(&self, user: &str, password: &str) -> Answer {
        let body = json!({"email": format!("{user}@shop.example"), "password": password});
        self.send(Request::new("POST", "/api/v1/auth/sign-in/email").json(&body))
    }

    pub(crate) fn token(&self, user: &str) -> String {
        self.sign_in(user, PASSWORD).json()["token"].as_str().unwrap().to_owned()
    }

    /// A request of a user, below `/api/v1`.
    pub(crate) fn ask(&self, user: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::new(method, &format!("/api/v1{path}"));
        let request = request.header("authorization", &format!("Bearer {}", self.token(user)));
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    pub(crate) fn get(&self, user: &str, path: &str) -> Value {
        let answer = self.ask(user, "GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Status and code of a refusal.
    pub(crate) fn refused(&self, user: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let answer = self.ask(user, method, path, body);
        let body = answer.json();
        let code = body["code"].as_str().or(body["error"]["code"].as_str()).unwrap_or_default();
        (answer.status, code.to_owned())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// One gate for tests that change nothing.
pub(crate) static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);

#[test]
fn who_shows_nothing_hears_nothing() {
    let gate = &GATE;
    let paths = ["/api/v1/data/shop_orders", "/api/v1/data/nope", "/api/v1/meta/object", "/api/v1/search?q=a"];
    for path in paths {
        let answer = gate.send(Request::new("GET", path));
        let expected = json!({"error": "UNAUTHENTICATED", "code": "UNAUTHENTICATED",
            "message": "Authentication is required to access this endpoint."});
        assert_eq!((answer.status, answer.json()), (401, expected), "{path}");
    }
    for wrong in ["Bearer x", "Bearer osk_x", "ApiKey x", "Basic bm9yYTp4", "Bearer "] {
        let request = Request::new("GET", "/api/v1/data/shop_orders").header("authorization", wrong);
        assert_eq!(gate.send(request).status, 401, "{wrong}");
    }
    assert_eq!(gate.send(Request::new("GET", "/api/v1/auth/get-session")).status, 401);
    assert_eq!(gate.send(Request::new("GET", "/api/v1/auth/me/permissions")).json(), json!({"authenticated": false}));
    assert_eq!(gate.send(Request::new("GET", "/api/v1/discovery")).json()["routes"]["data"], "/api/v1/data");
}

#[test]
fn logins_give_tokens_and_cookies_until_they_are_given_back() {
    let gate = &GATE;
    for (user, password) in [("nora", "wrong"), ("ghost", PASSWORD)] {
        let answer = gate.sign_in(user, password);
        assert_eq!((answer.status, answer.json()["code"].clone()), (401, json!("INVALID_EMAIL_OR_PASSWORD")), "{user}");
    }
    let answer = gate.sign_in("rita", PASSWORD);
    assert_eq!(answer.json()["user"]["email"], "rita@shop.example");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let by_cookie = |method: &str, path: &str| Request::new(method, path).header("cookie", cookie);
    assert_eq!(gate.send(by_cookie("GET", "/api/v1/auth/get-session")).json()["user"]["name"], "rita");
    let foreign = by_cookie("POST", "/api/v1/data/shop_orders").header("sec-fetch-site", "cross-site").json(&json!({}));
    assert_eq!(gate.send(foreign).status, 403, "a page of another site changes nothing");
    let foreign = by_cookie("POST", "/api/v1/auth/sign-out").header("origin", "http://elsewhere.example");
    assert_eq!(gate.send(foreign).status, 403, "nor does it sign anybody out");
    let login = json!({"email": "nora@shop.example", "password": PASSWORD});
    let foreign =
        Request::new("POST", "/api/v1/auth/sign-in/email").header("sec-fetch-site", "cross-site").json(&login);
    let answer = gate.send(foreign);
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "nor does it sign anybody in to the browser");
    assert_eq!(gate.send(by_cookie("POST", "/api/v1/auth/sign-out")).status, 200);
    assert_eq!(gate.send(by_cookie("GET", "/api/v1/data/shop_orders")).status, 401);
}

#[test]
fn keys_open_what_their_owner_may_and_end_when_revoked() {
    let gate = Gate::new();
    let made = gate.ask("rita", "POST", "/keys", Some(&json!({"name": "robot"})));
    assert_eq!(made.status, 201, "{}", made.text());
    let key = made.json()["data"]["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("osk_"));
    let stored = std::fs::read_to_string(gate.file("keys.ndjson")).unwrap();
    assert!(!stored.contains(&key[12..]), "only a hash is kept");
    let total = |header: &str, value: &str| {
        let answer = gate.send(Request::new("GET", "/api/v1/data/shop_orders").header(header, value));
        (answer.status, answer.json()["total"].clone())
    };
    assert_eq!(total("x-api-key", &key), (200, json!(2)));
    assert_eq!(total("authorization", &format!("ApiKey {key}")), (200, json!(2)));
    assert_eq!(total("authorization", &format!("Bearer {key}")), (200, json!(2)));
    let run = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).current_dir(gate.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // It would outlive the one that it was made by.
    let further = Request::new("POST", "/api/v1/keys").header("x-api-key", &key).json(&json!({"name": "further"}));
    let further = gate.send(further);
    assert_eq!((further.status, &further.json()["error"]["code"]), (403, &json!("PERMISSION_DENIED")));
    let listed = run(&["key", "list"]);
    assert!(listed.contains("robot") && listed.contains("rita"), "{listed}");
    assert!(listed.contains("no end") && !listed.contains("revoked"), "{listed}");
    run(&["key", "revoke", made.json()["data"]["id"].as_str().unwrap()]);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(total("x-api-key", &key).0, 401);
    let own = run(&["key", "add", "rita", "--name", "own"]);
    let own = own.lines().find_map(|line| line.trim().strip_prefix("key: ")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(total("x-api-key", own), (200, json!(2)));
}

#[test]
fn values_are_written_as_the_vendor_writes_them() {
    let record = |id: &str| GATE.ask("nora", "GET", &format!("/data/shop_orders/{id}"), None);
    assert!(record("o1").text().contains("\"total\":12345678901234.56,"), "{}", record("o1").text());
    assert_eq!(
        record("o1").json()["record"],
        json!({"id": "o1", "code": "A-1", "customer": "c1", "region": "eu", "total": 12_345_678_901_234.56,
            "card": "************1111", "margin": 0.5, "tags": ["x", "y"], "extra": {"a": [1, null]}, "paid": true,
            "placed_on": "2026-01-01", "placed_at": "2026-01-01T10:00:00.250Z"})
    );
    let empty = &record("o3").json()["record"];
    for field in ["total", "card", "margin", "tags", "extra", "paid", "placed_on", "placed_at"] {
        assert_eq!(empty.get(field), Some(&Value::Null), "{field} stays in the record");
    }
}

#[test]
fn lists_are_pages_of_what_the_reader_may_see() {
    let gate = &GATE;
    let ids = |page: &Value| {
        page["records"].as_array().unwrap().iter().map(|record| record["id"].clone()).collect::<Vec<_>>()
    };
    let page = gate.get("nora", "/data/shop_orders?sort=-code&top=2&select=id");
    assert_eq!(
        (ids(&page), &page["total"], &page["hasMore"]),
        (vec![json!("o3"), json!("o2")], &json!(3), &json!(true))
    );
    let page = gate.get("nora", "/data/shop_orders?region=eu&sort=code&skip=1&limit=5");
    assert_eq!((ids(&page), &page["total"], &page["hasMore"]), (vec![json!("o3")], &json!(2), &json!(false)));
    let page = gate.get("rita", "/data/shop_orders?sort=code");
    assert_eq!((ids(&page), &page["total"]), (vec![json!("o1"), json!("o3")], &json!(2)));
    assert!(page["records"][0].get("margin").is_none(), "{page}");
    let query = json!({"where": {"$or": [{"paid": true}, {"total": {"$lt": 11}}]}, "orderBy": [{"field": "code", "order": "desc"}]});
    let answer = gate.ask("nora", "POST", "/data/shop_orders/query", Some(&query));
    assert_eq!(ids(&answer.json()), [json!("o2"), json!("o1")], "{}", answer.text());
    let groups = json!({"groupBy": ["region"], "aggregations": [{"function": "count", "alias": "n"}]});
    let answer = gate.ask("rita", "POST", "/data/shop_orders/query", Some(&groups)).json();
    assert_eq!(answer["records"], json!([{"region": "eu", "n": 2}]), "only rows of the reader are counted");
}

#[test]
fn references_are_expanded_where_the_reader_sees_them() {
    let path = "/data/shop_orders?expand=customer&sort=code&select=id,customer&limit=1";
    let page = GATE.get("nora", path);
    assert_eq!(page["records"][0]["customer"], json!({"id": "c1", "name": "Ann \"A\"", "phone": "+1555"}));
    let page = GATE.get("rita", path);
    assert_eq!(page["records"][0]["customer"], "c1", "an object that is not readable leaves the id");
    let refused = |path: &str| GATE.refused("nora", "GET", path, None);
    assert_eq!(refused("/data/shop_orders?expand=code"), (400, "INVALID_FIELD".to_owned()));
    assert_eq!(refused("/data/shop_orders?expand=a.b.c.d"), (400, "INVALID_QUERY".to_owned()));
    assert_eq!(refused("/data/shop_orders/o1?select=nope"), (404, "INVALID_FIELD".to_owned()));
}

#[test]
fn what_is_hidden_is_not_told() {
    let refused = |path: &str| GATE.refused("rita", "GET", path, None);
    assert_eq!(refused("/data/shop_orders/o2"), (404, "RECORD_NOT_FOUND".to_owned()));
    assert_eq!(refused("/data/shop_orders/none"), (404, "RECORD_NOT_FOUND".to_owned()));
    for path in ["/data/shop_orders?margin=1", "/data/shop_orders?sort=margin", "/data/shop_orders?card=x"] {
        assert_eq!(refused(path).0, 403, "{path}");
    }
    assert_eq!(refused("/data/shop_secrets"), (403, "PERMISSION_DENIED".to_owned()));
    assert_eq!(refused("/data/nope"), (404, "OBJECT_NOT_FOUND".to_owned()));
    let item = GATE.get("rita", "/meta/object/shop_orders");
    assert!(item["item"]["fields"].get("code").is_some() && item["item"]["fields"].get("margin").is_none(), "{item}");
    assert_eq!(refused("/meta/object/shop_secrets"), (404, "RESOURCE_NOT_FOUND".to_owned()));
    let apps = GATE.get("rita", "/me/apps").to_string();
    assert!(apps.contains("shop_orders") && !apps.contains("shop_secrets"), "{apps}");
    let permissions = GATE.get("rita", "/meta/permission");
    assert_eq!(permissions["items"], json!([]), "how rules are made is for administrators");
    let verdict = GATE.get("rita", "/security/explain?object=shop_orders&operation=read").to_string();
    assert!(verdict.contains("\"allowed\":true") && !verdict.contains("europe"), "{verdict}");
}

#[test]
fn metadata_has_tags() {
    let token = format!("Bearer {}", GATE.token("rita"));
    let get = |tag: Option<&str>| {
        let request = Request::new("GET", "/api/v1/meta/object/shop_orders").header("authorization", &token);
        GATE.send(match tag {
            Some(tag) => request.header("if-none-match", tag),
            None => request,
        })
    };
    let tag = get(None).header("etag").unwrap().to_owned();
    for has in [tag.clone(), tag.trim_matches('"').to_owned(), format!("W/{tag}")] {
        assert_eq!(get(Some(&has)).status, 304, "{has}");
    }
    assert_eq!(get(Some("*")).status, 200);
    let others = GATE.ask("nora", "GET", "/meta/object/shop_orders", None);
    assert_ne!(others.header("etag"), Some(tag.as_str()), "who sees more has another one");
}

#[test]
fn paths_verbs_and_bodies_have_bounds() {
    let answer = GATE.ask("nora", "GET", "/nope", None);
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (404, json!("ENDPOINT_NOT_FOUND")));
    assert_eq!(GATE.ask("nora", "GET", "/data/shop_orders/", None).status, 404);
    let answer = GATE.ask("nora", "PUT", "/data/shop_orders", None);
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (405, json!("METHOD_NOT_ALLOWED")));
    assert!(answer.header("allow").unwrap().contains("GET"), "{:?}", answer.headers);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("x-request-id").is_some());
    let large = json!({"where": {"code": "x".repeat(100_000)}});
    let refused = |body: &Value| GATE.refused("nora", "POST", "/data/shop_orders/query", Some(body));
    assert_eq!(refused(&large), (413, "PAYLOAD_TOO_LARGE".to_owned()));
    let deep = (0..100).fold(json!({"code": "x"}), |inner, _| json!({"$not": inner}));
    assert_eq!(refused(&json!({"where": deep})).0, 400);
    assert_eq!(refused(&json!({"limit": null})), (400, "VALIDATION_FAILED".to_owned()));
    assert_eq!(GATE.refused("nora", "GET", "/automation/flows", None), (501, "NOT_IMPLEMENTED".to_owned()));
    let preflight = GATE.send(Request::new("OPTIONS", "/api/v1/data/shop_orders"));
    assert_eq!(preflight.status, 204);
}

#[test]
fn the_number_of_a_request_stands_in_the_log_and_in_the_audit_file() {
    let gate = Gate::new();
    let number = |answer: &Answer| answer.header("x-request-id").unwrap().to_owned();
    let listed = number(&gate.ask("nora", "GET", "/data/shop_orders?limit=1", None));
    let refused = number(&gate.ask("rita", "GET", "/data/shop_secrets", None));
    assert_ne!(listed, refused);
    let changed = number(&gate.ask("nora", "PATCH", "/data/shop_customers/c1", Some(&json!({"phone": "+1777"}))));
    for line in gate.audited(&listed) {
        assert_eq!((&line["request"], &line["login"]), (&json!(listed), &json!("nora")), "{line}");
        assert!(line["objects"].to_string().contains("orders"), "{line}");
    }
    assert!(!gate.audited(&listed).is_empty());
    let written = gate.audited(&changed);
    assert!(written.iter().any(|line| line["change"] == "begun" && line["request"] == json!(changed)), "{written:?}");
    let told = gate.server.wait_for(&format!("id=\"{refused}\""), 0);
    assert!(told.contains("a request was refused"), "{told}");
    // A number of the client's own is not taken over.
    let forged = Request::new("GET", "/api/v1/health").header("x-request-id", "mine");
    assert_ne!(gate.send(forged).header("x-request-id"), Some("mine"));
}

#[test]
fn records_leave_as_files_where_that_is_allowed() {
    let path = "/data/shop_orders/export?fields=code,customer,region,placed_at&orderby=code:desc";
    let answer = GATE.ask("nora", "GET", path, None);
    let expected = "code,customer,region,placed_at\r\nA-3,\"Ann \"\"A\"\"\",Europe,\r\nA-2,Bob,America,2026-01-02 10:00:00\r\n\
                    A-1,\"Ann \"\"A\"\"\",Europe,2026-01-01 10:00:00\r\n";
    assert_eq!((answer.status, answer.text().as_str()), (200, expected));
    assert_eq!(answer.header("x-export-format"), Some("csv"));
    assert_eq!(GATE.refused("rita", "GET", path, None), (403, "EXPORT_NOT_PERMITTED".to_owned()));
    // What is not there, not seen and not to be exported are one answer; what is wrong with a request is another.
    for path in ["/data/nope/export", "/data/shop_secrets/export"] {
        assert_eq!(GATE.refused("rita", "GET", path, None), (403, "EXPORT_NOT_PERMITTED".to_owned()), "{path}");
    }
    let filter = "/data/shop_orders/export?filter=%7B%22nope%22:1%7D";
    assert_eq!(GATE.refused("nora", "GET", filter, None), (400, "INVALID_FIELD".to_owned()));
}

#[test]
fn a_large_answer_comes_whole() {
    let gate = Gate::new();
    execute(
        &gate.file("shop.sqlite"),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) \
         INSERT INTO customers SELECT printf('n%06d', i), 'Name ' || i, NULL FROM n;",
    );
    let answer = gate.ask("nora", "GET", "/data/shop_customers?sort=id", None);
    let page = answer.json();
    assert_eq!(page["records"].as_array().unwrap().len(), 30_002);
    assert_eq!((&page["total"], &page["records"][30_001]["id"]), (&json!(30_002), &json!("n030000")));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "it was not made at once");
}

#[test]
fn records_are_changed_by_the_rules() {
    let gate = Gate::new();
    let made = gate.ask("nora", "POST", "/data/shop_customers", Some(&json!({"id": "c9", "name": "Cy"})));
    assert_eq!((made.status, made.json()["record"]["name"].clone()), (201, json!("Cy")), "{}", made.text());
    let changed = gate.ask("nora", "PATCH", "/data/shop_customers/c9", Some(&json!({"phone": "+15551"})));
    assert_eq!(
        (changed.status, changed.json()["record"]["phone"].clone()),
        (200, json!("+15551")),
        "{}",
        changed.text()
    );
    let refused = |user: &str, method: &str, path: &str, body: Value| gate.refused(user, method, path, Some(&body));
    assert_eq!(
        refused("nora", "POST", "/data/shop_customers", json!({"id": "c8"})),
        (400, "VALIDATION_FAILED".to_owned())
    );
    assert_eq!(
        refused("nora", "POST", "/data/shop_customers", json!({"id": "c8", "name": "x", "nope": 1})),
        (400, "INVALID_FIELD".to_owned())
    );
    assert_eq!(
        refused("nora", "POST", "/data/shop_orders", json!({"id": "o8", "code": "A-1"})),
        (409, "UNIQUE_VIOLATION".to_owned())
    );
    assert_eq!(refused("nora", "PATCH", "/data/shop_customers/none", json!({})), (404, "RECORD_NOT_FOUND".to_owned()));
    assert_eq!(
        refused("rita", "PATCH", "/data/shop_orders/o1", json!({"code": "x"})),
        (403, "PERMISSION_DENIED".to_owned())
    );
    let batch = json!({"operations": [
        {"object": "shop_customers", "action": "create", "data": {"name": "Ref"}},
        {"object": "shop_orders", "action": "create", "data": {"id": "o9", "code": "R-1", "customer": {"$ref": 0}}}]});
    let answer = gate.ask("nora", "POST", "/batch", Some(&batch));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json();
    assert_eq!(results["results"][1]["customer"], results["results"][0]["id"]);
    let many = json!([{"id": "m1", "name": "M1"}, {"id": "m2"}]);
    assert_eq!(refused("nora", "POST", "/data/shop_customers/createMany", many), (400, "VALIDATION_FAILED".to_owned()));
    assert_eq!(gate.refused("nora", "GET", "/data/shop_customers/m1", None).0, 404, "all or nothing");
    let many = json!({"records": [{"id": "c1", "data": {"name": "One"}}, {"id": "none", "data": {}}, {"id": "c2", "data": {"name": "Two"}}]});
    let answer = gate.ask("nora", "POST", "/data/shop_customers/updateMany", Some(&many)).json();
    let codes: Vec<&Value> =
        answer["results"].as_array().unwrap().iter().map(|row| &row["errors"][0]["code"]).collect();
    assert_eq!(codes, [&Value::Null, &json!("RECORD_NOT_FOUND"), &json!("NOT_ATTEMPTED")], "{answer}");
    assert_eq!(gate.ask("nora", "DELETE", "/data/shop_customers/c9", None).json()["success"], true);
    assert_eq!(gate.refused("nora", "GET", "/data/shop_customers/c9", None), (404, "RECORD_NOT_FOUND".to_owned()));
}
