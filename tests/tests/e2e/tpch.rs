//! TPC-H at scale 0.01 through the port, over Parquet and over SQLite, with and without a row policy. The answers are
//! those of another engine. Under the policy each table also holds another tenant's rows: one that leaks changes sums.

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use querygate_bench::tpch;
use querygate_driver_api::value::ValueType;
use querygate_sqlite::{ColumnSpec, SqliteWriter, TableSpec};
use querygate_tests::server::{Server, runtime};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const SCALE: f64 = 0.01;
const USER: &str = "reader";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Parquet,
    Sqlite,
}

/// The rows of a table; under a policy, a tenth of them once more as another tenant's.
fn rows(table: &str, governed: bool) -> Vec<RecordBatch> {
    let (_, batches) = tpch::batches(table, SCALE).unwrap();
    if !governed {
        return batches;
    }
    let owned = |batch: &RecordBatch, tenant: &str| {
        let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("tenant", DataType::Utf8, false));
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new(StringArray::from(vec![tenant; batch.num_rows()])));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    };
    let others = batches.iter().map(|batch| owned(&batch.slice(0, batch.num_rows().div_ceil(10)), "theirs"));
    let others: Vec<RecordBatch> = others.collect();
    others.into_iter().chain(batches.iter().map(|batch| owned(batch, "ours"))).collect()
}

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

