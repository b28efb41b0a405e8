//! What a memory table must answer: values, filters, order, limits, aggregates, swaps and the size cap. Knows only the public API.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use querygate_memory::{MemoryConfig, MemorySource, load_ndjson};
use querygate_types::ErrorCode;
use std::sync::Arc;

fn source(bytes_max: usize) -> MemorySource {
    MemorySource::new(MemoryConfig { name: "mem".to_owned(), bytes_max })
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("v", DataType::Float64, true),
    ]))
}

fn rows(count: i64) -> RecordBatch {
    let ids: Int64Array = (0..count).collect();
    let names: StringArray = (0..count).map(|i| (i % 3 != 0).then(|| format!("n{}", i % 10))).collect();
    let values: Float64Array = (0..count).map(|i| (i % 7 != 0).then_some(i as f64)).collect();
    RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(names), Arc::new(values) as ArrayRef]).unwrap()
}

async fn ask(source: &MemorySource, table: &str, partitions: usize, sql: &str) -> Vec<RecordBatch> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(partitions));
    context.register_table("t", source.table(table).unwrap()).unwrap();
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

fn text(batches: &[RecordBatch]) -> String {
    let printed = pretty_format_batches(batches).unwrap().to_string();
    printed
        .lines()
        .filter(|l| l.starts_with('|'))
        .skip(1)
        .map(|l| l.split('|').map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>().join(","))
        .collect::<Vec<_>>()
        .join(";")
}

#[tokio::test]
async fn answers_are_the_same_at_any_partition_count() {
    let source = source(1 << 30);
    source.put("t", schema(), vec![rows(50_000)]).unwrap();
    let cases = [
        ("SELECT count(*), count(name), count(v), sum(id) FROM t", "50000,33333,42857,1249975000"),
        ("SELECT id FROM t WHERE id BETWEEN 10 AND 12 ORDER BY id DESC", "12;11;10"),
        ("SELECT id FROM t WHERE name IS NULL AND id > 49990 ORDER BY id", "49992;49995;49998"),
        ("SELECT id FROM t ORDER BY id DESC LIMIT 2 OFFSET 1", "49998;49997"),
        ("SELECT name, count(*) FROM t WHERE name < 'n2' GROUP BY name ORDER BY 1", "n0,3333;n1,3334"),
        ("SELECT id FROM t WHERE id < 0", ""),
        ("SELECT max(v) FROM t WHERE v IS NULL", ""),
        ("SELECT name FROM t WHERE id = 1", "n1"),
    ];
    for (sql, want) in cases {
        for partitions in [1, 4] {
            assert_eq!(text(&ask(&source, "t", partitions, sql).await), want, "{sql} at {partitions}");
        }
    }
}

#[tokio::test]
async fn nasty_values_come_back_as_they_went_in() {
    let source = source(1 << 20);
    let names = ["", "O'Hara", "\\", "line\nbreak", "nul\0inside", "𝄞 é", " pad ", "%_", "NULL"];
    let ids = [i64::MIN, i64::MAX, 0, -1, 1, 2, 3, 4, 5];
    let values = [f64::MIN, f64::MAX, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 0.1, 1e308];
    let batch = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from(ids.to_vec())),
            Arc::new(StringArray::from(names.to_vec())),
            Arc::new(Float64Array::from(values.to_vec())),
        ],
    )
    .unwrap();
    source.put("t", schema(), vec![batch.clone()]).unwrap();
    let got = ask(&source, "t", 1, "SELECT * FROM t").await;
    assert_eq!(got[0].columns()[..2], batch.columns()[..2]);
    let bits = |b: &RecordBatch| -> Vec<u64> {
        let column = b.column(2).as_any().downcast_ref::<Float64Array>().unwrap();
        column.values().iter().map(|v| v.to_bits()).collect()
    };
    assert_eq!(bits(&got[0]), bits(&batch));
}

#[tokio::test]
async fn a_provider_keeps_its_rows_over_a_swap() {
    let source = source(1 << 20);
    source.put("t", schema(), vec![rows(10)]).unwrap();
    let before = source.table("t").unwrap();
    source.swap(vec![("t".to_owned(), schema(), vec![rows(3)]), ("u".to_owned(), schema(), vec![])]).unwrap();
    assert_eq!((before.rows(), source.table("t").unwrap().rows()), (10, 3));
    assert_eq!(source.tables(), ["t", "u"]);
    assert_eq!(text(&ask(&source, "u", 2, "SELECT count(*) FROM t").await), "0");
    assert_eq!(source.table("v").unwrap_err().code(), ErrorCode::UndefinedTable);
}

#[test]
fn what_exceeds_the_cap_or_the_schema_changes_nothing() {
    let source = source(20_000);
    source.put("t", schema(), vec![rows(10)]).unwrap();
    let error = source.put("u", schema(), vec![rows(10_000)]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ProgramLimitExceeded);
    let twice = vec![("u".to_owned(), schema(), vec![]), ("u".to_owned(), schema(), vec![])];
    assert_eq!(source.swap(twice).unwrap_err().code(), ErrorCode::ConfigInvalid);
    let other: SchemaRef = Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8, true)]));
    assert_eq!(source.put("u", other, vec![rows(1)]).unwrap_err().code(), ErrorCode::MetadataInvalid);
    assert_eq!(source.tables(), ["t"]);
}

#[test]
fn statistics_are_exact_for_rows_and_nulls() {
    let source = source(1 << 20);
    source.put("t", schema(), vec![rows(100), rows(50)]).unwrap();
    let statistics = source.table("t").unwrap().statistics().unwrap();
    assert_eq!(statistics.num_rows, Precision::Exact(150));
    assert_eq!(statistics.column_statistics[1].null_count, Precision::Exact(34 + 17));
}

#[tokio::test]
async fn dropping_a_stream_ends_it() {
    let source = source(1 << 30);
    source.put("t", schema(), vec![rows(100_000)]).unwrap();
    let context = SessionContext::new();
    let table = source.table("t").unwrap();
    context.register_table("t", Arc::clone(&table) as Arc<dyn TableProvider>).unwrap();
    let sql = "SELECT a.id FROM t a CROSS JOIN t b";
    let mut stream = context.sql(sql).await.unwrap().execute_stream().await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    drop(stream);
    drop(context);
    // The join's tasks hold the plan; yielding lets their abort run.
    for _ in 0..1_000 {
        if Arc::strong_count(&table) <= 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(Arc::strong_count(&table) <= 2);
}

#[tokio::test]
async fn seeds_become_a_table() {
    let source = source(1 << 20);
    let seed = "{\"id\":1,\"name\":\"a\"}\n{\"id\":\"2\",\"v\":0.5}\n";
    let batch = load_ndjson(seed.as_bytes(), &schema(), 1 << 20).unwrap();
    source.put("t", schema(), vec![batch]).unwrap();
    assert_eq!(
        text(&ask(&source, "t", 1, "SELECT id, coalesce(name, '-'), coalesce(v, 9) FROM t").await),
        "1,a,9.0;2,-,0.5"
    );
}
