//! CSV and NDJSON through the provider: dialects, values, ranges, bounds, errors, inference.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use common::*;
use futures::StreamExt;
use querygate_files::{CsvOptions, FileFormat, FilesConfig, FilesLimits, FilesSource, TableSpec};
use querygate_types::ErrorCode;
use std::fmt::Write as _;
use std::sync::Arc;

fn csv() -> FileFormat {
    FileFormat::Csv(CsvOptions::default())
}

fn typed() -> SchemaRef {
    let json = Field::new("doc", DataType::Utf8, true)
        .with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into());
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("amount", DataType::Decimal128(18, 4), true),
        Field::new("active", DataType::Boolean, true),
        Field::new("due", DataType::Date32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("tags", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), true),
        json,
        Field::new("absent", DataType::Float64, true),
    ]))
}

const CSV: &str = "\u{feff}name,extra,id,amount,active,due,at,tags,doc\r\n\
    \"O'Hara, \"\"Bo\"\"\nline\",x,1,12.5,true,2024-02-29,2024-01-01T00:00:00Z,\"[\"\"a\"\",\"\"b\"\"]\",\"{\"\"k\"\":1}\"\r\n\
    𝄞 é,x,9223372036854775807,-0.0001,0,0001-01-01,9999-12-31T23:59:59.999Z,solo,\r\n\
    ,x,3,,,,,,\r\n";

const NDJSON: &str = concat!(
    "\u{feff}{\"extra\":[1,{}],\"name\":\"O'Hara, \\\"Bo\\\"\\nline\",\"id\":1,\"amount\":12.5,\"active\":true,\"due\":\"2024-02-29\",\"at\":\"2024-01-01T00:00:00Z\",\"tags\":[\"a\",\"b\"],\"doc\":{\"k\":1}}\n",
    "\r\n",
    "{\"id\":9223372036854775807,\"name\":\"\\ud834\\udd1e é\",\"amount\":\"-0.0001\",\"active\":0,\"due\":\"0001-01-01\",\"at\":\"9999-12-31T23:59:59.999Z\",\"tags\":\"solo\"}\n",
    "{\"id\":3}"
);

#[tokio::test]
async fn declared_types_come_out_of_both_formats_alike() {
    let dir = tempfile::tempdir().unwrap();
    write_text(&dir.path().join("t.csv"), CSV);
    write_text(&dir.path().join("t.ndjson"), NDJSON);
    let source = source(dir.path());
    for (pattern, format) in [("t.csv", csv()), ("t.ndjson", FileFormat::Ndjson)] {
        let context = session(&source, &spec(pattern, format, typed()), 3).await;
        for (sql, want) in [
            (
                "SELECT id, amount, active, due, at, tags, doc, absent FROM t WHERE id = 1",
                "1,12.5000,true,2024-02-29,2024-01-01T00:00:00Z,[a, b],{\"k\":1},",
            ),
            (
                "SELECT name, amount, active, due, at, tags FROM t WHERE id > 5",
                "𝄞 é,-0.0001,false,0001-01-01,9999-12-31T23:59:59.999Z,[solo]",
            ),
            ("SELECT count(*) FROM t", "3"),
            ("SELECT char_length(name), id FROM t WHERE name LIKE 'O''Hara%'", "17,1"),
            ("SELECT id FROM t WHERE name IS NULL AND tags IS NULL AND doc IS NULL AND at IS NULL", "3"),
            ("SELECT sum(amount), max(due) FROM t", "12.4999,2024-02-29"),
            ("SELECT id FROM t ORDER BY amount NULLS FIRST LIMIT 2", "3;9223372036854775807"),
        ] {
            assert_eq!(text(&context.sql(sql).await.unwrap().collect().await.unwrap()), want, "{sql} over {pattern}");
        }
    }
}

