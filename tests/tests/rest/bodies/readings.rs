//! Bodies and keys that are hard to read: what cannot be read is refused and never counts as nothing said; a key has one spelling.

use crate::own::{Gate, ROWS, STACK};
use querygate_tests::server::{Answer, Request};
use serde_json::{Value, json};

struct Sender<'a> {
    gate: &'a Gate,
    bearer: String,
}

impl<'a> Sender<'a> {
    fn of(gate: &'a Gate) -> Self {
        Self { gate, bearer: format!("Bearer {}", gate.token("nora")) }
    }

    fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let request = Request::new(method, &format!("/api/v1{path}")).header("authorization", &self.bearer);
        let mut request = request.header("content-type", content_type);
        request.body = Some(body.to_vec());
        self.gate.send(request)
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, "application/json", body)
    }
}

/// The filter of each is gone when its body counts for nothing.
const UNREADABLE: [&[u8]; 26] = [
    br#"{"where": {"id": 1e400}}"#,
    br#"{"where": {"id": -1e400}}"#,
    br#"{"where": {"code": "\ud83d"}}"#,
    br#"{"where": {"code": "\ude00"}}"#,
    br#"{"where": {"\ud83d": 1}}"#,
    br#"{"where": {"code": "A-1"}"#,
    br#"{"where": {"code": "A-1}}"#,
    br#"{"where": {"code": "A-1"}}}"#,
    br#"{"where": {"code": "A-1"}} {}"#,
    br#"{"where": {"code": "A-1",}}"#,
    br#"{"where": {"code": 'A-1'}}"#,
    br#"{where: {"code": "A-1"}}"#,
    br#"{"where": {"margin": 01}}"#,
    br#"{"where": {"margin": .5}}"#,
    br#"{"where": {"margin": +1}}"#,
    br#"{"where": {"margin": NaN}}"#,
    br#"{"where": {"margin": Infinity}}"#,
    br#"{"where": {"margin": undefined}}"#,
    b"{\"where\": {\"code\": \"A\n1\"}}",
    b"{\"where\": {\"code\": \"\xe9\"}}",
    b"{\"where\": {\"code\": \"\xed\xa0\xbd\"}}",
    b"\xff\xfe{\0\"\0w\0h\0e\0r\0e\0\"\0:\0{\0}\0}\0",
    b"{\0\"\0w\0h\0e\0r\0e\0\"\0:\0{\0}\0}\0",
    b"\0",
    b"where=1",
    b"// a comment\n{}",
];

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    let gate = Gate::new();
    let sender = Sender::of(&gate);
    for body in UNREADABLE {
        for path in [
            "/data/shop_orders/query",
            "/data/shop_tickets",
            "/data/shop_tickets/createMany",
            "/data/shop_tickets/updateMany",
            "/data/shop_tickets/deleteMany",
            "/data/shop_tickets/batch",
            "/data/shop_tickets/import",
            "/batch",
            "/analytics/query",
            "/analytics/dataset/query",
            "/security/explain",
            "/keys",
            "/auth/sign-in/email",
        ] {
            let answer = sender.post(path, body);
            let text = String::from_utf8_lossy(body).into_owned();
            assert_eq!(answer.status, 400, "{path} {text:?}: {}", answer.text());
        }
        assert_eq!(sender.send("PATCH", "/data/shop_tickets/41", "application/json", body).status, 400);
    }
    let answer = sender.post("/data/shop_orders/query", br#"{"where": {"id": 1e400}}"#).json();
    assert_eq!(answer["code"], json!("VALIDATION_FAILED"));
    assert_eq!(answer["error"], json!("The body cannot be read as JSON: a number is too large (byte 22)."), "{answer}");
}