/// SQLite's writer takes the plain forms.
fn plain(batch: &RecordBatch) -> RecordBatch {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let to = if value_type(field.data_type()) == ValueType::Text { &DataType::Utf8 } else { field.data_type() };
        columns.push(arrow::compute::cast(column, to).unwrap());
        fields.push(Field::new(field.name(), to.clone(), field.is_nullable()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn write(folder: &Path, kind: Kind, governed: bool) -> String {
    match kind {
        Kind::Parquet => {
            let data = folder.join("data");
            std::fs::create_dir_all(&data).unwrap();
            for table in tpch::TABLES {
                let batches = rows(table, governed);
                let file = std::fs::File::create(data.join(format!("{table}.parquet"))).unwrap();
                let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).unwrap();
                batches.iter().for_each(|batch| writer.write(batch).unwrap());
                writer.close().unwrap();
            }
            "data".to_owned()
        }
        Kind::Sqlite => runtime().block_on(async {
            let mut writer = SqliteWriter::open(folder.join("tpch.sqlite")).await.unwrap();
            for table in tpch::TABLES {
                let batches: Vec<RecordBatch> = rows(table, governed).iter().map(plain).collect();
                let schema = batches[0].schema();
                let columns = schema.fields().iter().map(|field| ColumnSpec {
                    name: field.name().clone(),
                    value_type: value_type(field.data_type()),
                    nullable: field.is_nullable(),
                });
                let keys = schema.fields().iter().filter(|field| field.name().ends_with("key"));
                let spec = TableSpec {
                    name: table.to_owned(),
                    columns: columns.collect(),
                    primary_key: Vec::new(),
                    indexes: keys.map(|field| vec![field.name().clone()]).collect(),
                };
                writer.create_table(&spec).await.unwrap();
                writer.insert(&spec, batches.into_iter().map(Ok)).await.unwrap();
            }
            writer.analyze().await.unwrap();
            writer.close().await.unwrap();
            "tpch.sqlite".to_owned()
        }),
    }
}

/// A field as metadata declares it.
fn field(field: &Field) -> serde_json::Value {
    let number = |precision: u8, scale: i8| serde_json::json!({"type": "number", "precision": precision, "scale": scale, "label": field.name()});
    match field.data_type() {
        DataType::Int32 | DataType::Int64 => number(19, 0),
        DataType::Decimal128(precision, scale) => number(*precision, *scale),
        DataType::Date32 => serde_json::json!({"type": "date", "label": field.name()}),
        _ => serde_json::json!({"type": "text", "label": field.name()}),
    }
}

/// The stack of the tables: one permission set that reads them all.
fn stack(kind: Kind, governed: bool) -> serde_json::Value {
    let suffix = if kind == Kind::Parquet { ".parquet" } else { "" };
    let objects = tpch::TABLES.map(|table| {
        let schema = rows(table, governed)[0].schema();
        let fields: serde_json::Map<String, serde_json::Value> =
            schema.fields().iter().map(|f| (f.name().clone(), field(f))).collect();
        serde_json::json!({
            "name": format!("tpch_{table}"), "label": table, "datasource": "tpch", "systemFields": false,
            "external": {"remoteName": format!("{table}{suffix}"), "writable": false},
            "sharingModel": "public_read", "fields": fields,
        })
    });
    let driver = if kind == Kind::Parquet { "files" } else { "sqlite" };
    serde_json::json!({
        "manifest": {"id": "com.example.tpch", "namespace": "tpch", "version": "1.0.0", "type": "app", "name": "TPC-H"},
        "datasources": [{
            "name": "tpch", "label": "TPC-H", "driver": driver, "config": {}, "schemaMode": "external",
            "external": {"allowWrites": false},
        }],
        "objects": objects.to_vec(),
        "permissions": [{"name": "tpch_reader", "label": "Reader", "objects": {"*": {"allowRead": true}}}],
    })
}

/// Writes data, metadata and configuration, and serves them.
fn serve(folder: &Path, kind: Kind, governed: bool) -> Server {
    let path = write(folder, kind, governed);
    let mut stack = stack(kind, governed);
    if governed {
        let policies = tpch::TABLES.map(|table| {
            serde_json::json!({
                "name": format!("own_{table}"), "object": format!("tpch_{table}"), "operation": "select",
                "using": "tenant == current_user.tenant",
            })
        });
        stack["permissions"][0]["rowLevelSecurity"] = policies.to_vec().into();
    }
    std::fs::create_dir_all(folder.join("metadata")).unwrap();
    std::fs::write(folder.join("metadata/tpch.json"), stack.to_string()).unwrap();
    let kind = if kind == Kind::Parquet { "files" } else { "sqlite" };
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-reader");
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"tpch\"\nkind = \
         \"{kind}\"\npath = \"{path}\"\n[[users]]\nname = \"{USER}\"\nverifier = \"{verifier}\"\nuser_id = \
         \"u1\"\npermission_sets = [\"tpch_reader\"]\nattributes = {{ tenant = \"ours\" }}\n"
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
    Server::serve(&folder.join("querygate.toml"))
}

async fn answer(client: &Client, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let messages = client.simple_query(sql).await.map_err(|e| format!("{:?}", e.as_db_error()))?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect())
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

fn check(kind: Kind, governed: bool) {
    let folder = TempDir::new().unwrap();
    let server = serve(folder.path(), kind, governed);
    let answers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tpch/answers");
    let mut wrong = Vec::new();
    runtime().block_on(async {
        let client = server.client(USER).await;
        for (number, sql) in tpch::queries() {
            let expected = std::fs::read_to_string(answers.join(format!("q{number}.tsv"))).unwrap();
            let expected: Vec<Vec<&str>> = expected.lines().map(|line| line.split('\t').collect()).collect();
            match answer(&client, sql).await {
                Err(error) => wrong.push(format!("q{number}: {error}")),
                Ok(found) if found.len() != expected.len() => {
                    wrong.push(format!("q{number}: {} rows, expected {}", found.len(), expected.len()));
                }
                Ok(found) => {
                    let differ = found.iter().zip(&expected).find(|(found, expected)| {
                        found.len() != expected.len()
                            || found.iter().zip(*expected).any(|(f, e)| !same(f.trim(), e.trim()))
                    });
                    wrong
                        .extend(differ.map(|(found, expected)| format!("q{number}: {found:?}, expected {expected:?}")));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{kind:?}, governed {governed}:\n{}", wrong.join("\n"));
}

#[test]
fn all_22_answers_over_parquet_are_another_engines() {
    check(Kind::Parquet, false);
}

#[test]
fn all_22_answers_over_sqlite_are_another_engines() {
    check(Kind::Sqlite, false);
}

#[test]
fn all_22_answers_over_parquet_hold_beside_another_tenants_rows() {
    check(Kind::Parquet, true);
}

#[test]
fn all_22_answers_over_sqlite_hold_beside_another_tenants_rows() {
    check(Kind::Sqlite, true);
}
