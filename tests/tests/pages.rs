//! The pages of the HTTP port, through the real binary: who gets in, who sees what, and that nothing shows before.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

use querygate_tests::server::{Server, Variant, demo, psql};
use std::io::{Read, Write};
use std::net::TcpStream;

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn ask(server: &Server, request: &str, headers: &str, body: &str) -> Answer {
    let mut tcp = TcpStream::connect(server.http).unwrap();
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let (host, length) = (server.http, body.len());
    write!(
        tcp,
        "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        // Chunked bodies keep their sizes between the chunks, which no test looks for.
        body: body.to_owned(),
    }
}

/// Logs in and gives the Cookie header.
fn log_in(server: &Server, user: &str) -> String {
    let answer = ask(server, "POST /ui/login", "", &format!("user={user}&password=demo-{user}"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
}

#[test]
fn the_pages_show_what_the_reader_may_see() {
    let server = &demo().server;
    // Each user's statement is told from the other's by its table.
    for (user, sql) in [
        ("sam", "SELECT count(*) FROM contracts WHERE status = 'a secret'"),
        ("iris", "SELECT count(*) FROM surveys WHERE comment = 'a secret'"),
    ] {
        assert!(psql(server, user, &["-c", sql]).success);
    }
    assert_eq!(ask(server, "GET /ui", "", "").status, 303);
    let root = ask(server, "GET /", "", "");
    assert!(root.status == 303 && root.head.contains("location: /ui"), "{}", root.head);
    let see = |user: &str| ask(server, "GET /ui", &log_in(server, user), "");
    let (ada, sam, iris) = (see("ada"), see("sam"), see("iris"));
    assert_eq!((ada.status, sam.status, iris.status), (200, 200, 200));
    assert!(ada.body.contains("contracts") && ada.body.contains("surveys"));
    assert!(sam.body.contains("contracts") && !sam.body.contains("surveys"));
    assert!(iris.body.contains("surveys") && !iris.body.contains("contracts"));
    for answer in [&ada, &sam, &iris] {
        assert!(!answer.body.contains("a secret"), "a literal is shown");
        assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
        assert!(!answer.body.contains("<script"));
    }
}

#[test]
fn every_page_answers_everybody() {
    let server = &demo().server;
    assert!(psql(server, "ada", &["-c", "SELECT name FROM accounts WHERE id = 'acc_00001'"]).success);
    for user in ["ada", "sam", "iris"] {
        let cookie = log_in(server, user);
        for path in ["/ui", "/ui/plans", "/ui/indexes", "/ui/anomalies", "/ui/sources", "/ui/query/0000000000000000"] {
            let answer = ask(server, &format!("GET {path}"), &cookie, "");
            assert_eq!(answer.status, 200, "{user} {path}: {}", answer.body);
        }
        let sources = ask(server, "GET /ui/sources", &cookie, "").body;
        assert_eq!(sources.contains("crm"), user == "ada", "sources are named to operators only: {user}");
    }
    let cookie = log_in(server, "ada");
    let page = ask(server, "GET /ui", &cookie, "").body;
    let query = page.split("href=\"/ui/query/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let one = ask(server, &format!("GET /ui/query/{query}"), &cookie, "");
    assert!(one.status == 200 && one.body.contains("Latest runs"), "{}", one.body);
}

#[test]
fn receipts_say_what_ran_where() {
    let server = &demo().server;
    let cookie = log_in(server, "ada");
    for (sql, told, not_told) in [
        ("SELECT count(*) FROM accounts WHERE rating > 2", "badge good\">pushed to crm<", "badge plain\">kept<"),
        ("SELECT kind FROM events WHERE kind = 'signup' LIMIT 3", "badge good\">read<", "kept</span> scan events"),
    ] {
        assert!(psql(server, "ada", &["-c", sql]).success);
        let latest = "SELECT fingerprint FROM querygate.queries WHERE login = 'ada' AND objects <> '' ORDER BY started DESC LIMIT 1";
        let fingerprint = psql(server, "ada", &["-At", "-c", latest]).out;
        let page = ask(server, &format!("GET /ui/query/{}", fingerprint.trim()), &cookie, "").body;
        assert!(page.contains(told) && !page.contains(not_told), "{sql}: {page}");
    }
}

#[test]
fn nobody_gets_in_by_a_wrong_password_and_others_are_not_told_apart() {
    let server = &demo().server;
    let wrong = |user: &str| ask(server, "POST /ui/login", "", &format!("user={user}&password=wrong"));
    let (known, unknown) = (wrong("ada"), wrong("eve"));
    assert_eq!((known.status, unknown.status), (401, 401));
    assert_eq!(known.body.replace("value=\"ada\"", ""), unknown.body.replace("value=\"eve\"", ""));
    let foreign = ask(server, "POST /ui/login", "Origin: http://evil.example\r\n", "user=ada&password=demo-ada");
    assert_eq!(foreign.status, 403);
}

#[test]
fn the_configuration_can_leave_the_pages_out() {
    let variant = Variant::new(|config| config.replace("[server]", "[server]\npages = false"));
    let server = variant.serve();
    for request in ["GET /", "GET /ui", "GET /ui/login", "POST /ui/login", "GET /ui/style.css"] {
        assert_eq!(ask(&server, request, "", "").status, 404, "{request}");
    }
    assert_eq!(ask(&server, "GET /healthz", "", "").status, 200);
}
