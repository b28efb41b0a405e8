//! Real clients against a door over an engine in memory: psql (when installed) and tokio-postgres.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stderr, reason = "says what was measured or skipped")]

mod common;

use common::fake::{PASSWORD, USER};
use common::{Served, serve};
use futures::TryStreamExt as _;
use std::process::Stdio;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls};

async fn connect(door: &Served) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(door.addr.port()).user(USER).password(PASSWORD).dbname("demo");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn psql(door: &Served, arguments: &[&str]) -> Option<(String, String)> {
    let mut command = tokio::process::Command::new("/usr/bin/psql");
    let target = format!("host=127.0.0.1 port={} user={USER} dbname=demo gssencmode=disable", door.addr.port());
    command.args(["-X", "-v", "VERBOSITY=verbose", &target]).args(arguments).env("PGPASSWORD", PASSWORD);
    match command.stdin(Stdio::null()).output().await {
        Ok(output) => {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            Some((text(output.stdout), text(output.stderr)))
        }
        Err(error) => {
            eprintln!("SKIPPED: psql absent ({error})");
            None
        }
    }
}

#[tokio::test]
async fn psql_logs_in_and_queries() {
    let door = serve().await;
    let Some((out, err)) = psql(&door, &["-At", "-c", "rows 3", "-c", "select user", "-c", "nonsense"]).await else {
        return;
    };
    assert_eq!(out, "0|\n1|n1\n2|n2\nada\n");
    assert_eq!(err, "ERROR:  22012: division by zero\n");
    let (out, _) = psql(&door, &["-At", "-c", "\\set FETCH_COUNT 2", "-c", "copy csv"]).await.unwrap();
    assert_eq!(out, "id,name\n0,\n1,n1\n2,n2\n3,\n");
    door.stop().await;
}

#[tokio::test]
async fn parameters_survive_twelve_executions_of_each_type() {
    let door = serve().await;
    let client = connect(&door).await;
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let checks: Vec<(&str, Type, Box<dyn ToSql + Sync + Send>)> = vec![
        ("bool", Type::BOOL, Box::new(true)),
        ("int2", Type::INT2, Box::new(-7_i16)),
        ("int4", Type::INT4, Box::new(i32::MIN)),
        ("int8", Type::INT8, Box::new(i64::MAX)),
        ("oid", Type::OID, Box::new(u32::MAX)),
        ("float4", Type::FLOAT4, Box::new(1.5_f32)),
        ("float8", Type::FLOAT8, Box::new(-0.1_f64)),
        ("text", Type::TEXT, Box::new("grüß")),
        ("varchar", Type::VARCHAR, Box::new(uuid)),
        ("bytea", Type::BYTEA, Box::new(vec![0_u8, 255])),
        ("_int4", Type::INT4_ARRAY, Box::new(vec![Some(1), None, Some(3)])),
        ("_text", Type::TEXT_ARRAY, Box::new(vec!["a,b", "", "NULL"])),
    ];
    for (name, pg_type, value) in checks {
        let statement = client.prepare(&format!("echo {name}")).await.unwrap();
        assert_eq!(statement.params(), std::slice::from_ref(&pg_type), "{name}");
        for _ in 0..12 {
            let rows = client.query(&statement, &[&*value]).await.unwrap();
            // The value comes back in the binary form in which it was sent.
            let mut sent = tokio_postgres::types::private::BytesMut::new();
            value.to_sql_checked(&pg_type, &mut sent).unwrap();
            assert_eq!(rows[0].get::<_, Raw>(0).0, sent, "{name}");
        }
        let rows = client.query(&statement, &[&None::<Never>]).await.unwrap();
        assert!(rows[0].get::<_, Option<Raw>>(0).is_none(), "{name}");
    }
    drop(client);
    while door.service.open_sessions() > 0 {
        tokio::task::yield_now().await;
    }
    door.stop().await;
}

/// Raw bytes of any type.
struct Raw(Vec<u8>);

impl<'a> tokio_postgres::types::FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A NULL of any type.
#[derive(Debug)]
struct Never;

impl ToSql for Never {
    fn to_sql(
        &self,
        _: &Type,
        _: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(tokio_postgres::types::IsNull::Yes)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    tokio_postgres::types::to_sql_checked!();
}

#[tokio::test]
async fn streams_portals_copy_and_cancel_work_from_a_driver() {
    let door = serve().await;
    let mut client = connect(&door).await;
    let rows = client.query("rows 12345", &[]).await.unwrap();
    assert_eq!((rows.len(), rows[12_344].get::<_, i32>(0)), (12_345, 12_344));
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("rows 10", &[]).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 4).await.unwrap();
        if rows.is_empty() {
            break;
        }
        seen.push(rows.len());
    }
    assert_eq!(seen, [4, 4, 2]);
    transaction.commit().await.unwrap();
    let copied = client.copy_out("copy text").await.unwrap();
    let data: Vec<_> = copied.try_collect().await.unwrap();
    assert_eq!(data.concat(), b"0\t\\N\n1\tn1\n2\tn2\n3\t\\N\n");
    let token = client.cancel_token();
    let (outcome, ()) = tokio::join!(client.query("stall 10", &[]), async {
        while door.service.executed.load(std::sync::atomic::Ordering::SeqCst) < 6 {
            tokio::task::yield_now().await;
        }
        token.cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(client.query("rows 1", &[]).await.unwrap().len(), 1);
    drop(client);
    while door.service.open_sessions() > 0 {
        tokio::task::yield_now().await;
    }
    door.stop().await;
}
