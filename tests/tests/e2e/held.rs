//! What sessions hold: shown to themselves and to operators, given back when a transaction fails, and ended by an operator at any door.

use arrow_flight::sql::client::FlightSqlServiceClient;
use querygate_tests::server::{RawClient, Server, Variant, runtime};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, SimpleQueryMessage};
use tonic::transport::Endpoint;

/// An end is seen within it.
const AT_MOST: Duration = Duration::from_secs(30);

/// The first column of the rows of a statement.
fn rows(client: &Client, sql: &str) -> Vec<String> {
    let found = runtime().block_on(client.simple_query(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let text = |message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    found.into_iter().filter_map(text).collect()
}

fn client(server: &Server, user: &str) -> Client {
    runtime().block_on(server.client(user))
}

/// The number of the session of a user that holds something of a kind.
fn session_of(operator: &Client, user: &str, kind: &str) -> String {
    let sql = format!("SELECT session FROM querygate.held WHERE login = '{user}' AND kind = '{kind}'");
    rows(operator, &sql).pop().unwrap_or_else(|| panic!("{user} holds no {kind}"))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < AT_MOST, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_operator_sees_what_is_held_and_ends_its_session() {
    let server = Variant::new(|config| config).serve();
    let (operator, other) = (client(&server, "ada"), client(&server, "iris"));
    let mut holder = RawClient::login(server.postgres, "sam");
    for sql in ["BEGIN", "DECLARE c CURSOR FOR SELECT id FROM accounts", "CREATE TEMPORARY TABLE t (n int)"] {
        holder.query(sql);
        assert!(holder.read_until(b'Z').iter().all(|frame| frame.tag != b'E'), "{sql}");
    }
    let kinds = "SELECT kind FROM querygate.held WHERE login = 'sam' AND bytes IS NULL ORDER BY 1";
    assert_eq!(rows(&operator, kinds), ["cursor", "temporary relation", "transaction"]);
    assert!(rows(&other, kinds).is_empty(), "they are sam's");
    let session = session_of(&operator, "sam", "transaction");
    assert_eq!(rows(&operator, "SELECT count(*) FROM querygate.held WHERE session = -1"), ["0"]);
    let refused = runtime().block_on(other.simple_query(&format!("CALL querygate.end_session({session})")));
    assert_eq!(refused.unwrap_err().code().unwrap().code(), "42501");
    let _ = rows(&operator, &format!("CALL querygate.end_session({session})"));
    // Idle, it hears of it at once.
    let told = holder.read().unwrap();
    assert_eq!((told.tag, told.field(b'C').as_deref()), (b'E', Some("57P01")));
    assert!(holder.read().is_none());
    until("what it held is free", || rows(&operator, kinds).is_empty());
}

#[test]
fn a_flight_session_ends_as_well() {
    let server = Variant::new(|config| config).serve();
    let operator = client(&server, "ada");
    let endpoint = Endpoint::from_shared(format!("http://{}", server.flight)).unwrap();
    let mut flight = runtime().block_on(async {
        let mut flight = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
        let token = flight.handshake("sam", "demo-sam").await.unwrap();
        flight.set_token(String::from_utf8(token.to_vec()).unwrap());
        flight.begin_transaction().await.unwrap();
        flight
    });
    let session = session_of(&operator, "sam", "transaction");
    let _ = rows(&operator, &format!("CALL querygate.end_session({session})"));
    until("the session ends", || runtime().block_on(flight.execute("SELECT 1".to_owned(), None)).is_err());
    let kinds = "SELECT kind FROM querygate.held WHERE login = 'sam' AND kind = 'transaction'";
    until("what it held is free", || rows(&operator, kinds).is_empty());
}

#[test]
fn a_failed_transaction_holds_no_row_that_came_after_its_savepoint() {
    let (_variant, server) = Variant::writable();
    let (holder, other) = (client(&server, "sam"), client(&server, "ada"));
    let ids = rows(&holder, "SELECT id FROM opportunities ORDER BY id LIMIT 2");
    let change = |at: usize| format!("UPDATE opportunities SET name = name || '!' WHERE id = '{}'", ids[at]);
    let _ = rows(&holder, "BEGIN");
    let _ = rows(&holder, "SAVEPOINT s");
    let _ = rows(&holder, &change(0));
    assert!(runtime().block_on(holder.simple_query("SELECT 1 / 0")).is_err());
    let _ = rows(&other, "SET statement_timeout = '30s'");
    let _ = rows(&other, &change(1));
    let _ = rows(&holder, "ROLLBACK TO s");
    let _ = rows(&holder, &change(1));
    let _ = rows(&holder, "COMMIT");
    let names = format!("SELECT name FROM opportunities WHERE id IN ('{}', '{}') ORDER BY id", ids[0], ids[1]);
    let changed: Vec<bool> = rows(&other, &names).iter().map(|name| name.ends_with('!')).collect();
    assert_eq!(changed, [false, true]);
    assert!(rows(&other, &names)[1].ends_with("!!"), "both changed it");
}

#[test]
fn a_failed_transaction_holds_no_row() {
    let (_variant, server) = Variant::writable();
    let (holder, other) = (client(&server, "sam"), client(&server, "ada"));
    let ids = rows(&holder, "SELECT id FROM opportunities ORDER BY id LIMIT 2");
    let change = |at: usize| format!("UPDATE opportunities SET name = name || '!' WHERE id = '{}'", ids[at]);
    let _ = rows(&holder, "BEGIN");
    let _ = rows(&holder, &change(0));
    let _ = rows(&other, "SET statement_timeout = '1s'");
    // SQLite has one writer.
    let waits = runtime().block_on(other.simple_query(&change(1))).unwrap_err();
    assert_eq!(waits.code().unwrap().code(), "57014");
    assert!(runtime().block_on(holder.simple_query("SELECT 1 / 0")).is_err());
    let _ = rows(&other, "SET statement_timeout = '30s'");
    let _ = rows(&other, &change(1));
    let refused = runtime().block_on(holder.simple_query("SELECT 1")).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "25P02");
    let _ = rows(&holder, "COMMIT");
    let names = format!("SELECT name FROM opportunities WHERE id IN ('{}', '{}') ORDER BY id", ids[0], ids[1]);
    let changed: Vec<bool> = rows(&other, &names).iter().map(|name| name.ends_with('!')).collect();
    assert_eq!(changed, [false, true], "the failed one stored nothing");
}