#[tokio::test]
async fn many_rows_are_the_same_at_any_partition_count() {
    let dir = tempfile::tempdir().unwrap();
    let (mut csv_text, mut json_text) = ("id,v\n".to_owned(), String::new());
    for i in 0..30_000 {
        writeln!(csv_text, "{i},{}", "x".repeat(i % 90)).unwrap();
        writeln!(json_text, "{{\"id\":{i},\"v\":\"{}\"}}", "x".repeat(i % 90)).unwrap();
    }
    write_text(&dir.path().join("t.csv"), &csv_text);
    write_text(&dir.path().join("t.ndjson"), &json_text);
    let declared = schema(&[("v", DataType::Utf8), ("id", DataType::Int64)]);
    let source = source(dir.path());
    let want = text_length(30_000);
    for (pattern, format) in [("t.csv", csv()), ("t.ndjson", FileFormat::Ndjson)] {
        for partitions in [1, 2, 3, 7, 16] {
            let context = session(&source, &spec(pattern, format.clone(), Arc::clone(&declared)), partitions).await;
            let sql = "SELECT count(*), sum(id), sum(char_length(v)), count(DISTINCT id) FROM t";
            let got = text(&context.sql(sql).await.unwrap().collect().await.unwrap());
            assert_eq!(got, format!("30000,449985000,{want},30000"), "{pattern} at {partitions}");
        }
    }
}

fn text_length(rows: usize) -> usize {
    (0..rows).map(|i| i % 90).sum()
}

#[tokio::test]
async fn dialects_without_header_and_with_other_marks_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write_text(&dir.path().join("t.tsv"), "1\t'a\tb'\t\\N\n2\t\\N\t2.5\n");
    let options =
        CsvOptions { delimiter: b'\t', quote: b'\'', header: false, null: "\\N".to_owned(), ..CsvOptions::default() };
    let got =
        ask(&source(dir.path()), &spec("t.tsv", FileFormat::Csv(options), base_schema()), "SELECT * FROM t").await;
    assert_eq!(got, "1,a\tb,;2,,2.5");
}

#[tokio::test]
async fn files_with_other_column_orders_and_hive_folders_mix() {
    let dir = tempfile::tempdir().unwrap();
    write_text(&dir.path().join("t/year=2023/a.csv"), "id,name\n1,a\n");
    write_text(&dir.path().join("t/year=2024/b.csv"), "name,v,id\nb,2.5,2\n");
    write_text(&dir.path().join("t/year=2024/empty.csv"), "");
    write_text(&dir.path().join("t/year=2025/head.csv"), "id,name\n");
    let declared = schema(&[
        ("year", DataType::Int32),
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("v", DataType::Float64),
    ]);
    let source = source(dir.path());
    let table = spec("t", csv(), declared);
    assert_eq!(ask(&source, &table, "SELECT * FROM t ORDER BY id").await, "2023,1,a,;2024,2,b,2.5");
    assert_eq!(ask(&source, &table, "SELECT id FROM t WHERE year > 2023").await, "2");
}

