//! The pages through the HTTP port, over a service that answers everything with hostile text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use futures::future::BoxFuture;
use querygate_http::{HttpConfig, HttpDoor, Pages, Probes, Readiness};
use querygate_query_api::column::Column;
use querygate_query_api::outcome::{CommandTag, Effect, Outcome, Rows};
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::service::{
    Authenticator, ClientInfo, Delivery, Prepared, QueryService, Session, Statement, TransactionStatus,
};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, PgType, Result};
use ring::{digest, hmac, pbkdf2};
use std::any::Any;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOSTILE: &str = "\"'><script>alert(1)</script>&\u{1}";

#[derive(Debug)]
struct Text(String);

impl Statement for Text {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn text(&self) -> &str {
        &self.0
    }
}

#[derive(Debug)]
struct Ready(String);

impl Prepared for Ready {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn parameter_types(&self) -> &[PgType] {
        &[]
    }
    fn columns(&self) -> Option<&[Column]> {
        None
    }
}

/// Answers every statement with one row of hostile cells, or with an error.
struct Hostile {
    fails: bool,
}

impl Session for Hostile {
    fn split(&self, sql: &str) -> Result<Vec<Arc<dyn Statement>>> {
        Ok(vec![Arc::new(Text(sql.to_owned()))])
    }
    fn prepare<'a>(
        &'a self,
        statement: &'a Arc<dyn Statement>,
        _: &'a [Option<PgType>],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move {
            if self.fails {
                return Err(Error::new(ErrorCode::StatementTimeout, HOSTILE).with_hint(HOSTILE));
            }
            Ok(Arc::new(Ready(statement.text().to_owned())) as Arc<dyn Prepared>)
        })
    }
    fn run<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        values: &'a [ArrayRef],
        _: Delivery<'a>,
    ) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            let text = &prepared.as_any().downcast_ref::<Ready>().unwrap().0;
            assert!(!text.contains("script"), "a value stands in a statement: {text}");
            assert_eq!(text.contains("$1"), !values.is_empty());
            let columns = text.split(" FROM ").next().unwrap().split(',').count();
            let field = |n: usize| Field::new(format!("c{n}"), DataType::Utf8, true);
            let schema = Arc::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()));
            let cells = (0..columns).map(|_| Arc::new(StringArray::from(vec![HOSTILE])) as ArrayRef).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), cells).unwrap();
            let batches = futures::stream::iter([Ok(batch)]).boxed();
            Ok(Outcome::Rows(Rows { columns: Vec::new().into(), schema, batches, tag: CommandTag::Counted("SELECT") }))
        })
    }
    fn take_effects(&self) -> Vec<Effect> {
        Vec::new()
    }
    fn reported_settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn transaction_status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }
    fn fail_transaction(&self) {}
    fn cancel(&self) {}
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {})
    }
}

#[derive(Default)]
struct Service {
    opened: Mutex<Vec<String>>,
}

impl QueryService for Service {
    fn open(&self, principal: Arc<Principal>, _: ClientInfo) -> BoxFuture<'_, Result<Arc<dyn Session>>> {
        Box::pin(async move {
            self.opened.lock().unwrap().push(principal.login.clone());
            Ok(Arc::new(Hostile { fails: principal.login == "slow" }) as Arc<dyn Session>)
        })
    }
}

/// Users `ada` and `slow`; the password is the name twice.
struct Users;

impl Authenticator for Users {
    fn scram_verifier(&self, user: &str) -> ScramVerifier {
        let (salt, iterations) = (vec![7; 16], 4_096);
        let mut salted = [0_u8; 32];
        let password = if self.principal(user).is_some() { format!("{user}{user}") } else { "\u{0}none".to_owned() };
        let rounds = NonZeroU32::new(iterations).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
        let client = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client.as_ref()).as_ref().try_into().unwrap();
        ScramVerifier { iterations, salt, stored_key, server_key: [0; 32] }
    }
    fn principal(&self, user: &str) -> Option<Arc<Principal>> {
        ["ada", "slow"].contains(&user).then(|| Arc::new(Principal::builder(user).build()))
    }
    fn has_database(&self, _: &str) -> bool {
        true
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let wanted = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(wanted.as_str()))
    }
}

struct Gate {
    addr: SocketAddr,
    service: Arc<Service>,
}

impl Gate {
    async fn start() -> Self {
        let probes = Probes { readiness: Arc::new(Readiness::default), metrics: Arc::new(String::new) };
        let config = HttpConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let service = Arc::new(Service::default());
        let shared: Arc<dyn QueryService> = Arc::<Service>::clone(&service);
        let pages = Pages { service: shared, authenticator: Arc::new(Users), database: "d".to_owned() };
        let door = HttpDoor::bind(config, probes).await.unwrap().with_pages(pages);
        let addr = door.local_addr().unwrap();
        tokio::spawn(door.serve(std::future::pending()));
        Self { addr, service }
    }

    async fn ask(&self, request: &str, headers: &str, body: &str) -> Answer {
        self.ask_as("localhost", request, headers, body).await
    }

