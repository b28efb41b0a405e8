//! Floats in Parquet: NaN, which statistics leave out, and zeros of either sign.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use arrow::array::*;
use arrow::datatypes::DataType;
use common::*;
use querygate_files::{FileFormat, TableSpec};
use std::sync::Arc;

/// Rows `id, v` with a narrower copy of `v`, in files of one row group for each list.
fn floats(dir: &std::path::Path, groups: &[&[f64]]) {
    let values = || groups.iter().flat_map(|group| group.iter());
    let written = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values((1..).zip(values()).map(|(id, _)| id)))),
        ("v", Arc::new(Float64Array::from_iter_values(values().copied()))),
        ("s", Arc::new(Float32Array::from_iter_values(values().map(|value| *value as f32)))),
    ]);
    write_parquet(&dir.join("t.parquet"), &written, groups[0].len());
}

fn columns_of_floats(single: DataType) -> TableSpec {
    let columns = schema(&[("id", DataType::Int64), ("v", DataType::Float64), ("s", single)]);
    spec("t.parquet", FileFormat::Parquet, columns)
}

#[tokio::test]
async fn keys_of_joins_and_first_rows_find_nan() {
    let dir = tempfile::tempdir().unwrap();
    let nan = f64::NAN;
    floats(
        dir.path(),
        &[&[10.0, 11.0, 12.0, 13.0], &[1.0, 2.0, nan, 3.0], &[4.0, 5.0, 6.0, 7.0], &[nan, nan, nan, nan]],
    );
    let source = source(dir.path());
    for (single, name) in [(DataType::Float32, "FLOAT"), (DataType::Float64, "DOUBLE")] {
        let table = columns_of_floats(single);
        let join = |column: &str, keys: &str| {
            let of = if column == "v" { "DOUBLE" } else { name };
            let keys = keys.split(' ').map(|key| format!("(CAST('{key}' AS {of}))")).collect::<Vec<_>>().join(", ");
            format!("SELECT t.id FROM t JOIN (VALUES {keys}) AS k(key) ON t.{column} = k.key ORDER BY t.id")
        };
        for column in ["v", "s"] {
            for (keys, want) in [("NaN", "7;13;14;15;16"), ("100 NaN", "7;13;14;15;16"), ("2 5", "6;10"), ("100", "")] {
                assert_eq!(ask(&source, &table, &join(column, keys)).await, want, "{column} {keys}");
            }
            for (sql, want) in [
                (format!("SELECT {column} FROM t ORDER BY {column} DESC LIMIT 2"), "NaN;NaN"),
                (format!("SELECT id FROM t ORDER BY {column} DESC, id LIMIT 6"), "7;13;14;15;16;4"),
                (format!("SELECT id FROM t ORDER BY {column} DESC NULLS LAST, id DESC LIMIT 1"), "16"),
                (format!("SELECT id FROM t ORDER BY {column} LIMIT 2"), "5;6"),
                (format!("SELECT id FROM t WHERE {column} < 100 ORDER BY {column} DESC LIMIT 1"), "4"),
                (format!("SELECT max({column}), min({column}) FROM t"), "NaN,1.0"),
                (format!("SELECT count(*) FROM t WHERE {column} IN (100, CAST('NaN' AS DOUBLE))"), "5"),
            ] {
                assert_eq!(ask(&source, &table, &sql).await, want, "{sql}");
            }
        }
    }
    let context = session(&source, &columns_of_floats(DataType::Float32), 1).await;
    let pruned = async |sql: &str| metric(&context, sql, "row_groups_pruned_statistics").await;
    let keyed =
        |keys: &str| format!("SELECT t.id FROM t JOIN (VALUES {keys}) AS k(v, id) ON t.v = k.v AND t.id = k.id");
    assert!(pruned(&keyed("(2e0, 6), (3e0, 8)")).await >= 2, "keys that are numbers prune");
    assert!(pruned(&keyed("(CAST('NaN' AS DOUBLE), 7), (2e0, 6)")).await >= 3, "the other key prunes");
    let skipped = async |sql: &str| metric(&context, sql, "row_groups_pruned_dynamic_filter").await;
    assert!(skipped("SELECT id FROM t ORDER BY v LIMIT 1").await >= 1, "the least rows prune");
}

#[tokio::test]
async fn one_number_beside_nan_is_not_the_only_value() {
    let dir = tempfile::tempdir().unwrap();
    floats(dir.path(), &[&[5.0, f64::NAN, 5.0]]);
    let source = source(dir.path());
    for single in [DataType::Float32, DataType::Float64] {
        let table = columns_of_floats(single);
        assert_eq!(ask(&source, &table, "SELECT v, s FROM t ORDER BY id").await, "5.0,5.0;NaN,NaN;5.0,5.0");
        assert_eq!(ask(&source, &table, "SELECT id FROM t WHERE v <> 5 OR s > 5 ORDER BY id").await, "2");
    }
}

#[tokio::test]
async fn zeros_of_either_sign_are_found() {
    let dir = tempfile::tempdir().unwrap();
    floats(dir.path(), &[&[-0.0, -0.0], &[0.0, 0.0], &[-1.0, 1.0]]);
    let source = source(dir.path());
    let table = columns_of_floats(DataType::Float32);
    let kept = |test: &str| format!("SELECT count(*) FROM t WHERE {test}");
    let mut found = Vec::new();
    for test in ["v = 0", "v = -0e0", "v IN (0)", "v >= 0", "v <= -0e0", "s = 0", "v < 0", "v > -0e0"] {
        let pruned = ask(&source, &table, &kept(test)).await;
        let whole = ask(&source, &table, &kept(&test.replacen(['v', 's'], "coalesce(v, id)", 1))).await;
        if pruned != whole {
            found.push(format!("{test}: {pruned} of {whole}"));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