#[tokio::test]
async fn errors_carry_no_value_and_name_file_row_and_column_in_the_cause() {
    let cases: &[(&str, FileFormat, &str, ErrorCode, &str)] = &[
        (
            "a.csv",
            csv(),
            "id,name,v\n1,x,2\n2,y,s3cret\n",
            ErrorCode::SourceSchemaChanged,
            "a.csv: row 2: column \"v\": expected a number",
        ),
        (
            "b.csv",
            csv(),
            "id,name,v\n1,s3cret\n",
            ErrorCode::SourceError,
            "b.csv: row 1: 2 fields where the first row has 3",
        ),
        (
            "d.ndjson",
            FileFormat::Ndjson,
            "{\"id\":1}\n{\"id\":\"s3cret\"}\n",
            ErrorCode::SourceSchemaChanged,
            "d.ndjson: row 2: column \"id\": expected an integer",
        ),
        (
            "e.ndjson",
            FileFormat::Ndjson,
            "{\"id\":1}\ns3cret\n",
            ErrorCode::SourceSchemaChanged,
            "e.ndjson: row 2: the line is not one JSON object",
        ),
        (
            "f.ndjson",
            FileFormat::Ndjson,
            "{\"id\":1,\"na",
            ErrorCode::SourceSchemaChanged,
            "f.ndjson: row 1: the line is not one JSON object",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path());
    for (file, format, content, code, cause) in cases {
        write_text(&dir.path().join(file), content);
        let context = session(&source, &spec(file, format.clone(), base_schema()), 1).await;
        let error = fail(&context, "SELECT * FROM t").await;
        assert_eq!((error.code(), error.cause()), (*code, Some(*cause)), "{file}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert!(!error.message().contains(file), "{error}");
    }
    std::fs::write(dir.path().join("g.csv"), b"id,name\n1,\xff\xfe\n").unwrap();
    let context = session(&source, &spec("g.csv", csv(), base_schema()), 1).await;
    assert_eq!(fail(&context, "SELECT name FROM t").await.code(), ErrorCode::SourceError);
}

#[tokio::test]
async fn long_rows_and_wide_rows_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(20_000);
    write_text(&dir.path().join("long.csv"), &format!("id,name\n1,{long}\n"));
    write_text(&dir.path().join("open.csv"), &format!("id,name\n1,\"{long}\n"));
    write_text(&dir.path().join("long.ndjson"), &format!("{{\"id\":1,\"name\":\"{long}\"}}\n"));
    write_text(&dir.path().join("wide.csv"), &format!("id,name{}\n", ",c".repeat(100)));
    let limits = FilesLimits { row_bytes_max: 10_000, columns_max: 50, ..FilesLimits::default() };
    let source = FilesSource::new(FilesConfig { limits, ..FilesConfig::local("lake", dir.path()) }).unwrap();
    for (file, format) in
        [("long.csv", csv()), ("open.csv", csv()), ("long.ndjson", FileFormat::Ndjson), ("wide.csv", csv())]
    {
        let context = session(&source, &spec(file, format, base_schema()), 1).await;
        assert_eq!(fail(&context, "SELECT * FROM t").await.code(), ErrorCode::ProgramLimitExceeded, "{file}");
    }
}

#[tokio::test]
async fn columns_are_inferred_from_a_sample() {
    let dir = tempfile::tempdir().unwrap();
    write_text(
        &dir.path().join("t.csv"),
        "id,zip,score,ok,day,at,empty\n1,00123,1,true,2024-01-01,2024-01-01T10:00:00Z,\n2,10115,2.5,false,2024-01-02,2024-01-02,\n",
    );
    write_text(
        &dir.path().join("t.ndjson"),
        "{\"id\":1,\"tags\":[\"a\"],\"o\":{\"k\":1},\"n\":null}\n{\"id\":2.5,\"late\":\"x\"}\n",
    );
    let source = source(dir.path());
    for (pattern, format, want, rows) in [
        (
            "t.csv",
            csv(),
            "id Int64, zip Utf8, score Float64, ok Boolean, day Date32, at Timestamp(µs, \"UTC\"), empty Utf8",
            "1,00123,1.0,true,2024-01-01,2024-01-01T10:00:00Z,;2,10115,2.5,false,2024-01-02,2024-01-02T00:00:00Z,",
        ),
        (
            "t.ndjson",
            FileFormat::Ndjson,
            "id Float64, tags List(Utf8), o Utf8, n Utf8, late Utf8",
            "1.0,[a],{\"k\":1},,;2.5,,,,x",
        ),
    ] {
        let table = TableSpec::new("t", pattern, format, None);
        let inferred = source.infer(&table).await.unwrap();
        let shown: Vec<String> =
            inferred.schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
        assert_eq!(shown.join(", "), want);
        assert_eq!(ask(&source, &table, "SELECT * FROM t").await, rows);
    }
}

#[tokio::test]
async fn a_dropped_stream_stops_and_a_vanished_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ndjson");
    write_text(&path, &"{\"id\":1,\"name\":\"abcdefghijklmnopqrstuvwxyz\"}\n".repeat(200_000));
    let source = source(dir.path());
    let context = session(&source, &spec("t.ndjson", FileFormat::Ndjson, base_schema()), 1).await;
    let mut stream = context.sql("SELECT * FROM t").await.unwrap().execute_stream().await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 8192);
    std::fs::remove_file(&path).unwrap();
    let failure = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break unwrap(&error),
            None => panic!("the vanished file went unnoticed"),
        }
    };
    assert_eq!(failure.code(), ErrorCode::SourceError);
    drop(stream);
    assert_eq!(fail(&context, "SELECT * FROM t").await.code(), ErrorCode::SourceError);
}