    async fn ask_as(&self, host: &str, request: &str, headers: &str, body: &str) -> Answer {
        let mut tcp = TcpStream::connect(self.addr).await.unwrap();
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        tcp.write_all(head.as_bytes()).await.unwrap();
        // The server may answer and close before it has read a body that is too large.
        let _ = tcp.write_all(body.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.replace("\r\n", "\n"), body: body.to_owned() }
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}");
        self.ask(&format!("POST {path}"), &headers, body).await
    }

    /// Logs in and gives the Cookie header.
    async fn log_in(&self, user: &str) -> String {
        let answer = self.post("/ui/login", "", &format!("user={user}&password={user}{user}")).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/ui")), "{}", answer.body);
        let cookie = answer.header("set-cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/ui"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        format!("Cookie: other=1; {}\r\n", cookie.split(';').next().unwrap())
    }
}

const PATHS: [&str; 7] = [
    "/ui",
    "/ui/query/x%22%3E%3Cscript%3E",
    "/ui/plans",
    "/ui/indexes",
    "/ui/indexes/apply/x%22%3E%3Cscript%3E",
    "/ui/anomalies",
    "/ui/sources",
];

#[tokio::test]
async fn without_a_login_there_is_nothing_but_the_form() {
    let gate = Gate::start().await;
    for path in PATHS {
        for cookie in ["", "Cookie: querygate_session=\r\n", "Cookie: querygate_session=AAAA\r\n"] {
            let answer = gate.ask(&format!("GET {path}"), cookie, "").await;
            assert_eq!((answer.status, answer.header("location")), (303, Some("/ui/login")), "{path}");
            assert!(answer.body.is_empty());
        }
    }
    let form = gate.ask("GET /ui/login", "", "").await;
    assert_eq!(form.status, 200);
    assert!(form.body.contains("type=\"password\""));
    assert!(gate.service.opened.lock().unwrap().is_empty(), "nothing was read");
    let nothing = gate.ask("GET /nothing", "", "").await;
    assert!(nothing.status == 404 && nothing.body.contains("/ui"), "{}", nothing.body);
}

#[tokio::test]
async fn a_foreign_name_that_points_here_opens_no_page() {
    let gate = Gate::start().await;
    let cookie = gate.log_in("ada").await;
    for path in PATHS.into_iter().chain(["/ui/login", "/ui/style.css", "/ui/"]) {
        let answer = gate.ask_as("evil.example:8080", &format!("GET {path}"), &cookie, "").await;
        assert_eq!(answer.status, 421, "{path}");
        assert!(answer.header("content-security-policy").is_some());
    }
    let kind = "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://evil.example\r\n";
    let login = gate.ask_as("evil.example", "POST /ui/login", kind, "user=ada&password=adaada").await;
    assert!(login.status == 421 && login.header("set-cookie").is_none());
    assert_eq!(gate.ask_as("127.0.0.1:8080", "GET /ui", &cookie, "").await.status, 200);
    assert_eq!(gate.ask_as("evil.example", "GET /healthz", "", "").await.status, 200);
}

