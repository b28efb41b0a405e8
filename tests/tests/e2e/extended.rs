//! The extended protocol with a driver that uses binary formats only.

use futures::TryStreamExt;
use querygate_tests::server::{demo, runtime};
use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};
use tokio_postgres::types::{FromSqlOwned, ToSql, Type};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

fn with_client<T>(user: &str, test: impl AsyncFnOnce(Client) -> T) -> T {
    runtime().block_on(async { test(demo().server.client(user).await).await })
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().unwrap_or_else(|| panic!("{error:?}")).code()
}

async fn echo<T: ToSql + FromSqlOwned + PartialEq + Debug + Sync>(
    client: &Client,
    sql: &str,
    kind: Type,
    values: &[T],
) {
    let statement = client.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    assert_eq!(statement.params(), std::slice::from_ref(&kind), "{sql}");
    assert_eq!(statement.columns()[0].type_(), &kind, "{sql}");
    for value in values {
        // Several executions: a plan that is cached, or made generic, answers as the first one.
        for execution in 1..=12 {
            let row = client.query_one(&statement, &[value]).await.unwrap_or_else(|e| panic!("{sql} {value:?}: {e:?}"));
            assert_eq!(&row.get::<_, T>(0), value, "{sql}, execution {execution}");
        }
    }
    let null = client.query_one(&statement, &[&None::<T>]).await.unwrap_or_else(|e| panic!("{sql} NULL: {e:?}"));
    assert_eq!(null.get::<_, Option<T>>(0), None, "{sql}");
}

/// A parameter may be NULL and its value is not: what a plan believes of the one must not stay for the other.
#[test]
fn a_value_is_no_word_for_the_subquery_around_it() {
    with_client("ada", async |client| {
        for (sql, expected) in [
            ("SELECT (SELECT $1::int WHERE false) IS NULL", true),
            ("SELECT CASE WHEN (SELECT $1::int LIMIT 0) IS NULL THEN true ELSE false END", true),
            ("SELECT count(*) = 0 FROM (VALUES (1), (2)) t(x) WHERE (SELECT $1::int WHERE x > 2) IS NOT NULL", true),
            ("SELECT ((1, 2) = (1, nullif($1::int, 7))) IS NULL", true),
            ("SELECT ARRAY[$1::int, NULL]::text = '{7,NULL}'", true),
        ] {
            let found: bool = client.query_one(sql, &[&7_i32]).await.unwrap().get(0);
            assert_eq!(found, expected, "{sql}");
        }
        let array: Vec<String> = client.query_one("SELECT ARRAY[$1, $2]", &[&"1", &"2"]).await.unwrap().get(0);
        assert_eq!(array, ["1", "2"]);
        let row: String =
            client.query_one("SELECT row($1::int, $2::text, NULL)::text", &[&1, &"a"]).await.unwrap().get(0);
        assert_eq!(row, "(1,a,)");
        let same = "SELECT $1::uuid = $2";
        let statement = client.prepare(same).await.unwrap();
        assert_eq!(statement.params(), [Type::UUID, Type::UUID]);
        let statement = client.prepare_typed(same, &[Type::TEXT, Type::TEXT]).await.unwrap();
        let ids: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", &"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"];
        assert!(client.query_one(&statement, &ids).await.unwrap().get::<_, bool>(0));
    });
}

#[test]
fn parameters_of_each_type_come_back_as_they_went() {
    with_client("sam", async |client| {
        echo(&client, "SELECT $1::bool", Type::BOOL, &[true, false]).await;
        echo(&client, "SELECT $1::int2", Type::INT2, &[i16::MIN, 0, i16::MAX]).await;
        echo(&client, "SELECT $1::int4", Type::INT4, &[i32::MIN, -1, i32::MAX]).await;
        echo(&client, "SELECT $1::int8", Type::INT8, &[i64::MIN, 1, i64::MAX]).await;
        echo(&client, "SELECT $1::float4", Type::FLOAT4, &[f32::MIN, -0.0, 1.5e-30]).await;
        echo(&client, "SELECT $1::float8", Type::FLOAT8, &[f64::MAX, f64::INFINITY, 0.1]).await;
        let texts = ["", "it's \\ \"quoted\"; --", "grüß 日本語 🦀"].map(str::to_owned);
        echo(&client, "SELECT $1::text", Type::TEXT, &texts).await;
        echo(&client, "SELECT $1::bytea", Type::BYTEA, &[vec![], vec![0_u8, 1, 254, 255]]).await;
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_767_225_599_123_456);
        echo(&client, "SELECT $1::timestamptz", Type::TIMESTAMPTZ, &[SystemTime::UNIX_EPOCH, at]).await;
    });
}

