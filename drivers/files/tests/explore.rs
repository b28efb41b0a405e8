//! Folders as they come: what is a table, how its files are written, what is left out; files that drift apart or are replaced.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

mod common;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use common::*;
use querygate_files::{FileFormat, TableSpec};
use querygate_types::ErrorCode;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Each table's columns and rows, as exploring a folder describes it; and what is left out, with the first words of the reason.
async fn explored(root: &Path) -> (Vec<(String, String, String)>, Vec<(String, String)>) {
    let source = source(root);
    let exploration = source.explore().await.unwrap();
    let mut tables = Vec::new();
    for (table, inferred) in exploration.tables {
        let columns = inferred.schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type()));
        let spec = TableSpec {
            ignored: Some(Vec::new()),
            ..TableSpec::new(&table.name, &table.pattern, table.format, Some(Arc::clone(&inferred.schema)))
        };
        let rows = ask(&source, &spec, "SELECT * FROM t").await;
        tables.push((table.pattern, columns.collect::<Vec<_>>().join(", "), rows));
    }
    let left_out = exploration.left_out.into_iter().map(|left| (left.path, left.reason)).collect();
    (tables, left_out)
}

fn assert_table(tables: &[(String, String, String)], path: &str, columns: &str, rows: &str) {
    let found = tables.iter().find(|table| table.0 == path).unwrap_or_else(|| panic!("no table {path} in {tables:?}"));
    assert_eq!((found.1.as_str(), found.2.as_str()), (columns, rows), "{path}");
}

#[track_caller]
fn assert_left_out(left_out: &[(String, String)], path: &str, reason: &str) {
    let found = left_out.iter().find(|left| left.0 == path).unwrap_or_else(|| panic!("{path} is not in {left_out:?}"));
    assert!(found.1.contains(reason), "{path}: {}", found.1);
}

#[tokio::test]
async fn texts_are_read_as_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_text(&at("semi.csv"), "id;name;amount\n1;a;2,5\n2;b;3,5\n");
    write_text(&at("blank.csv"), "id, name,city \n1,x,y\n");
    write_text(&at("twice.csv"), "id,n,id\n1,x,2\n");
    write_text(&at("people.tsv"), "id\tname\n1\tx, y\n");
    write_text(&at("bare.csv"), "1,a\n2,b\n");
    write_text(&at("codes.csv"), "code,n,big\n00501,12E3,18446744073709551615\n00502,1,1\n");
    write_text(&at("header.csv"), "a,b\n");
    write_text(&at("list.json"), "[{\"id\": 1,\n \"n\": \"x\"}, {\"id\": 2}]\n");
    write_text(&at("doc.json"), "{\n \"id\": 1,\n \"deep\": {\"x\": [1, 2]}\n}\n");
    write_text(&at("mark.ndjson"), "\u{feff}{\"id\": 1}\n{\"id\": 18446744073709551616, \"late\": \"z\"}\n");
    write_text(
        &at("days.csv"),
        "day,at,t\n2024-01-02,2024-01-02 10:00:00.123456,10:00:00\n2024-13-45,2024-01-03 00:00:00,23:59:59\n",
    );
    std::fs::write(at("latin.csv"), b"name\nCaf\xe9\n").unwrap();
    let utf16: Vec<u8> = "\u{feff}id;n\n1;é\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(at("utf16.csv"), utf16).unwrap();
    let (tables, left_out) = explored(dir.path()).await;
    assert_eq!(left_out, []);
    for (path, columns, rows) in [
        ("semi.csv", "id Int64, name Utf8, amount Utf8", "1,a,2,5;2,b,3,5"),
        ("blank.csv", "id Int64, name Utf8, city Utf8", "1,x,y"),
        ("twice.csv", "id Int64, n Utf8, id_2 Int64", "1,x,2"),
        ("people.tsv", "id Int64, name Utf8", "1,x, y"),
        ("bare.csv", "column_1 Int64, column_2 Utf8", "1,a;2,b"),
        ("codes.csv", "code Utf8, n Utf8, big Decimal128(38, 0)", "00501,12E3,18446744073709551615;00502,1,1"),
        ("header.csv", "a Utf8, b Utf8", ""),
        ("list.json", "id Int64, n Utf8", "1,x;2,"),
        ("doc.json", "id Int64, deep Utf8", "1,{\"x\": [1, 2]}"),
        ("mark.ndjson", "id Decimal128(38, 0), late Utf8", "1,;18446744073709551616,z"),
        (
            "days.csv",
            "day Utf8, at Timestamp(µs), t Time64(µs)",
            "2024-01-02,2024-01-02T10:00:00.123456,10:00:00;2024-13-45,2024-01-03T00:00:00,23:59:59",
        ),
        ("latin.csv", "name Utf8", "Café"),
        ("utf16.csv", "id Int64, n Utf8", "1,é"),
    ] {
        assert_table(&tables, path, columns, rows);
    }
}

