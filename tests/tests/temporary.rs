//! Temporary tables through the real binary and psql: the same session beside PostgreSQL, whole; and what other sessions, other users
//! and policy have to do with them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;

use querygate_tests::server::{demo, psql};
use std::process::{Command, Stdio};

const SESSION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/temporary/session.sql");

/// What psql says of the session at PostgreSQL itself.
fn at_postgres() -> Option<String> {
    let Some(server) = postgres_server::server() else {
        eprintln!("SKIPPED: PostgreSQL is not installed, and sessions are compared with nothing");
        return None;
    };
    let target = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.port);
    let output = Command::new("psql")
        .args(["-X", "-a", &target, "-f", SESSION])
        .env("PGPASSWORD", postgres_server::PASSWORD)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some(said(&output.stdout, &output.stderr))
}

fn said(out: &[u8], err: &[u8]) -> String {
    // Where a line is in the file is psql's own.
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let plain = |line: &str| line.split_once(": ERROR: ").map_or(line.to_owned(), |(_, code)| format!("ERROR: {code}"));
    let errors: Vec<String> = text(err).lines().filter(|line| line.contains("ERROR")).map(plain).collect();
    format!("{}\n{}", text(out), errors.join("\n"))
}

#[test]
fn a_session_is_as_at_postgresql() {
    let Some(expected) = at_postgres() else { return };
    let found = psql(&demo().server, "ada", &["-a", "-f", SESSION]);
    let found = said(found.out.as_bytes(), found.err.as_bytes());
    for (at, (one, other)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(one, other, "line {at} of\n{found}");
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

/// What psql prints of a statement, in a session that ran the ones before it.
fn printed(user: &str, statements: &[&str]) -> String {
    let mut arguments = vec!["-At"];
    statements.iter().for_each(|sql| arguments.extend(["-c", sql]));
    psql(&demo().server, user, &arguments).both()
}

#[test]
fn no_other_session_sees_them() {
    let made = printed("ada", &["CREATE TEMP TABLE own_one (x int)", "SELECT count(*) FROM own_one"]);
    assert_eq!(made, "CREATE TABLE\n0\n");
    for user in ["ada", "iris"] {
        let asked = printed(user, &["SELECT count(*) FROM own_one"]);
        assert!(asked.contains("42P01"), "{user}: {asked}");
        let listed =
            printed(user, &["SELECT count(*) FROM pg_class WHERE relpersistence = 't' OR relname = 'own_one'"]);
        assert_eq!(listed, "0\n", "{user}");
    }
}

/// Filled by what the user may read, and by nothing else.
#[test]
fn policy_holds_for_what_fills_them() {
    for user in ["ada", "iris"] {
        let plain =
            printed(user, &["SELECT count(*), max(total) FROM invoices", "SELECT * FROM accounts ORDER BY id LIMIT 5"]);
        let kept = printed(
            user,
            &[
                "CREATE TEMP TABLE i AS SELECT * FROM invoices",
                "CREATE TEMP TABLE a AS SELECT * FROM accounts",
                "SELECT count(*), max(total) FROM i",
                "SELECT * FROM a ORDER BY id LIMIT 5",
            ],
        );
        let kept: Vec<&str> = kept.lines().skip(2).collect();
        assert_eq!(kept, plain.lines().collect::<Vec<_>>(), "{user}");
    }
    let hidden = printed("iris", &["CREATE TEMP VIEW v AS SELECT * FROM pg_authid_of_nobody"]);
    assert!(hidden.contains("42P01"), "{hidden}");
}

/// A table of the gate's sources is not changed by a name that a temporary table had, and none is made or dropped.
#[test]
fn sources_are_not_touched() {
    let printed = printed(
        "ada",
        &[
            "CREATE TEMP TABLE invoices (x int)",
            "INSERT INTO invoices VALUES (1)",
            "SELECT count(*) FROM invoices",
            "DROP TABLE invoices",
            "SELECT count(*) > 1 FROM invoices",
            "DROP TABLE IF EXISTS invoices",
            "DELETE FROM invoices",
            "CREATE TABLE made (x int)",
        ],
    );
    let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with(['L', 'H', ' ', 'D'])).collect();
    assert_eq!(lines[..4], ["CREATE TABLE", "INSERT 0 1", "1", "t"], "{printed}");
    assert_eq!(printed.matches("0A000").count(), 3, "{printed}");
}

/// Parameters of each kind, by the extended protocol: none, one and many rows.
#[test]
fn statements_with_parameters_are_prepared_once() {
    use querygate_tests::server::runtime;
    runtime().block_on(async {
        let config = demo().server.config("ada");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client
            .batch_execute("CREATE TEMP TABLE t (id int, name text, price numeric(8,2), at timestamptz)")
            .await
            .unwrap();
        let insert = client.prepare("INSERT INTO t (id, name) VALUES ($1, $2) RETURNING id * 10").await.unwrap();
        for id in 0..3_i32 {
            let row = client.query_one(&insert, &[&id, &format!("n{id}")]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), id * 10);
        }
        assert_eq!(client.execute("UPDATE t SET name = $1 WHERE id >= $2::int", &[&"x", &1_i32]).await.unwrap(), 2);
        assert_eq!(client.execute("DELETE FROM t WHERE id = $1", &[&7_i32]).await.unwrap(), 0);
        let read = client.prepare("SELECT count(*) FROM t WHERE name = $1").await.unwrap();
        assert_eq!(client.query_one(&read, &[&"x"]).await.unwrap().get::<_, i64>(0), 2);
        client
            .batch_execute("INSERT INTO t (id, name) VALUES (9, 'x'); CREATE TEMP TABLE other (y int)")
            .await
            .unwrap();
        assert_eq!(client.query_one(&read, &[&"x"]).await.unwrap().get::<_, i64>(0), 3);
        assert_eq!(client.execute(&insert, &[&4_i32, &"x"]).await.unwrap(), 1);
        // A name is looked up anew when a temporary table takes it, or gives it back.
        let shadowed = client.prepare("SELECT count(*) FROM invoices").await.unwrap();
        let all = client.query_one(&shadowed, &[]).await.unwrap().get::<_, i64>(0);
        client.batch_execute("CREATE TEMP TABLE invoices (x int)").await.unwrap();
        assert_eq!(client.query_one(&shadowed, &[]).await.unwrap().get::<_, i64>(0), 0);
        client.batch_execute("DROP TABLE invoices").await.unwrap();
        assert_eq!(client.query_one(&shadowed, &[]).await.unwrap().get::<_, i64>(0), all);
        client.batch_execute("DROP TABLE t").await.unwrap();
        let gone = client.query_one(&read, &[&"x"]).await.unwrap_err();
        assert_eq!(gone.code().unwrap().code(), "42P01");
        let gone = client.execute(&insert, &[&4_i32, &"x"]).await.unwrap_err();
        assert_eq!(gone.code().unwrap().code(), "42P01");
    });
}

/// A cancel ends the query that fills a table, whatever was kept of it before.
#[test]
fn a_fill_is_canceled() {
    use querygate_tests::server::runtime;
    use std::time::Duration;
    runtime().block_on(async {
        let config = demo().server.config("ada");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client.batch_execute("CREATE TEMP TABLE big (n bigint)").await.unwrap();
        let cancel = client.cancel_token();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
        });
        let fill = client.execute("INSERT INTO big SELECT n FROM generate_series(1, 3000000000) n", &[]);
        let error = tokio::time::timeout(Duration::from_secs(60), fill).await.unwrap().unwrap_err();
        assert_eq!(error.code().unwrap().code(), "57014", "{error}");
        assert_eq!(client.query_one("SELECT count(*) FROM big", &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}