#[tokio::test]
async fn whoever_logs_in_reads_with_own_rights_and_text_stays_text() {
    let gate = Gate::start().await;
    let cookie = gate.log_in("ada").await;
    for path in PATHS {
        let answer = gate.ask(&format!("GET {path}"), &cookie, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(!answer.body.contains("<script") && !answer.body.contains("style=\""), "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in
            [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")]
        {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
    assert!(gate.service.opened.lock().unwrap().iter().all(|login| login == "ada"));
    let style = gate.ask("GET /ui/style.css", "", "").await;
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
}

#[tokio::test]
async fn an_error_is_a_page_too() {
    let gate = Gate::start().await;
    let cookie = gate.log_in("slow").await;
    let answer = gate.ask("GET /ui", &cookie, "").await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains("could not be made") && !answer.body.contains("<script"), "{}", answer.body);
}

#[tokio::test]
async fn wrong_names_and_passwords_look_alike_and_are_bounded() {
    let gate = Gate::start().await;
    let known = gate.post("/ui/login", "", "user=ada&password=wrong").await;
    let unknown = gate.post("/ui/login", "", "user=eve&password=wrong").await;
    assert_eq!((known.status, unknown.status), (401, 401));
    assert_eq!(known.body.replace("ada", "eve"), unknown.body);
    assert!(known.header("set-cookie").is_none());
    let hostile = gate.post("/ui/login", "", "user=%22%3E%3Cscript%3E&password=x").await;
    assert!(hostile.status == 401 && !hostile.body.contains("<script"));
    for body in ["", "user=ada", "password=adaada", "user=ada&password=", "%%%=&&&"] {
        assert_eq!(gate.post("/ui/login", "", body).await.status, 401, "{body}");
    }
    let mut last = 0;
    for _ in 0..12 {
        last = gate.post("/ui/login", "", "user=ada&password=wrong").await.status;
    }
    assert_eq!(last, 429);
    let right = gate.post("/ui/login", "", "user=ada&password=adaada").await;
    assert_eq!(right.status, 429, "who guesses does not learn that a guess was right");
    assert!(right.header("retry-after").is_some());
    assert_eq!(gate.post("/ui/login", "", "user=slow&password=slowslow").await.status, 303, "others may");
}

#[tokio::test]
async fn forms_of_other_sites_and_other_kinds_are_refused() {
    let gate = Gate::start().await;
    let body = "user=ada&password=adaada";
    let proxied = gate.post("/ui/login", "X-Forwarded-Proto: https\r\n", body).await;
    assert!(proxied.header("set-cookie").unwrap().ends_with("; Secure"));
    let foreign = [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: same-site\r\nOrigin: http://localhost\r\n",
    ];
    for header in foreign {
        assert_eq!(gate.post("/ui/login", header, body).await.status, 403, "{header}");
    }
    // A browser writes `null` of a page that does not send its address on.
    for origin in ["http://localhost", "null"] {
        let header = format!("Origin: {origin}\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!(gate.post("/ui/login", &header, body).await.status, 303, "{header}");
    }
    let form = gate.ask("GET /ui/login", "", "").await;
    assert_eq!(form.header("referrer-policy"), Some("same-origin"), "under no-referrer, own forms come from nowhere");
    assert_eq!(gate.ask("POST /ui/login", "Content-Type: text/plain\r\n", body).await.status, 400);
    let large = format!("user=ada&password={}", "x".repeat(20_000));
    assert_eq!(gate.post("/ui/login", "", &large).await.status, 413);
    assert_eq!(gate.post("/ui", "", "").await.status, 405);
    let long = format!("GET /ui/query/{}", "x".repeat(600_000));
    assert!([414, 431].contains(&gate.ask(&long, "", "").await.status));
}

#[tokio::test]
async fn what_changes_something_needs_the_form_of_the_session() {
    let gate = Gate::start().await;
    let cookie = gate.log_in("ada").await;
    let page = gate.ask("GET /ui", &cookie, "").await.body;
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let opened = || gate.service.opened.lock().unwrap().len();
    let before = opened();
    let pin = "fingerprint=00000000000000ff&alternative=fetch";
    let forms = [
        ("/ui/anomalies/acknowledge", "id=7"),
        ("/ui/plans/pin", pin),
        ("/ui/indexes/apply", "id=7"),
        ("/ui/indexes/undo", "id=7"),
    ];
    for (path, body) in forms {
        assert_eq!(gate.post(path, "", body).await.header("location"), Some("/ui/login"), "{path}");
        assert_eq!(gate.post(path, &cookie, body).await.status, 403, "{path}");
        assert_eq!(gate.post(path, &cookie, &format!("{body}&token=x")).await.status, 403, "{path}");
        assert_eq!(gate.ask(&format!("GET {path}"), &cookie, "").await.status, 405, "{path}");
    }
    for (path, body) in [
        ("/ui/anomalies/acknowledge", "id=1%3BDROP"),
        ("/ui/plans/pin", "fingerprint=x&alternative=fetch"),
        ("/ui/plans/pin", "fingerprint=00000000000000ff&alternative=%27"),
        ("/ui/plans/drop", pin),
        ("/ui/indexes/apply", "id=7%29%3BDROP"),
        ("/ui/indexes/suggest_indexes", "id=7"),
    ] {
        assert_eq!(gate.post(path, &cookie, &format!("{body}&token={token}")).await.status, 400, "{path} {body}");
    }
    assert_eq!(opened(), before, "nothing has reached the engine");
    let done = gate.post("/ui/anomalies/acknowledge", &cookie, &format!("id=7&token={token}")).await;
    assert_eq!((done.status, done.header("location")), (303, Some("/ui/anomalies")));
    let done = gate.post("/ui/plans/pin", &cookie, &format!("{pin}&token={token}")).await;
    assert_eq!((done.status, done.header("location")), (303, Some("/ui/query/00000000000000ff")));
    for action in ["apply", "undo"] {
        let done = gate.post(&format!("/ui/indexes/{action}"), &cookie, &format!("id=7&token={token}")).await;
        assert_eq!((done.status, done.header("location")), (303, Some("/ui/indexes")));
    }
    assert_eq!(opened(), before + 4);
}

#[tokio::test]
async fn logging_out_needs_the_form_of_the_session() {
    let gate = Gate::start().await;
    let cookie = gate.log_in("ada").await;
    let page = gate.ask("GET /ui", &cookie, "").await.body;
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(gate.post("/ui/logout", &cookie, "").await.status, 403);
    assert_eq!(gate.post("/ui/logout", &cookie, "token=wrong").await.status, 403);
    let foreign = format!("{cookie}Origin: http://evil.example\r\n");
    assert_eq!(gate.post("/ui/logout", &foreign, &format!("token={token}")).await.status, 403);
    assert_eq!(gate.ask("GET /ui", &cookie, "").await.status, 200, "still logged in");
    let out = gate.post("/ui/logout", &cookie, &format!("token={token}")).await;
    assert_eq!((out.status, out.header("location")), (303, Some("/ui/login")));
    assert_eq!(gate.ask("GET /ui", &cookie, "").await.status, 303, "the cookie is worth nothing now");
}