#[test]
fn depth_and_size_are_refused_by_their_bounds() {
    let gate = Gate::new();
    let sender = Sender::of(&gate);
    for levels in [65, 1_000, 20_000] {
        let body = format!("{{\"where\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(sender.post("/data/shop_orders/query", body.as_bytes()).status, 400, "{levels}");
    }
    for bytes in [65 << 10, 1 << 20] {
        let body = format!("{{\"where\":{{\"code\":\"{}\"}}}}", "x".repeat(bytes));
        assert_eq!(sender.post("/data/shop_orders/query", body.as_bytes()).status, 413, "{bytes}");
    }
}

#[test]
fn what_json_allows_is_read() {
    let gate = Gate::new();
    let sender = Sender::of(&gate);
    let total = |body: &[u8]| {
        let answer = sender.post("/data/shop_orders/query", body);
        assert_eq!(answer.status, 200, "{}: {}", String::from_utf8_lossy(body), answer.text());
        answer.json()["total"].clone()
    };
    for (body, count) in [
        (&br#"{"where": {"code": "\u0041-\u0031"}}"#[..], 1),
        (b"\xef\xbb\xbf{\"where\": {\"code\": \"A-1\"}}", 1),
        (b"\r\n\t {\"where\":{\"code\":\"A-1\"}} \n", 1),
        (br#"{"where": {"margin": 5e-1}}"#, 1),
        (br#"{"where": {"margin": 0.50}}"#, 1),
        (br#"{"where": {"code": "x"}, "where": {"code": "A-1"}}"#, 1),
        (br#"{"where": {"code": "\ud83d\ude00"}}"#, 0),
        (br#"{"where": {"margin": 1e-400}}"#, 0),
        (br#"{"where": {"code": "\u0000"}}"#, 0),
        (b"", 3),
        (b" \n", 3),
        (b"null", 3),
        (b"{}", 3),
    ] {
        assert_eq!(total(body), json!(count), "{}", String::from_utf8_lossy(body));
    }
}

/// 41 is there; so are two whose numbers are one double.
#[test]
fn a_key_is_one_text_for_every_verb() {
    let rows = ROWS
        .replace("(43, 'Wire', 77)", "(43, 'Wire', 77), (9007199254740992, 'A', NULL), (9007199254740993, 'B', 41)");
    let gate = Gate::of(STACK, &rows, "");
    let spellings = [
        "41.0",
        "4.1e1",
        "41e0",
        "+41",
        "041",
        "%2041",
        "41%20",
        "4_1",
        "0x29",
        "41%00",
        "9.007199254740993e15",
        "9007199254740993.0",
        "%EF%BC%94%EF%BC%91",
        "%E2%88%9241",
        "",
        "41,",
        "NaN",
    ];
    for key in spellings.into_iter().filter(|key| !key.is_empty()) {
        let path = format!("/data/shop_tickets/{key}");
        let body = json!({"title": "Other"});
        for (method, body) in [("GET", None), ("PATCH", Some(&body)), ("DELETE", None)] {
            let refused = gate.refused("nora", method, &path, body);
            assert_eq!(refused, (404, "RECORD_NOT_FOUND".to_owned()), "{method} {key}");
        }
    }
    let many = |path: &str, body: Value| gate.ask("nora", "POST", path, Some(&body)).json();
    for key in ["41.0", "4.1e1", " 41", "+41", "041"] {
        let updated = many(
            "/data/shop_tickets/updateMany",
            json!({"records": [{"id": key, "data": {"title": "x"}}], "options": {"continueOnError": true}}),
        );
        let deleted =
            many("/data/shop_tickets/deleteMany", json!({"ids": [key], "options": {"continueOnError": true}}));
        for answer in [updated, deleted] {
            assert_eq!((&answer["succeeded"], &answer["failed"]), (&json!(0), &json!(1)), "{key}: {answer}");
        }
    }
    for (key, title) in [("9007199254740992", "A"), ("9007199254740993", "B")] {
        let record = gate.get("nora", &format!("/data/shop_tickets/{key}?expand=parent"))["record"].clone();
        assert_eq!(record["title"], json!(title), "{record}");
    }
    assert_eq!(gate.get("nora", "/data/shop_tickets/41")["record"]["title"], json!("Lamp"));
    for wrong in ["o1,2.0", "o1,02", "o1, 2"] {
        for method in ["GET", "PATCH", "DELETE"] {
            let path = format!("/data/shop_lines/{}", wrong.replace(' ', "%20"));
            let refused = gate.refused("nora", method, &path, Some(&json!({"amount": 1})));
            assert_eq!(refused, (404, "RECORD_NOT_FOUND".to_owned()), "{method} {wrong}");
        }
    }
}