#[test]
fn an_untyped_parameter_takes_the_type_of_what_it_is_compared_with() {
    with_client("ada", async |client| {
        for (sql, expected) in [
            ("SELECT id FROM accounts WHERE id = $1", Type::TEXT),
            ("SELECT id FROM accounts WHERE rating = $1", Type::INT4),
            ("SELECT id FROM accounts WHERE strategic = $1", Type::BOOL),
            ("SELECT id FROM accounts WHERE employees > $1", Type::FLOAT8),
            ("SELECT id FROM accounts WHERE created_at > $1", Type::TIMESTAMPTZ),
            ("SELECT id FROM accounts ORDER BY id LIMIT $1", Type::INT8),
            ("SELECT id FROM accounts WHERE id IN ($1)", Type::TEXT),
        ] {
            let statement = client.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            assert_eq!(statement.params(), [expected], "{sql}");
        }
    });
}

#[test]
fn a_function_of_texts_and_of_bytes_is_chosen_by_what_the_client_declares() {
    with_client("sam", async |client| {
        let sql = "SELECT length($1), octet_length($1), md5($1)";
        let bytes = client.prepare_typed(sql, &[Type::BYTEA]).await.unwrap();
        let row = client.query_one(&bytes, &[&vec![0xff_u8, 0xfe]]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (2, 2));
        assert_eq!(row.get::<_, String>(2), "f3b25701fe362ec84616a93a45ce9998");
        let text = client.prepare(sql).await.unwrap();
        assert_eq!(text.params(), [Type::TEXT]);
        let row = client.query_one(&text, &[&"\\xfffe"]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (6, 6));
    });
}

#[test]
fn a_bound_value_is_a_value_whatever_it_holds() {
    with_client("sam", async |client| {
        let all: i64 = client.query_one("SELECT count(*) FROM accounts", &[]).await.unwrap().get(0);
        let one: String = client.query_one("SELECT min(id) FROM accounts", &[]).await.unwrap().get(0);
        let count = "SELECT count(*) FROM accounts WHERE id = $1";
        for (value, expected) in [(one.as_str(), 1), ("' OR '1'='1", 0), ("acc_00001' --", 0), ("\\' OR true --", 0)] {
            let found: i64 = client.query_one(count, &[&value]).await.unwrap().get(0);
            assert_eq!(found, expected, "{value}");
        }
        let others = client.query_one("SELECT count(*) FROM accounts WHERE id <> $1", &[&"' OR 1=1"]).await.unwrap();
        assert_eq!(others.get::<_, i64>(0), all);
    });
}

#[test]
fn one_statement_with_other_values_gives_each_their_rows() {
    with_client("iris", async |client| {
        let by_rating = "SELECT count(*) FROM accounts WHERE rating = $1";
        let statement = client.prepare(by_rating).await.unwrap();
        let mut sum = 0;
        for rating in 0..=12_i32 {
            let bound: i64 = client.query_one(&statement, &[&rating]).await.unwrap().get(0);
            let text = by_rating.replace("$1", &rating.to_string());
            let written: i64 = client.query_one(&text, &[]).await.unwrap().get(0);
            assert_eq!(bound, written, "{rating}");
            sum += bound;
        }
        let rated: i64 =
            client.query_one("SELECT count(*) FROM accounts WHERE rating BETWEEN 0 AND 12", &[]).await.unwrap().get(0);
        assert_eq!(sum, rated);
    });
}

