//! What sessions do to each other: advisory locks, and ending a statement of another one.

use querygate_tests::server::{demo, runtime};
use std::time::Duration;
use tokio_postgres::Client;

async fn one(client: &Client, sql: &str) -> String {
    let rows = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = rows.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("-").to_owned()),
        _ => None,
    });
    row.unwrap_or_else(|| panic!("{sql}: no row"))
}

#[test]
fn advisory_locks_are_held_until_they_are_given_back() {
    runtime().block_on(async {
        let server = &demo().server;
        let (ada, iris) = (server.client("ada").await, server.client("iris").await);
        assert_eq!(one(&ada, "SELECT pg_advisory_lock(4711)").await, "");
        assert_eq!(one(&iris, "SELECT pg_try_advisory_lock(4711)").await, "f");
        // Two numbers are no one number, and NULL is none.
        assert_eq!(one(&iris, "SELECT pg_try_advisory_lock(0, 4711), pg_try_advisory_lock(NULL)").await, "t");
        let bound: bool = iris.query_one("SELECT pg_try_advisory_lock($1::bigint)", &[&4711_i64]).await.unwrap().get(0);
        assert!(!bound);
        // Who waits gets it, and holds no other statement up.
        let waiting = one(&iris, "SELECT pg_advisory_lock(4711)");
        let giving = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(one(&ada, "SELECT pg_advisory_unlock(4711)").await, "t");
            assert_eq!(one(&ada, "SELECT pg_advisory_unlock(4711)").await, "f");
        };
        let (got, ()) = tokio::join!(waiting, giving);
        assert_eq!(got, "");
        // A wait ends with its time.
        ada.batch_execute("SET statement_timeout = '300ms'").await.unwrap();
        let error = ada.simple_query("SELECT pg_advisory_lock(4711)").await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "57014");
        ada.batch_execute("RESET statement_timeout").await.unwrap();
        // Locks of a transaction end with it; those of a session with that.
        ada.batch_execute("BEGIN").await.unwrap();
        assert_eq!(one(&ada, "SELECT pg_try_advisory_xact_lock(4712)").await, "t");
        assert_eq!(one(&iris, "SELECT pg_try_advisory_lock(4712)").await, "f");
        ada.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(one(&iris, "SELECT pg_try_advisory_lock(4712)").await, "t");
        drop(iris);
        for _ in 0..50 {
            if one(&ada, "SELECT pg_try_advisory_lock(4712)").await == "t" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the locks of a session that is gone are held");
    });
}

#[test]
fn a_statement_is_ended_by_its_own_user_and_by_operators_alone() {
    runtime().block_on(async {
        let server = &demo().server;
        let (ada, iris, other) = (server.client("ada").await, server.client("iris").await, server.client("iris").await);
        let sleeper = one(&iris, "SELECT pg_backend_pid()").await;
        let ends = format!("SELECT pg_cancel_backend({sleeper})");
        let sam = server.client("sam").await;
        for (client, expected) in [(&sam, "f"), (&other, "t"), (&ada, "t")] {
            let sleep = iris.simple_query("SELECT pg_sleep(1.5)");
            let end = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                one(client, &ends).await
            };
            let (slept, ended) = tokio::join!(sleep, end);
            assert_eq!(ended, expected);
            let code = slept.err().map(|error| error.code().unwrap().code().to_owned());
            assert_eq!(code.as_deref(), (expected == "t").then_some("57014"));
        }
        assert_eq!(one(&sam, "SELECT pg_cancel_backend(1)").await, "f");
    });
}
