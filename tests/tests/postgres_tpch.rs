//! TPC-H at scale 0.01 through the port over a real PostgreSQL server, with and without a row policy. The answers are
//! another engine's. Under the policy each table also holds another tenant's rows: one that leaks changes sums.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod common;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use common::{PASSWORD, Server as Database};
use querygate_bench::tpch;
use querygate_driver_api::value::{Value, ValueType};
use querygate_tests::server::{Server, runtime};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const SCALE: f64 = 0.01;
const USER: &str = "reader";

fn value_type(data_type: &DataType) -> ValueType {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => ValueType::Text,
        DataType::Int32 => ValueType::Int32,
        DataType::Int64 => ValueType::Int64,
        DataType::Date32 => ValueType::Date,
        DataType::Decimal128(precision, scale) => ValueType::Decimal128 { precision: *precision, scale: *scale },
        other => panic!("TPC-H has no column of type {other}"),
    }
}

/// Rows of a batch, each with its tenant at the end if there are tenants.
fn rows(batch: &RecordBatch, tenant: Option<&str>) -> Vec<Vec<Value>> {
    let cell = |at: usize| move |column: &arrow::array::ArrayRef| Value::from_array(column.as_ref(), at).unwrap();
    let row = |at: usize| batch.columns().iter().map(cell(at)).chain(tenant.map(Value::text)).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// Loads a table; under a policy, a tenth of its rows once more as another tenant's.
async fn load(client: &Client, table: &str, governed: bool) -> Vec<Field> {
    let (schema, batches) = tpch::batches(table, SCALE).unwrap();
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    if governed {
        fields.push(Field::new("tenant", DataType::Utf8, false));
    }
    let column = |field: &Field| format!("{} {}", field.name(), common::plain("", value_type(field.data_type())));
    let columns: Vec<String> = fields.iter().map(column).collect();
    client.batch_execute(&format!("CREATE TABLE {table} ({})", columns.join(", "))).await.unwrap();
    for batch in &batches {
        common::copy_rows(client, table, &rows(batch, governed.then_some("ours"))).await;
        if governed {
            let other = batch.slice(0, batch.num_rows().div_ceil(10));
            common::copy_rows(client, table, &rows(&other, Some("theirs"))).await;
        }
    }
    for field in fields.iter().filter(|field| field.name().ends_with("key")) {
        client.batch_execute(&format!("CREATE INDEX ON {table} ({})", field.name())).await.unwrap();
    }
    fields
}

/// A field as metadata declares it.
fn declared(field: &Field) -> serde_json::Value {
    let number = |precision: u8, scale: i8| json!({"type": "number", "precision": precision, "scale": scale, "label": field.name()});
    match field.data_type() {
        DataType::Int32 | DataType::Int64 => number(19, 0),
        DataType::Decimal128(precision, scale) => number(*precision, *scale),
        DataType::Date32 => json!({"type": "date", "label": field.name()}),
        _ => json!({"type": "text", "label": field.name()}),
    }
}

/// Loads a database, writes metadata and configuration, and serves them.
fn serve(folder: &Path, database: &Database, governed: bool) -> Server {
    let objects: Vec<serde_json::Value> = runtime().block_on(async {
        let client = database.database("tpch", "").await;
        let mut objects = Vec::new();
        for table in tpch::TABLES {
            let fields = load(&client, table, governed).await;
            let fields: serde_json::Map<_, _> = fields.iter().map(|f| (f.name().clone(), declared(f))).collect();
            objects.push(json!({
                "name": format!("tpch_{table}"), "label": table, "datasource": "tpch", "systemFields": false,
                "external": {"remoteName": table, "writable": false}, "sharingModel": "public_read", "fields": fields,
            }));
        }
        client.batch_execute("ANALYZE").await.unwrap();
        objects
    });
    let policies = tpch::TABLES.map(|table| {
        json!({
            "name": format!("own_{table}"), "object": format!("tpch_{table}"), "operation": "select",
            "using": "tenant == current_user.tenant",
        })
    });
    let policies: &[serde_json::Value] = if governed { &policies } else { &[] };
    let stack = json!({
        "manifest": {"id": "com.example.tpch", "namespace": "tpch", "version": "1.0.0", "type": "app", "name": "TPC-H"},
        "datasources": [{
            "name": "tpch", "label": "TPC-H", "driver": "postgres", "config": {}, "schemaMode": "external",
            "external": {"allowWrites": false},
        }],
        "objects": objects,
        "permissions": [{
            "name": "tpch_reader", "label": "Reader", "objects": {"*": {"allowRead": true}},
            "rowLevelSecurity": policies,
        }],
    });
    std::fs::create_dir_all(folder.join("metadata")).unwrap();
    std::fs::write(folder.join("metadata/tpch.json"), stack.to_string()).unwrap();
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-reader");
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"tpch\"\nkind = \
         \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\ndatabase = \"tpch\"\npassword = \
         \"file:password\"\n[[users]]\nname = \"{USER}\"\nverifier = \"{verifier}\"\nuser_id = \
         \"u1\"\npermission_sets = [\"tpch_reader\"]\nattributes = {{ tenant = \"ours\" }}\n",
        database.port
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
    Server::serve(&folder.join("querygate.toml"))
}

async fn answer(client: &Client, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let messages = client.simple_query(sql).await.map_err(|e| format!("{:?}", e.as_db_error()))?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or_default().trim().to_owned()).collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

/// Equal text, or numbers that differ by less than the last digit of an average of decimals.
fn same(found: &str, expected: &str) -> bool {
    found == expected
        || match (found.parse::<f64>(), expected.parse::<f64>()) {
            (Ok(found), Ok(expected)) => (found - expected).abs() <= 1.1e-6 + 1e-9 * expected.abs(),
            _ => false,
        }
}

/// What is wrong with a query's rows.
fn differs(found: &[Vec<String>], expected: &str) -> Option<String> {
    let expected: Vec<Vec<&str>> = expected.lines().map(|line| line.split('\t').map(str::trim).collect()).collect();
    if found.len() != expected.len() {
        return Some(format!("{} rows, expected {}", found.len(), expected.len()));
    }
    let equal = |(found, expected): &(&Vec<String>, &Vec<&str>)| {
        found.len() == expected.len() && found.iter().zip(expected.iter()).all(|(f, e)| same(f, e))
    };
    let other = found.iter().zip(&expected).find(|pair| !equal(pair));
    other.map(|(found, expected)| format!("{found:?}, expected {expected:?}"))
}

fn check(governed: bool) {
    let Some(database) = Database::start() else { return };
    let folder = TempDir::new().unwrap();
    let server = serve(folder.path(), &database, governed);
    let answers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tpch/answers");
    let (mut wrong, mut whole) = (Vec::new(), 0);
    runtime().block_on(async {
        let client = server.client(USER).await;
        for (number, sql) in tpch::queries() {
            let expected = std::fs::read_to_string(answers.join(format!("q{number}.tsv"))).unwrap();
            match answer(&client, sql).await {
                Err(error) => wrong.push(format!("q{number}: {error}")),
                Ok(found) => wrong.extend(differs(&found, &expected).map(|why| format!("q{number}: {why}"))),
            }
            let plan = answer(&client, &format!("EXPLAIN {sql}")).await.unwrap().concat().join("\n");
            whole += usize::from(!plan.contains("Kept in the gate"));
        }
    });
    assert!(wrong.is_empty(), "governed {governed}:\n{}", wrong.join("\n"));
    assert!(whole >= WHOLE_LEAST, "only {whole} of 22 went down whole, governed {governed}");
}

/// Statements that the source answers by itself; the others keep something in the gate, such as averages of decimals.
const WHOLE_LEAST: usize = 12;

#[test]
fn all_22_answers_are_another_engines() {
    check(false);
}

#[test]
fn all_22_answers_hold_beside_another_tenants_rows() {
    check(true);
}
