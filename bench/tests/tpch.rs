//! The 22 statements over the generated Parquet files, through the file driver, against DuckDB's answers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionConfig, SessionContext};
use querygate_bench::tpch;
use querygate_files::{FileFormat, FilesConfig, FilesSource, TableSpec};
use std::path::Path;

fn cells(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|r| columns.iter().map(|c| c.value(r).to_string()).collect()));
    }
    rows
}

/// Text is equal, or both are numbers that differ by less than a millionth: averages have other scales elsewhere.
fn same(got: &str, want: &str) -> bool {
    match (got.parse::<f64>(), want.parse::<f64>()) {
        (Ok(got), Ok(want)) => (got - want).abs() <= 1e-6 * want.abs().max(1.0),
        _ => got == want,
    }
}

#[tokio::test]
async fn every_statement_answers_as_duckdb_does() {
    let dir = tempfile::tempdir().unwrap();
    tpch::write_parquet(dir.path(), 0.01).unwrap();
    let source = FilesSource::new(FilesConfig::local("tpch", dir.path())).unwrap();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    for table in tpch::TABLES {
        let spec = TableSpec::new(table, &format!("{table}.parquet"), FileFormat::Parquet, None);
        context.register_table(table, source.table(&spec).await.unwrap()).unwrap();
    }
    let answers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tpch/answers");
    for (number, text) in tpch::queries() {
        let frame = context.sql(text).await.unwrap_or_else(|e| panic!("q{number}: {e}"));
        let got = cells(&frame.collect().await.unwrap_or_else(|e| panic!("q{number}: {e}")));
        let want = std::fs::read_to_string(answers.join(format!("q{number}.tsv"))).unwrap();
        let want: Vec<Vec<&str>> = want.lines().map(|l| l.split('\t').collect()).collect();
        assert_eq!(got.len(), want.len(), "rows of q{number}");
        for (row, (got, want)) in got.iter().zip(&want).enumerate() {
            let equal = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| same(g, w));
            assert!(equal, "q{number}, row {row}: {got:?}, DuckDB has {want:?}");
        }
    }
}