/// Packs a file by another program. False: it is not installed, which is said.
fn packed_by(program: &str, file: &Path, to: &Path) -> bool {
    let output = Command::new(program).arg("-c").arg(file).stderr(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            std::fs::write(to, output.stdout).unwrap();
            true
        }
        _ => {
            eprintln!("SKIPPED: {program} is not installed");
            false
        }
    }
}

#[tokio::test]
async fn packed_files_are_read_at_any_number_of_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let plain = tempfile::tempdir().unwrap();
    let (csv, json) = (plain.path().join("t.csv"), plain.path().join("t.ndjson"));
    let rows = 0..50_000;
    write_text(&csv, &rows.clone().fold("id,v\n".to_owned(), |text, i| format!("{text}{i},x\n")));
    write_text(&json, &rows.fold(String::new(), |text, i| text + &format!("{{\"id\":{i}}}\n")));
    for (program, ending) in [("gzip", "gz"), ("zstd", "zst")] {
        for (file, format) in [(&csv, "csv"), (&json, "ndjson")] {
            let name = format!("t_{ending}.{format}.{ending}");
            let to = dir.path().join(&name);
            if !packed_by(program, file, &to) {
                continue;
            }
            // Two members one after another, as logs are appended.
            let twice = [std::fs::read(&to).unwrap(), std::fs::read(&to).unwrap()].concat();
            let source = source(dir.path());
            let table = source.explore_one(&name).await.unwrap().tables.remove(0);
            assert_eq!(table.0.name, format!("t_{ending}"));
            let spec = TableSpec::new("t", &name, table.0.format, Some(table.1.schema));
            for partitions in [1, 4] {
                let context = session(&source, &spec, partitions).await;
                let batches = context.sql("SELECT count(*), sum(id) FROM t").await.unwrap().collect().await.unwrap();
                assert_eq!(text(&batches), "50000,1249975000", "{name}");
            }
            if format == "ndjson" {
                std::fs::write(&to, twice).unwrap();
                let again = common::source(dir.path());
                assert_eq!(ask(&again, &spec, "SELECT count(*) FROM t").await, "100000", "{name}");
            }
        }
    }
    std::fs::write(dir.path().join("broken.csv.gz"), b"id\n1\n").unwrap();
    let left = source(dir.path()).explore_one("broken.csv.gz").await.unwrap().left_out;
    assert!(left[0].reason.contains("cannot be decompressed"), "{left:?}");
}

#[tokio::test]
async fn what_is_no_table_is_left_out_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_text(&at("good.csv"), "a\n1\n");
    write_text(&at("ragged.csv"), "a,b\n1,2\n1,2,3\n");
    write_text(&at("broken.ndjson"), "{\"a\": 1}\n{\"a\":\n");
    write_text(&at("numbers.json"), "[1, 2]");
    write_text(&at("empty.csv"), "");
    write_text(&at("no.parquet"), "PAR1 not at all");
    write_text(&at("notes.md"), "# notes");
    write_text(&at("shop.sqlite"), "SQLite format 3");
    write_text(&at("shop.sqlite-wal"), "x");
    write_text(&at(".hidden.csv"), "a\n1\n");
    write_text(&at("mixed/a.csv"), "a\n1\n");
    write_text(&at("mixed/b.ndjson"), "{\"a\": 1}\n");
    write_text(&at("mixed/_SUCCESS"), "");
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.5]));
    write_parquet(&at("drift/a.parquet"), &batch(vec![("id", Arc::clone(&ints)), ("v", floats)]), 10);
    write_parquet(&at("drift/b.parquet"), &batch(vec![("id", Arc::clone(&ints)), ("v", texts)]), 10);
    for (folder, mark) in
        [("delta", "_delta_log/0.json"), ("ice", "metadata/v1.metadata.json"), ("hudi", ".hoodie/x.properties")]
    {
        write_parquet(&at(&format!("{folder}/data.parquet")), &batch(vec![("id", Arc::clone(&ints))]), 10);
        write_text(&at(&format!("{folder}/{mark}")), "{}");
    }
    write_text(&at("metadata/people.csv"), "a\n1\n");
    let (tables, left_out) = explored(dir.path()).await;
    let names: Vec<&str> = tables.iter().map(|table| table.0.as_str()).collect();
    assert_eq!(names, ["good.csv", "metadata", "mixed"]);
    for (path, reason) in [
        ("ragged.csv", "3 fields where the first row has 2"),
        ("broken.ndjson", "broken.ndjson"),
        ("numbers.json", "something else than JSON objects"),
        ("empty.csv", "empty"),
        ("no.parquet", "no.parquet"),
        ("notes.md", "no table"),
        ("shop.sqlite", "a source of its own"),
        ("mixed/b.ndjson", "another format"),
        ("drift", "column \"v\" is Utf8, other files have Float64"),
        ("delta", "a Delta Lake table"),
        ("ice", "an Iceberg table"),
        ("hudi", "a Hudi table"),
    ] {
        assert_left_out(&left_out, path, reason);
    }
    assert_eq!(left_out.len(), 12, "{left_out:?}");
}

