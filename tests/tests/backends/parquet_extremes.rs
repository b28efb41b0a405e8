//! Least and greatest values of expressions over a file of many row groups, where those of a column beside them are found early: the
//! engine skips rows by the column alone if it is let.

use super::every_type::served;
use arrow::array::{Float64Array, Int64Array};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use querygate_tests::server::psql;
use std::fs::File;
use std::sync::Arc;
use tempfile::TempDir;

const ROWS: i64 = 100_000;

#[test]
fn extremes_of_expressions_see_each_row() {
    let folder = TempDir::new().unwrap();
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let file = lake.join("measures.parquet");
    let rows = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS)) as _),
        ("size", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|id| (ROWS - id) as f64))) as _),
    ])
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(5_000)).build();
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let (server, said) = served(folder.path(), "files", &lake);
    for (select, want) in [
        ("min(id), min(size + 0)", "0|1"),
        ("min(id), min(nullif(size, 7)) FILTER (WHERE size IN (1, 2, 3))", "0|1"),
        ("max(size), max(id * 2)", "100000|199998"),
        ("min(id), min(size)", "0|1"),
        ("min(id) FILTER (WHERE size < 3), max(size)", "99998|100000"),
    ] {
        let printed = psql(&server, "ann", &["-At", "-c", &format!("SELECT {select} FROM measures")]);
        assert_eq!(printed.both().trim(), want, "{select}\n{said}");
    }
}
