//! Clients that are not Python: arrow-flight's own Flight SQL client in Rust, and ADBC from C.

use crate::client::channel;
use crate::python::ADBC_DRIVER;
use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, EndTransaction, SqlInfo};
use futures::TryStreamExt as _;
use querygate_tests::server::{DEMO_USERS, demo, flight_python, runtime};
use std::process::Command;
use std::sync::Arc;
use tonic::transport::Channel;

async fn login(user: &str) -> FlightSqlServiceClient<Channel> {
    let mut client = FlightSqlServiceClient::new(channel(demo().server.flight).await);
    client.handshake(user, &format!("demo-{user}")).await.unwrap();
    client
}

async fn fetched(client: &mut FlightSqlServiceClient<Channel>, info: FlightInfo) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        batches.extend(client.do_get(endpoint.ticket.unwrap()).await.unwrap().try_collect::<Vec<_>>().await.unwrap());
    }
    batches
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[test]
fn the_rust_client_queries_binds_describes_and_ends_transactions() {
    runtime().block_on(async {
        let mut counts = Vec::new();
        for user in DEMO_USERS {
            let mut client = login(user).await;
            let info = client.execute("SELECT count(*) FROM accounts".to_owned(), None).await.unwrap();
            let batches = fetched(&mut client, info).await;
            let count = batches[0].column(0).as_primitive::<Int64Type>().value(0);
            counts.push(count);
            let info = client.execute("SELECT * FROM accounts".to_owned(), None).await.unwrap();
            let all = fetched(&mut client, info).await;
            assert_eq!(i64::try_from(rows(&all)).unwrap(), count, "{user}");

            let mut prepared = client.prepare("SELECT $1::bigint + 1".to_owned(), None).await.unwrap();
            assert_eq!(prepared.dataset_schema().unwrap().fields().len(), 1);
            for number in [1, 41] {
                let column: ArrayRef = Arc::new(Int64Array::from(vec![number]));
                prepared.set_parameters(RecordBatch::try_from_iter([("1", column)]).unwrap()).unwrap();
                let info = prepared.execute().await.unwrap();
                let batches = fetched(&mut client, info).await;
                assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), number + 1);
            }
            prepared.close().await.unwrap();

            let transaction = client.begin_transaction().await.unwrap();
            let info = client.execute("SELECT 1".to_owned(), Some(transaction.clone())).await.unwrap();
            assert_eq!(rows(&fetched(&mut client, info).await), 1);
            client.end_transaction(transaction, EndTransaction::Commit).await.unwrap();

            let schemas = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
            assert!(rows(&fetched(&mut client, schemas).await) >= 2);
            let named = CommandGetTables {
                table_name_filter_pattern: Some("accounts".to_owned()),
                include_schema: true,
                ..CommandGetTables::default()
            };
            let tables = client.get_tables(named).await.unwrap();
            assert_eq!(rows(&fetched(&mut client, tables).await), 1);
            let keys = CommandGetPrimaryKeys { table: "accounts".to_owned(), ..CommandGetPrimaryKeys::default() };
            let keys = client.get_primary_keys(keys).await.unwrap();
            assert_eq!(rows(&fetched(&mut client, keys).await), 1);
            let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
            assert_eq!(rows(&fetched(&mut client, info).await), 1);
            let refused = client.execute_update("DELETE FROM accounts".to_owned(), None).await.unwrap_err();
            assert!(refused.to_string().contains("0A000"), "{refused}");
            client.close().await.unwrap();
        }
        assert!(counts[0] == 20_000 && counts[1] < counts[0] && counts[2] < counts[0], "{counts:?}");
    });
}

#[test]
fn adbc_works_from_c() {
    let Some(python) = flight_python() else {
        assert!(std::env::var_os("CI").is_none(), "python3 with venv and pip must be there in CI");
        eprintln!("SKIPPED: the ADBC driver is absent");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("adbc");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/c/adbc.c");
    let built = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .args([source, "-ldl"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let driver = Command::new(python).args(["-c", ADBC_DRIVER]).output().unwrap();
    let driver = String::from_utf8(driver.stdout).unwrap();
    let address = format!("grpc://{}", demo().server.flight);
    let ran = Command::new(&program).args([driver.trim(), &address]).args(DEMO_USERS).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{err}");
    runtime().block_on(async {
        let mut lines = out.lines();
        for user in DEMO_USERS {
            let postgres = demo().server.client(user).await;
            let counts = "SELECT count(*), count(*) FILTER (WHERE industry = 'retail') FROM accounts";
            let row = postgres.query_one(counts, &[]).await.unwrap();
            let (all, retail): (i64, i64) = (row.get(0), row.get(1));
            let expected = format!("{user} rows={all} retail={retail} price:d:12,2");
            let line = lines.next().unwrap();
            assert_eq!(line, format!("{expected} refused=42703"));
        }
    });
}