#[tokio::test]
async fn a_source_that_is_a_lake_table_itself_has_no_table() {
    for (mark, kind) in [
        ("_delta_log/00000.json", "a Delta Lake table"),
        ("metadata/v1.metadata.json", "an Iceberg table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        write_parquet(&dir.path().join("part-0.parquet"), &batch(vec![("id", Arc::clone(&ints))]), 10);
        write_parquet(&dir.path().join("data/part-1.parquet"), &batch(vec![("id", ints)]), 10);
        write_text(&dir.path().join(mark), "{}");
        let (tables, left_out) = explored(dir.path()).await;
        assert_eq!((tables.len(), left_out.len()), (0, 1), "{mark}: {tables:?} {left_out:?}");
        assert_left_out(&left_out, ".", kind);
        let one = source(dir.path()).explore_one("part-0.parquet").await.unwrap();
        assert!(one.tables.is_empty() && one.left_out.len() == 1, "{mark}: {one:?}");
    }
}

#[tokio::test]
async fn files_that_differ_are_one_table_or_an_error_that_names_file_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX]));
    write_parquet(&at("t/a.parquet"), &batch(vec![("id", Arc::clone(&narrow)), ("name", Arc::clone(&narrow))]), 10);
    write_parquet(&at("t/b.parquet"), &batch(vec![("NAME", Arc::clone(&wide)), ("ID", Arc::clone(&wide))]), 10);
    write_parquet(&at("t/c.parquet"), &batch(vec![("id", Arc::clone(&wide)), ("later", Arc::clone(&narrow))]), 10);
    write_text(&at("c/a.csv"), "id,name\n1,x\n");
    write_text(&at("c/b.csv"), "NAME,id\ny,2\n");
    write_parquet(&at("sales/year=2024/p.parquet"), &batch(vec![("v", Arc::clone(&narrow))]), 10);
    write_parquet(&at("sales/year=2025/p.parquet"), &batch(vec![("v", Arc::clone(&narrow))]), 10);
    let (tables, left_out) = explored(dir.path()).await;
    assert_eq!(left_out, []);
    let most = i64::MAX;
    assert_table(&tables, "t", "id Int64, name Int64, later Int32", &format!("1,1,;{most},{most},;{most},,1"));
    assert_table(&tables, "c", "id Int64, name Utf8", "1,x;2,y");
    assert_table(&tables, "sales", "v Int32, year Int64", "1,2024;1,2025");
    // A later file whose column is called otherwise.
    let declared = schema(&[("id", DataType::Int64), ("name", DataType::Int64)]);
    let spec = |pattern: &str, format| TableSpec {
        ignored: Some(Vec::new()),
        ..TableSpec::new("t", pattern, format, Some(Arc::clone(&declared)))
    };
    write_parquet(&at("u/a.parquet"), &batch(vec![("id", Arc::clone(&wide)), ("nom", Arc::clone(&narrow))]), 10);
    write_text(&at("u.csv"), "id,nom\n1,2\n");
    for (pattern, format, file) in
        [("u", FileFormat::Parquet, "u/a.parquet"), ("u.csv", FileFormat::promised("u.csv").unwrap(), "u.csv")]
    {
        let context = session(&source(dir.path()), &spec(pattern, format), 1).await;
        let error = fail(&context, "SELECT * FROM t").await;
        let cause = format!("{file}: there is no column \"name\", and \"nom\" is in no description");
        assert_eq!(error.cause(), Some(cause.as_str()), "{error:?}");
        assert_eq!(error.code(), ErrorCode::SourceSchemaChanged, "{error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_is_another_one_whatever_it_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let write = |value: i64| {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![value]));
        let new = dir.path().join("new");
        write_parquet(&new, &batch(vec![("id", values)]), 10);
        new
    };
    std::fs::rename(write(1), &path).unwrap();
    let source = source_with(dir.path(), Duration::ZERO);
    let spec = spec("t.parquet", FileFormat::Parquet, schema(&[("id", DataType::Int64)]));
    let sql = "SELECT id, (SELECT count(*) FROM t WHERE id > 1) FROM t";
    assert_eq!(ask(&source, &spec, sql).await, "1,0");
    let times = std::fs::metadata(&path).unwrap();
    let keep_times = |path: &Path| {
        let times = std::fs::FileTimes::new().set_modified(times.modified().unwrap());
        std::fs::File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    };
    // Of the same size and time, by a rename.
    let new = write(2);
    keep_times(&new);
    assert_eq!(std::fs::metadata(&new).unwrap().len(), times.len());
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(ask(&source, &spec, sql).await, "2,1");
    // The same once more, written into the same file.
    let new = write(1);
    std::fs::copy(&new, &path).unwrap();
    keep_times(&path);
    assert_eq!(ask(&source, &spec, sql).await, "1,0");
}
