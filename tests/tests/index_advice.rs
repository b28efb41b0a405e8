//! Index advice through the real binary: statements under a row policy lead to a suggestion whose first column is the policy's,
//! an operator applies it, what it did is measured, and it can be undone.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

use querygate_tests::server::{Printed, Server, Variant, binary, psql};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

/// How often a question is asked until what happens in the background has happened.
const ASKED: usize = 600;
/// Statements before and after a change: enough to measure it.
const RUNS: usize = 15;

const SUGGESTED: &str = "SELECT id, ddl FROM querygate.index_suggestions \
     WHERE object LIKE '%cases' AND state = 'suggested' AND kind = 'create' AND ddl LIKE '%priority%'";

fn call(server: &Server, user: &str, sql: &str) -> Printed {
    psql(server, user, &["-At", "-c", sql])
}

fn ask(server: &Server, user: &str, sql: &str) -> Vec<String> {
    let printed = call(server, user, sql);
    assert!(printed.success, "{sql}: {}", printed.both());
    printed.out.lines().map(str::to_owned).collect()
}

fn fails(server: &Server, user: &str, sql: &str, code: &str) {
    let printed = call(server, user, sql);
    assert!(!printed.success && printed.err.contains(code), "{sql}: {}", printed.both());
}

/// The demo with learning and a database of its own: it will be written to.
fn variant(learning: &str) -> Variant {
    let without = |config: String| {
        let mut kept = true;
        let line = |line: &&str| {
            if line.starts_with('[') {
                kept = *line != "[learning]";
            }
            kept
        };
        config.lines().filter(line).map(|line| format!("{line}\n")).collect::<String>()
    };
    let table = format!("[learning]\ndirectory = \"learnt\"\nsuggest_every = \"0s\"\n{learning}");
    let variant = Variant::new(|config| format!("{}\n{table}", without(config)));
    let database = variant.file("data/crm.sqlite");
    let copy = variant.file("data/crm.copy");
    std::fs::copy(&database, &copy).unwrap();
    std::fs::rename(&copy, &database).unwrap();
    variant
}

/// Statements of a reader whose row policy compares the region.
fn workload(server: &Server) {
    let mut statements = Vec::new();
    for n in 0..RUNS {
        statements.push(format!(
            "SELECT count(*), min(opened_at) FROM cases WHERE priority = '{}' AND opened_at >= '2025-0{}-01'",
            ["low", "high", "urgent"][n % 3],
            n % 9 + 1
        ));
    }
    let arguments: Vec<&str> = statements.iter().flat_map(|statement| ["-c", statement.as_str()]).collect();
    let printed = psql(server, "iris", &[&["-At"], arguments.as_slice()].concat());
    assert!(printed.success, "{}", printed.both());
}

/// Searches until there is what is looked for: records reach the advisor within a second or two.
fn searched(server: &Server, sql: &str) -> Vec<String> {
    let mut last = String::new();
    for _ in 0..ASKED {
        last = call(server, "ada", "CALL querygate.suggest_indexes()").both();
        let found = ask(server, "ada", sql);
        if !found.is_empty() {
            return found;
        }
    }
    let all = ask(server, "ada", "SELECT * FROM querygate.index_suggestions");
    panic!("{sql}: nothing; the last search: {last}; all: {all:?}");
}

fn wait_for(server: &Server, sql: &str, expected: &str) {
    let mut last = Vec::new();
    for _ in 0..ASKED {
        last = ask(server, "ada", sql);
        if last == [expected] {
            return;
        }
    }
    panic!("{sql}: {last:?} instead of {expected}");
}