#[test]
fn a_portal_gives_its_rows_in_parts() {
    with_client("sam", async |mut client| {
        let all: Vec<String> = client
            .query("SELECT id FROM accounts ORDER BY id", &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind("SELECT id FROM accounts ORDER BY id", &[]).await.unwrap();
        let mut found: Vec<String> = Vec::new();
        loop {
            let rows = transaction.query_portal(&portal, 300).await.unwrap();
            if rows.is_empty() {
                break;
            }
            assert!(rows.len() <= 300);
            found.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        transaction.commit().await.unwrap();
        assert_eq!(found, all);
    });
}

#[test]
fn an_error_ends_the_transaction_until_it_is_rolled_back() {
    with_client("sam", async |mut client| {
        let mut transaction = client.transaction().await.unwrap();
        let savepoint = transaction.savepoint("s").await.unwrap();
        let error = savepoint.query("SELECT 1/0", &[]).await.unwrap_err();
        assert_eq!(code(&error), "22012");
        let error = savepoint.query("SELECT 1", &[]).await.unwrap_err();
        assert_eq!(code(&error), "25P02");
        savepoint.rollback().await.unwrap();
        assert_eq!(transaction.query_one("SELECT 1::int4", &[]).await.unwrap().get::<_, i32>(0), 1);
        transaction.commit().await.unwrap();
        assert_eq!(client.query_one("SELECT 2::int4", &[]).await.unwrap().get::<_, i32>(0), 2);
    });
}

/// Many seconds of work in the engine.
const LONG: &str = "SELECT count(*) FROM events a JOIN events b ON a.account_id = b.account_id \
                    WHERE length(a.id || b.id) % 7 = 3";

#[test]
fn a_cancel_request_ends_the_statement_and_keeps_the_session() {
    with_client("ada", async |client| {
        let token = client.cancel_token();
        let (running, cancel) = tokio::join!(client.query_one(LONG, &[]), async {
            // The statement must have begun: an early request cancels nothing, so it is repeated.
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                token.cancel_query(NoTls).await.unwrap();
                let other = demo().server.client("ada").await;
                let sql = "SELECT count(*) FROM querygate.queries WHERE outcome = '57014'";
                match other.query_one(sql, &[]).await {
                    Ok(row) if row.get::<_, i64>(0) == 0 => {}
                    _ => break,
                }
            }
        });
        let () = cancel;
        assert_eq!(code(&running.unwrap_err()), "57014");
        assert_eq!(client.query_one("SELECT 1::int4", &[]).await.unwrap().get::<_, i32>(0), 1);
    });
}

#[test]
fn statement_timeout_ends_a_statement_in_time() {
    with_client("ada", async |client| {
        client.batch_execute("SET statement_timeout = '200ms'").await.unwrap();
        let started = Instant::now();
        let error = client.query_one(LONG, &[]).await.unwrap_err();
        assert_eq!(code(&error), "57014");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        client.batch_execute("RESET statement_timeout").await.unwrap();
        assert_eq!(client.query_one("SELECT 1::int4", &[]).await.unwrap().get::<_, i32>(0), 1);
    });
}

#[test]
fn execute_with_arguments_is_recorded_once() {
    with_client("ada", async |client| {
        let recorded = async || {
            let sql = "SELECT count(*) FROM querygate.queries WHERE session = pg_backend_pid()";
            client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
        };
        client.batch_execute("PREPARE some (int) AS SELECT id FROM regions ORDER BY id LIMIT $1").await.unwrap();
        let before = recorded().await;
        let rows = client.simple_query("EXECUTE some (1 + 1)").await.unwrap();
        assert_eq!(rows.iter().filter(|row| matches!(row, SimpleQueryMessage::Row(_))).count(), 2);
        assert_eq!(recorded().await - before, 2, "the count before it, and itself");
        client.simple_query("EXECUTE some (1 / 0)").await.unwrap_err();
        client.batch_execute("DEALLOCATE some").await.unwrap();
    });
}

#[test]
fn a_fetch_ends_at_the_statement_timeout() {
    with_client("ada", async |client| {
        client.batch_execute(&format!("BEGIN; DECLARE c CURSOR FOR {LONG}")).await.unwrap();
        client.batch_execute("SET LOCAL statement_timeout = '200ms'").await.unwrap();
        let started = Instant::now();
        let error = client.simple_query("FETCH c").await.unwrap_err();
        assert_eq!(code(&error), "57014");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        client.batch_execute("ROLLBACK").await.unwrap();
    });
}

#[test]
fn copy_out_streams_text_csv_and_binary() {
    with_client("iris", async |client| {
        let copied = async |sql: &str| {
            let stream = client.copy_out(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            let parts: Vec<_> = stream.try_collect().await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            parts.concat()
        };
        let select = "SELECT id, NULL::text AS n, 'a\tb,\"c\"' AS t, 7::int4 AS i FROM regions ORDER BY id LIMIT 1";
        assert_eq!(copied(&format!("COPY ({select}) TO STDOUT")).await, b"amer\t\\N\ta\\tb,\"c\"\t7\n");
        let csv = copied(&format!("COPY ({select}) TO STDOUT WITH (FORMAT csv, HEADER)")).await;
        assert_eq!(csv, b"id,n,t,i\namer,,\"a\tb,\"\"c\"\"\",7\n");
        let binary = copied("COPY (SELECT 7::int4, NULL::int4) TO STDOUT (FORMAT binary)").await;
        let mut expected = b"PGCOPY\n\xff\r\n\0".to_vec();
        expected.extend([0; 8]);
        expected.extend([0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255, 255, 255]);
        assert_eq!(binary, expected);
    });
}
