//! Users who are changed, disabled and removed while clients of theirs are open at every door; reloads that come often, or are wrong.

use super::gate::Gate;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, HandshakeRequest, Ticket};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream;
use prost::Message as _;
use querygate_tests::server::{PASSWORD, Request, add_user_with, binary, runtime};
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_postgres::NoTls;
use tonic::transport::Channel;

/// It takes longer than anybody waits.
const LONG: &str =
    "SELECT count(*) FROM generate_series(1, 1000000) a(x), generate_series(1, 1000000) b(y) WHERE x % 7 = y % 11";
/// How long what is open may go on here, where other tests keep the machine busy: by itself it ends within a second, which is printed.
const AT_MOST: Duration = Duration::from_secs(10);

/// Who saw that it was over, what was said, and when.
type Over = (&'static str, String, Instant);

/// What a user has open.
struct Open {
    seen: UnboundedReceiver<Over>,
    flight: (FlightServiceClient<Channel>, String, Ticket),
    rest: String,
    cookie: String,
}

fn with<T>(body: T, header: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(body);
    request.metadata_mut().insert("authorization", header.parse().unwrap());
    request
}

fn descriptor() -> FlightDescriptor {
    let command = CommandStatementQuery { query: "SELECT count(*) FROM notes".to_owned(), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

async fn over_flight(gate: &Gate, user: &str, password: &str) -> (FlightServiceClient<Channel>, String, Ticket) {
    let channel = Channel::from_shared(format!("http://{}", gate.server.flight)).unwrap().connect().await.unwrap();
    let mut client = FlightServiceClient::new(channel);
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let answer = client.handshake(with(stream::iter([HandshakeRequest::default()]), &basic)).await.unwrap();
    let token = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let info = client.get_flight_info(with(descriptor(), &token)).await.unwrap().into_inner();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    (client, token, ticket)
}

/// What a client of PostgreSQL hears of an end.
fn code(ended: Option<tokio_postgres::Error>) -> String {
    let code = ended.and_then(|error| error.code().map(|code| code.code().to_owned()));
    code.unwrap_or_else(|| "closed".to_owned())
}

/// A connection that runs a statement, or waits within a transaction, and tells when it ends.
async fn over_postgres(gate: &Gate, (user, password): (&str, &str), runs: bool, seen: UnboundedSender<Over>) {
    let mut config = gate.server.config(user);
    config.dbname("desk").password(password);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    if runs {
        tokio::spawn(connection);
        tokio::spawn(async move {
            let ended = client.simple_query(LONG).await.err();
            let _ = seen.send(("a running statement", code(ended), Instant::now()));
        });
        return;
    }
    tokio::spawn(async move {
        let ended = connection.await.err();
        let _ = seen.send(("a cursor in a transaction", code(ended), Instant::now()));
    });
    client.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT * FROM notes; FETCH 1 FROM c").await.unwrap();
    // Its client says nothing more, and stays.
    tokio::spawn(async move {
        let _client = client;
        std::future::pending::<()>().await;
    });
}

fn token(gate: &Gate, user: &str, password: &str) -> String {
    let body = serde_json::json!({"email": format!("{user}@desk.example"), "password": password});
    let answer = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body).send(gate.server.rest.unwrap());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn cookie(gate: &Gate, user: &str, password: &str) -> String {
    let form = format!("user={user}&password={password}");
    let answer =
        Request::new("POST", "/ui/login").text("application/x-www-form-urlencoded", &form).send(gate.server.http);
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn records(gate: &Gate, token: &str) -> u16 {
    let request = Request::new("GET", "/api/v1/data/desk_notes").header("authorization", &format!("Bearer {token}"));
    request.send(gate.server.rest.unwrap()).status
}

fn page(gate: &Gate, cookie: &str) -> u16 {
    Request::new("GET", "/ui").header("cookie", cookie).send(gate.server.http).status
}

impl Open {
    /// A statement, a cursor, Flight, REST, a page, and one that follows changes.
    fn all(gate: &Gate, user: &str, password: &str) -> Self {
        let (sender, seen) = unbounded_channel();
        let rest = token(gate, user, password);
        let headers = [("authorization", format!("Bearer {rest}"))];
        let mut follower = super::sse::Sse::open(gate.server.rest.unwrap(), "", &headers).begun();
        let told = sender.clone();
        std::thread::spawn(move || {
            while let Some(block) = follower.next(Duration::from_secs(60)) {
                if block.event.as_deref() == Some("error") {
                    let _ = told.send(("a follower of changes", block.data.unwrap().to_string(), Instant::now()));
                    return;
                }
            }
        });
        let flight = runtime().block_on(async {
            over_postgres(gate, (user, password), true, sender.clone()).await;
            over_postgres(gate, (user, password), false, sender).await;
            over_flight(gate, user, password).await
        });
        let cookie = cookie(gate, user, password);
        assert_eq!((records(gate, &rest), page(gate, &cookie)), (200, 200));
        Self { seen, flight, rest, cookie }
    }

    /// What each of them saw, and how long after the reload.
    fn ended(mut self, gate: &Gate, told: Instant, log: &mut String) {
        let (mut client, flight, ticket) = self.flight;
        let ended = |log: &mut String, who: &str, said: &str, at: Instant| {
            let after = at.saturating_duration_since(told);
            assert!(after <= AT_MOST, "{who}: {after:?}");
            let _ = writeln!(log, "  {who:<26} {:>4} ms  {said}", after.as_millis());
        };
        let asked = runtime().block_on(async {
            let mut goes_on = client.get_flight_info(with(descriptor(), &flight)).await;
            while goes_on.is_ok() && told.elapsed() < AT_MOST {
                goes_on = client.get_flight_info(with(descriptor(), &flight)).await;
            }
            let asked = goes_on.unwrap_err();
            let fetched = client.do_get(with(ticket, &flight)).await.unwrap_err();
            assert_eq!((asked.code(), fetched.code()), (tonic::Code::Unauthenticated, tonic::Code::Unauthenticated));
            format!("Unauthenticated: {}", asked.message())
        });
        ended(log, "Flight, and a ticket", &asked, Instant::now());
        assert_eq!((records(gate, &self.rest), page(gate, &self.cookie)), (401, 303));
        ended(log, "REST and a page", "401, to the login", Instant::now());
        for _ in 0..3 {
            let (who, said, at) = runtime()
                .block_on(async { tokio::time::timeout(AT_MOST, self.seen.recv()).await })
                .unwrap_or_else(|_| panic!("something of the user goes on:\n{log}"))
                .unwrap();
            assert!(
                said == "28000" || said.contains("UNAUTHENTICATED") || said.contains("unauthenticated"),
                "{who}: {said}"
            );
            ended(log, who, &said, at);
        }
    }
}

/// Reloads by a signal; when the reload was told.
fn reloaded(gate: &Gate, word: &str) -> Instant {
    let from = gate.server.lines().len();
    gate.server.signal("HUP");
    let _ = gate.server.wait_for(word, from);
    Instant::now()
}

/// Waits for what the next reload brings.
fn until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < AT_MOST, "the reload did not bring it");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn quiet() -> Gate {
    let gate = Gate::new();
    let file = gate.file("querygate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    // Only signals reload.
    std::fs::write(&file, text.replace("[metadata]\n", "[metadata]\nwatch_interval = \"0s\"\n")).unwrap();
    reloaded(&gate, "metadata reloaded");
    gate
}

fn command(gate: &Gate, arguments: &[&str]) -> (bool, String) {
    let ran = Command::new(binary()).args(arguments).current_dir(gate.folder.path()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    (ran.status.success(), text)
}

#[test]
fn what_a_user_has_open_ends_within_a_second_after_a_change() {
    let gate = quiet();
    let eve = gate.client("eve");
    let mut log = String::new();
    let ends = "what was opened before ends";
    let enters = |password: &str| {
        let mut config = gate.server.config("wanda");
        config.dbname("desk").password(password);
        runtime().block_on(async { config.connect(NoTls).await.is_ok() })
    };
    let mut step = |what: &str, password: &str, change: &dyn Fn()| {
        let _ = writeln!(log, "{what}:");
        let open = Open::all(&gate, "wanda", password);
        change();
        let told = reloaded(&gate, ends);
        open.ended(&gate, told, &mut log);
    };
    step("another password", PASSWORD, &|| add_user_with(gate.folder.path(), "wanda", "other than before"));
    assert!(!enters(PASSWORD) && enters("other than before"));
    let file = gate.file("querygate.toml");
    step("other rights", "other than before", &|| {
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("[\"desk_manager\"]", "[\"desk_manager\", \"desk_clerk\"]", 1)).unwrap();
    });
    assert!(enters("other than before"));
    step("disabled", "other than before", &|| assert!(command(&gate, &["user", "disable", "wanda"]).0));
    assert!(!enters("other than before"));
    assert!(command(&gate, &["user", "enable", "wanda"]).0);
    reloaded(&gate, "metadata reloaded");
    // A reload that a source asked for may have been told first.
    until(|| enters("other than before"));
    step("removed", "other than before", &|| assert!(command(&gate, &["user", "remove", "wanda"]).0));
    assert!(!enters("other than before"));
    // Whoever was not changed noticed nothing.
    runtime().block_on(async { eve.simple_query("SELECT count(*) FROM notes").await }).unwrap();
    add_user_with(gate.folder.path(), "wanda", "once more");
    reloaded(&gate, "metadata reloaded");
    until(|| enters("once more"));
    eprintln!("{log}");
}

/// The number of a note that somebody stores, one after the other, until told to stop.
async fn storing(gate: &Gate, user: &str, stop: &std::sync::atomic::AtomicBool) -> u32 {
    let mut config = gate.server.config(user);
    config.dbname("desk").password(PASSWORD);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut stored = 0;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let values = format!("('{user}{stored}', 't', 'eu', '12345', 'hush', 1)");
        let note = format!("INSERT INTO notes(id, title, region, phone, secret, amount) VALUES {values}");
        if let Err(refused) = client.batch_execute(&note).await {
            // A look at the tables may hold up a change of a SQLite file for too long: nothing of it is stored then.
            assert_eq!(refused.code().map(|code| code.code()), Some("40001"), "{refused:?}");
            continue;
        }
        stored += 1;
        let id = format!("{user}{}", stored - 1);
        let seen = client.query_one("SELECT count(*) FROM notes WHERE id = $1", &[&id]).await.unwrap();
        assert_eq!(seen.get::<_, i64>(0), 1);
    }
    stored
}

#[test]
fn a_hundred_reloads_a_second_of_good_and_of_broken_files_lose_nothing() {
    let gate = quiet();
    let file = gate.file("querygate.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let broken = good.replace("[flight]\n", "[flight]\naddress = 7\n");
    let mut follower = gate.follow("wanda", "").begun();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stored = std::thread::scope(|scope| {
        let storing = scope.spawn(|| runtime().block_on(storing(&gate, "wanda", &stop)));
        for number in 0..300 {
            let text = match number % 3 {
                0 => good.clone(),
                // Somebody comes and goes meanwhile.
                1 => format!("{good}\n[[users]]\nname = \"guest{number}\"\n"),
                _ => broken.clone(),
            };
            std::fs::write(&file, text).unwrap();
            gate.server.signal("HUP");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::write(&file, &good).unwrap();
        reloaded(&gate, "metadata reloaded");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        storing.join().unwrap()
    });
    assert!(stored > 0);
    let told = (0..stored).map(|_| follower.event()["key"]["id"].as_str().unwrap().to_owned());
    assert!(told.enumerate().all(|(number, id)| id == format!("wanda{number}")), "each once, in their order");
    let lines = gate.server.lines().join("\n");
    assert!(lines.contains("metadata not reloaded") && !lines.contains("panicked"), "{lines}");
}

#[test]
fn a_broken_file_is_told_with_its_line_and_what_waits_for_a_start_with_its_key() {
    let gate = quiet();
    let file = gate.file("querygate.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let client = gate.client("wanda");
    let asks = || runtime().block_on(async { client.simple_query("SELECT count(*) FROM notes").await }).is_ok();
    for (broken, line) in [
        (good.replacen("[writes]\n", "[writes\n", 1), "[writes"),
        (good.replacen("name = \"eve\"", "name = 7", 1), "name = 7"),
        (good.replacen("path = \"metadata\"", "path = \"metadata\"\nposture = \"none\"", 1), "posture = \"none\""),
    ] {
        std::fs::write(&file, &broken).unwrap();
        let number = 1 + broken.lines().position(|other| other == line).unwrap();
        let from = gate.server.lines().len();
        reloaded(&gate, "metadata not reloaded");
        let said = gate.server.lines()[from..].join("\n");
        assert!(said.contains(&format!("querygate.toml:{number}: ")), "{said}");
        let (done, said) = command(&gate, &["reload", "--pid", &gate.server.pid.to_string()]);
        assert!(!done && said.contains(&format!("querygate.toml:{number}:")), "{said}");
        assert!(asks() && gate.server.get("/readyz").contains("\"reload_refused\":true"));
    }
    let changed = good.replacen("[events]\n", "[limits]\nqueries_max = 7\n[events]\n", 1);
    let changed = changed.replacen("[rest]\nlisten = \"127.0.0.1:0\"", "[rest]\nlisten = \"127.0.0.1:9\"", 1);
    std::fs::write(&file, changed).unwrap();
    let from = gate.server.lines().len();
    let http = gate.server.http.to_string();
    let (done, said) = command(&gate, &["reload", "--pid", &gate.server.pid.to_string(), "--http", &http]);
    assert!(done && said.contains("restart needed: limits.queries_max\nrestart needed: rest.listen\n"), "{said}");
    let _ = gate.server.wait_for("taken at the next start only", from);
    let ready = gate.server.get("/readyz");
    assert!(ready.contains("\"restart_needed\":[\"limits.queries_max\",\"rest.listen\"]"), "{ready}");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"status\":\"ready\""), "{ready}");
    std::fs::write(&file, good).unwrap();
    let root = gate.client("root");
    let said = runtime().block_on(async { root.simple_query("CALL querygate.reload()").await });
    assert!(said.is_ok(), "{said:?}");
    assert!(gate.server.get("/readyz").contains("\"restart_needed\":[]") && asks());
}