fn advise(variant: &Variant) -> String {
    let config = variant.file("querygate.toml");
    let output = Command::new(binary()).args(["advise", "-c", config.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Rows that were changed through the gate are what an index of their columns is priced by, and people are told.
#[test]
fn the_price_of_an_index_is_of_writes_that_were_seen() {
    let variant = variant("[writes]\nenabled = true\n");
    let config = variant.file("querygate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let sqlite = "kind = \"sqlite\"\n";
    assert_eq!(text.matches(sqlite).count(), 1, "{text}");
    std::fs::write(&config, text.replace(sqlite, &format!("{sqlite}writes = true\n"))).unwrap();
    let object = variant.file("metadata/objects/cases.json");
    let text = std::fs::read_to_string(&object).unwrap();
    let closed = "\"writable\": false";
    assert_eq!(text.matches(closed).count(), 1);
    std::fs::write(&object, text.replace(closed, "\"writable\": true")).unwrap();
    let server = variant.serve();
    workload(&server);
    let evidence = SUGGESTED.replace("SELECT id, ddl", "SELECT evidence");
    let found = searched(&server, &evidence);
    assert!(found[0].contains("; writes are assumed (one to ten reads): the gate saw none"), "{found:?}");
    // Twenty rows, and none of another column counts.
    let changed = "id IN (SELECT id FROM cases ORDER BY id LIMIT 10)";
    for sql in ["priority = 'low'", "priority = 'high'", "subject = 'x'"] {
        let sql = format!("UPDATE cases SET {sql} WHERE {changed}");
        assert_eq!(call(&server, "ada", &sql).out.trim(), "UPDATE 10", "{sql}: {}", call(&server, "ada", &sql).both());
    }
    let seen = format!("{evidence} AND evidence LIKE '%gate saw them%480.0 updated%'");
    let found = searched(&server, &seen);
    let told = "; writes as the gate saw them: 0.0 rows a day inserted or deleted, 480.0 updated in the index's columns; \
                what others write at the source is not in it";
    assert!(found[0].contains(told), "{found:?}");
}

#[test]
fn a_policy_index_is_suggested_applied_measured_and_undone() {
    let variant = variant("apply_indexes = true\n");
    let server = variant.serve();
    workload(&server);
    let found = searched(&server, SUGGESTED);
    let (id, ddl) = found[0].split_once('|').unwrap();
    assert!(ddl.starts_with("CREATE INDEX main.\"qg_cases_"), "{ddl}");
    assert!(ddl.contains("ON \"cases\" (\"region_id\", \"priority\""), "the policy's column leads: {ddl}");
    let told = format!(
        "SELECT benefit > 0.1, benefit < 1, size_bytes > 0, confidence, evidence LIKE 'SQLite''s planner%', \
         templates LIKE '%-%', measured_effect IS NULL FROM querygate.index_suggestions WHERE id = {id}"
    );
    let told = ask(&server, "ada", &told);
    assert!(told[0].starts_with("t|t|t|0.") && told[0].ends_with("|t|t|t"), "{told:?}");

    // Which statements gain is found by their numbers.
    let known = format!(
        "SELECT count(*) > 0 FROM querygate.index_suggestions s, querygate.templates t \
         WHERE s.id = {id} AND strpos(s.templates, t.fingerprint) > 0 AND t.login = 'iris'"
    );
    wait_for(&server, &known, "t");

    // Nobody else sees or applies it.
    assert_eq!(ask(&server, "iris", "SELECT count(*) FROM querygate.index_suggestions"), ["0"]);
    for user in ["sam", "iris"] {
        fails(&server, user, &format!("CALL querygate.apply({id})"), "42501");
        fails(&server, user, "CALL querygate.suggest_indexes()", "42501");
    }
    fails(&server, "ada", "CALL querygate.apply(987654)", "42704");
    fails(&server, "ada", &format!("CALL querygate.undo({id})"), "55000");
    assert!(!call(&server, "ada", "CALL querygate.apply('1; DROP TABLE cases')").success);
    assert!(!call(&server, "ada", "CALL querygate.drop_index(1)").success);

    let applied = ask(&server, "ada", &format!("CALL querygate.apply({id})"));
    assert!(applied[0].starts_with("created index qg_cases_"), "{applied:?}");
    fails(&server, "ada", &format!("CALL querygate.apply({id})"), "55000");
    workload(&server);
    wait_for(&server, &format!("SELECT state FROM querygate.index_suggestions WHERE id = {id}"), "helped");
    let effect = format!(
        "SELECT measured_effect > 0.05, confidence, measured LIKE '%median%since%' \
         FROM querygate.index_suggestions WHERE id = {id}"
    );
    assert_eq!(ask(&server, "ada", &effect), ["t|1|t"]);
    let report = advise(&variant);
    for part in ["helped on crm: CREATE INDEX", "effect: the median fell by", "Templates by total time", "Incidents ("]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
    // What is there is not suggested again.
    let _ = ask(&server, "ada", "CALL querygate.suggest_indexes()");
    let again = ask(&server, "ada", SUGGESTED);
    assert!(again.is_empty(), "{again:?}");

    let undone = ask(&server, "ada", &format!("CALL querygate.undo({id})"));
    assert!(undone[0].starts_with("dropped index qg_cases_"), "{undone:?}");
    wait_for(&server, &format!("SELECT state FROM querygate.index_suggestions WHERE id = {id}"), "undone");
    let audited = "SELECT count(*) > 4 FROM querygate.audit WHERE template LIKE 'call querygate . %'";
    assert_eq!(ask(&server, "ada", audited), ["t"]);
    by_its_page(&server, id);
}

/// Status and text of a request to the pages.
fn request(server: &Server, request: &str, cookie: &str, body: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(server.http).unwrap();
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let (host, length) = (server.http, body.len());
    write!(
        tcp,
        "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n{cookie}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// An operator applies and undoes the suggestion without SQL; nobody else does.
fn by_its_page(server: &Server, id: &str) {
    let log_in = |user: &str| {
        let (status, answer) = request(server, "POST /ui/login", "", &format!("user={user}&password=demo-{user}"));
        assert_eq!(status, 303, "{answer}");
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
    };
    let token =
        |text: &str| text.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let state = format!("SELECT state FROM querygate.index_suggestions WHERE id = {id}");
    let made = "SELECT count(*) FROM querygate.audit WHERE login = 'ada' AND door = 'http' AND template LIKE 'call querygate%'";

    let (iris, ada) = (log_in("iris"), log_in("ada"));
    let question = request(server, &format!("GET /ui/indexes/apply/{id}"), &iris, "").1;
    assert!(question.contains("There is no such suggestion") && !question.contains("CREATE INDEX"), "{question}");
    let form = format!("id={id}&token={}", token(&question));
    assert_eq!(request(server, "POST /ui/indexes/apply", &iris, &form).0, 403);
    assert_eq!(ask(server, "ada", &state), ["undone"]);

    let list = request(server, "GET /ui/indexes", &ada, "").1;
    assert!(list.contains(&format!("/ui/indexes/apply/{id}")) && !list.contains("--0%"), "{list}");
    for (action, then, next) in [("apply", "applied", "undo"), ("undo", "undone", "apply")] {
        let other = request(server, &format!("GET /ui/indexes/{next}/{id}"), &ada, "").1;
        assert!(other.contains("There is no such suggestion"), "{other}");
        let question = request(server, &format!("GET /ui/indexes/{action}/{id}"), &ada, "").1;
        assert!(question.contains("CREATE INDEX main.&quot;qg_cases_"), "{question}");
        let before = ask(server, "ada", made);
        assert_eq!(request(server, &format!("POST /ui/indexes/{action}"), &ada, &format!("id={id}")).0, 403);
        let form = format!("id={id}&token={}", token(&question));
        let (status, done) = request(server, &format!("POST /ui/indexes/{action}"), &ada, &form);
        assert_eq!(status, 303, "{done}");
        wait_for(server, &state, then);
        assert_ne!(ask(server, "ada", made), before, "what was done is in the books");
        // Done already: the page says why not.
        let (status, refused) = request(server, &format!("POST /ui/indexes/{action}"), &ada, &form);
        assert!(status == 400 && refused.contains("Not done"), "{refused}");
    }
}

#[test]
fn nothing_is_applied_unless_the_configuration_says_so() {
    let variant = variant("");
    let server = variant.serve();
    workload(&server);
    let found = searched(&server, SUGGESTED);
    let (id, _) = found[0].split_once('|').unwrap();
    fails(&server, "ada", &format!("CALL querygate.apply({id})"), "55000");
    // Suggestions are kept, and readable without a gate.
    drop(server);
    assert!(advise(&variant).contains("suggested on crm: CREATE INDEX main.\"qg_cases_"));
}
