//! Parquet through the provider: values, pruning, partitions, adaption, broken and vanishing files.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use common::*;
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use futures::StreamExt;
use querygate_files::{FileFormat, FilesConfig, FilesLimits, FilesSource, TableSpec};
use querygate_types::ErrorCode;
use std::sync::Arc;
use std::time::Duration;

fn parquet(pattern: &str) -> TableSpec {
    spec(pattern, FileFormat::Parquet, base_schema())
}

#[tokio::test]
async fn answers_are_the_same_for_file_folder_and_glob_at_any_partition_count() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("one.parquet"), &rows(0, 50_000), 10_000);
    for i in 0..5 {
        write_parquet(&dir.path().join(format!("many/deep/p{i}.parquet")), &rows(i * 10_000, (i + 1) * 10_000), 4_000);
    }
    write_text(&dir.path().join("many/_SUCCESS"), "");
    let cases = [
        ("SELECT count(*), count(name), count(v), sum(id) FROM t", "50000,33333,42857,1249975000"),
        ("SELECT id FROM t WHERE id BETWEEN 10 AND 12 ORDER BY id DESC", "12;11;10"),
        ("SELECT id FROM t WHERE name IS NULL AND id > 49990 ORDER BY id", "49992;49995;49998"),
        ("SELECT id FROM t ORDER BY id DESC LIMIT 2 OFFSET 1", "49998;49997"),
        ("SELECT name, count(*) FROM t WHERE name < 'n2' GROUP BY name ORDER BY 1", "n0,3333;n1,3334"),
        ("SELECT id FROM t WHERE id < 0", ""),
        ("SELECT max(v), min(v) FROM t WHERE v > 100", "49999.0,101.0"),
        ("SELECT v, id FROM t WHERE id = 49999", "49999.0,49999"),
        ("SELECT count(*) FROM (SELECT * FROM t LIMIT 123)", "123"),
        ("SELECT count(*) FROM t a JOIN t b ON a.id = b.id + 1 WHERE b.id < 100", "100"),
    ];
    let source = source(dir.path());
    for pattern in ["one.parquet", "many", "many/**/*.parquet", "many/deep/p?.parquet"] {
        for partitions in [1, 4] {
            let context = session(&source, &parquet(pattern), partitions).await;
            for (sql, want) in cases {
                let got = text(&context.sql(sql).await.unwrap().collect().await.unwrap());
                assert_eq!(got, want, "{sql} over {pattern} at {partitions}");
            }
        }
    }
}

#[tokio::test]
async fn nasty_values_come_back_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let written = batch(vec![
        ("i", Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), Some(0), None]))),
        ("f", Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(-0.0), Some(f64::INFINITY), None]))),
        ("s", Arc::new(StringArray::from(vec![Some(""), Some("nul\0 \n\"'\\"), Some("𝄞 é"), None]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None]))),
        ("d", Arc::new(Date32Array::from(vec![Some(-719_162), Some(2_932_896), Some(0), None]))),
        (
            "ts",
            Arc::new(
                TimestampMillisecondArray::from(vec![
                    Some(-62_135_596_800_000),
                    Some(253_402_300_799_999),
                    Some(-1),
                    None,
                ])
                .with_timezone("UTC"),
            ),
        ),
        (
            "n",
            Arc::new(
                Decimal128Array::from(vec![Some(10_i128.pow(38) - 1), Some(1 - 10_i128.pow(38)), Some(0), None])
                    .with_precision_and_scale(38, 10)
                    .unwrap(),
            ),
        ),
        ("y", Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), Some(b""), Some(b"a"), None]))),
        (
            "l",
            Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>(vec![
                Some(vec![Some(1), None]),
                Some(vec![]),
                None,
                Some(vec![Some(i32::MIN)]),
            ])),
        ),
    ]);
    write_parquet(&dir.path().join("t.parquet"), &written, 100);
    let source = source(dir.path());
    let context = session(&source, &spec("t.parquet", FileFormat::Parquet, written.schema()), 1).await;
    let got = context.sql("SELECT * FROM t").await.unwrap().collect().await.unwrap();
    assert_eq!(got.len(), 1);
    for (i, field) in written.schema().fields().iter().enumerate() {
        let found = arrow::compute::cast(got[0].column(i), field.data_type()).unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", written.column(i)), "{}", field.name());
    }
    for column in ["i", "f", "s", "b", "d", "ts", "n", "y"] {
        let sql = format!("SELECT count(*) FROM t WHERE {column} IS NULL");
        let nulls = text(&context.sql(&sql).await.unwrap().collect().await.unwrap());
        assert_eq!(nulls, if column == "b" { "2" } else { "1" }, "{column}");
    }
}

#[tokio::test]
async fn a_nan_with_its_sign_set_is_the_one_nan() {
    let dir = tempfile::tempdir().unwrap();
    let values = [Some(1.0), Some(-f64::NAN), Some(f64::NAN), Some(f64::NEG_INFINITY), None];
    let single = Float32Array::from_iter(values.map(|value| value.map(|value: f64| value as f32)));
    let written = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]))),
        ("v", Arc::new(Float64Array::from_iter(values))),
        ("s", Arc::new(single)),
    ]);
    write_parquet(&dir.path().join("t.parquet"), &written, 100);
    let source = source(dir.path());
    let columns = schema(&[("id", DataType::Int64), ("v", DataType::Float64), ("s", DataType::Float64)]);
    let table = spec("t.parquet", FileFormat::Parquet, columns);
    for (sql, want) in [
        ("SELECT id FROM t WHERE v < 100 ORDER BY id", "1;4"),
        ("SELECT id FROM t WHERE s < 100 ORDER BY id", "1;4"),
        ("SELECT id FROM t ORDER BY v, id", "4;1;2;3;5"),
        // Greater than all that the file's statistics tell of.
        ("SELECT id FROM t WHERE v > 100 ORDER BY id", "2;3"),
        ("SELECT id FROM t WHERE s >= 100 ORDER BY id", "2;3"),
        ("SELECT id FROM t WHERE NOT v < 100 ORDER BY id", "2;3"),
        ("SELECT id FROM t WHERE v = CAST('NaN' AS DOUBLE) ORDER BY id", "2;3"),
        ("SELECT id FROM t WHERE v >= 1 AND v <= 50", "1"),
        ("SELECT id, v < 100, s < 100 FROM t ORDER BY id", "1,true,true;2,false,false;3,false,false;4,true,true;5,,"),
        ("SELECT count(*) FROM t GROUP BY v ORDER BY 1 DESC LIMIT 1", "2"),
    ] {
        assert_eq!(ask(&source, &table, sql).await, want, "{sql}");
    }
}

#[tokio::test]
async fn row_groups_pages_bloom_filters_and_files_are_pruned() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t/a.parquet"), &rows(0, 40_000), 10_000);
    write_parquet(&dir.path().join("t/b.parquet"), &rows(40_000, 80_000), 10_000);
    let keys: StringArray = (0..20_000).map(|i| Some(format!("key{}", (i * 7919) % 20_000 * 2))).collect();
    write_parquet(&dir.path().join("bloom.parquet"), &batch(vec![("k", Arc::new(keys))]), 5_000);
    let source = source(dir.path());
    let context = session(&source, &parquet("t"), 1).await;
    let sql = "SELECT v FROM t WHERE id BETWEEN 25000 AND 25100";
    assert_eq!(metric(&context, sql, "row_groups_pruned_statistics").await, 3);
    assert_eq!(metric(&context, sql, "files_ranges_pruned_statistics").await, 1);
    assert!(metric(&context, sql, "page_index_rows_pruned").await >= 8_000);
    assert_eq!(metric(&context, "SELECT v FROM t", "row_groups_pruned_statistics").await, 0);
    let bloom = spec("bloom.parquet", FileFormat::Parquet, schema(&[("k", DataType::Utf8)]));
    let context = session(&source, &bloom, 1).await;
    let pruned = metric(&context, "SELECT k FROM t WHERE k = 'key777'", "row_groups_pruned_bloom_filter").await;
    assert!(pruned >= 3, "{pruned} row groups pruned");
    let present = "SELECT k FROM t WHERE k = 'key778'";
    assert_eq!(text(&context.sql(present).await.unwrap().collect().await.unwrap()), "key778");
}

#[tokio::test]
async fn a_dynamic_filter_and_an_order_reach_the_files() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t.parquet"), &rows(0, 100_000), 10_000);
    let source = source(dir.path());
    let context = session(&source, &parquet("t.parquet"), 1).await;
    let join = "SELECT count(t.v) FROM t JOIN (VALUES (5), (6)) AS k(id) ON t.id = k.id";
    assert!(metric(&context, join, "row_groups_pruned_statistics").await >= 9);
    let top = "SELECT id FROM t ORDER BY id DESC LIMIT 3";
    assert_eq!(text(&context.sql(top).await.unwrap().collect().await.unwrap()), "99999;99998;99997");
    assert!(metric(&context, top, "output_rows").await < 100_000);
}

#[tokio::test]
async fn hive_folders_are_columns_and_prune() {
    let dir = tempfile::tempdir().unwrap();
    for (region, day, from) in [("eu", "2024-01-01", 0), ("eu", "2024-01-02", 10), ("us%2Fca", "2024-01-01", 20)] {
        let path = dir.path().join(format!("t/region={region}/day={day}/x.parquet"));
        write_parquet(&path, &rows(from, from + 10), 100);
    }
    let path = dir.path().join("t/region=__HIVE_DEFAULT_PARTITION__/day=2024-01-03/x.parquet");
    write_parquet(&path, &rows(30, 40), 100);
    let source = source(dir.path());
    // The declared order is kept although the scan has partition columns last.
    let declared = schema(&[("area", DataType::Utf8), ("id", DataType::Int64), ("day", DataType::Date32)]);
    let mut table = spec("t", FileFormat::Parquet, declared);
    table.column_map.insert("area".to_owned(), "region".to_owned());
    let context = session(&source, &table, 2).await;
    for (sql, want) in [
        ("SELECT * FROM t WHERE id = 25", "us/ca,25,2024-01-01"),
        ("SELECT area, count(*) FROM t GROUP BY area ORDER BY area", "eu,20;us/ca,10;,10"),
        ("SELECT count(*) FROM t WHERE day > DATE '2024-01-01' AND area = 'eu'", "10"),
        ("SELECT count(*) FROM t x WHERE x.area IS NULL", "10"),
        ("SELECT count(*) FROM t WHERE area = 'asia'", "0"),
    ] {
        assert_eq!(text(&context.sql(sql).await.unwrap().collect().await.unwrap()), want, "{sql}");
    }
    let single = session(&source, &table, 1).await;
    let opened = |sql: &'static str| {
        let context = single.clone();
        async move {
            let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
            let shown = datafusion::physical_plan::displayable(plan.as_ref()).indent(true).to_string();
            shown.matches(".parquet").count()
        }
    };
    assert_eq!(opened("SELECT id FROM t").await, 4);
    assert_eq!(opened("SELECT id FROM t WHERE area = 'eu'").await, 2);
    assert_eq!(opened("SELECT id FROM t WHERE day = DATE '2024-01-02' AND id > 3").await, 1);
    assert_eq!(opened("SELECT id FROM t WHERE area = 'asia'").await, 0);
    let inferred = source.infer(&TableSpec { schema: None, ..table }).await.unwrap();
    let names: Vec<_> = inferred.schema.fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!((names.join(","), inferred.rows, inferred.files), ("id,name,v,region,day".to_owned(), Some(40), 4));
}

#[tokio::test]
async fn columns_are_renamed_widened_and_filled() {
    let dir = tempfile::tempdir().unwrap();
    let a = batch(vec![
        ("Id No", Arc::new(Int32Array::from(vec![1, 2]))),
        ("amount", Arc::new(Decimal128Array::from(vec![150, 250]).with_precision_and_scale(10, 2).unwrap())),
        ("at", Arc::new(TimestampNanosecondArray::from(vec![1_500_000, -1]))),
        ("ref", Arc::new(Int64Array::from(vec![7, 8]))),
    ]);
    let b = batch(vec![
        ("other", Arc::new(StringArray::from(vec!["unseen"]))),
        ("at", Arc::new(TimestampSecondArray::from(vec![2]))),
        ("Id No", Arc::new(Int16Array::from(vec![3]))),
    ]);
    write_parquet(&dir.path().join("t/a.parquet"), &a, 100);
    write_parquet(&dir.path().join("t/b.parquet"), &b, 100);
    let declared = schema(&[
        ("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ("id", DataType::Int64),
        ("amount", DataType::Decimal128(18, 4)),
        ("ref", DataType::Utf8),
        ("nowhere", DataType::Boolean),
        ("other_name", DataType::Utf8),
    ]);
    let mut table = spec("t", FileFormat::Parquet, declared);
    table.column_map.insert("id".to_owned(), "Id No".to_owned());
    let source = source(dir.path());
    let context = session(&source, &table, 1).await;
    for (sql, want) in [
        (
            "SELECT id, amount, at, ref, nowhere, other_name FROM t ORDER BY id",
            "1,1.5000,1970-01-01T00:00:00.001Z,7,,;2,2.5000,1970-01-01T00:00:00Z,8,,;3,,1970-01-01T00:00:02Z,,,",
        ),
        ("SELECT id FROM t WHERE amount > 2", "2"),
        ("SELECT id FROM t WHERE ref = '7'", "1"),
        ("SELECT id FROM t WHERE id = 3", "3"),
        ("SELECT count(*) FROM t WHERE nowhere IS NULL", "3"),
        ("SELECT max(id), min(id), max(amount) FROM t", "3,1,2.5000"),
        ("SELECT max(ref) FROM t", "8"),
    ] {
        assert_eq!(text(&context.sql(sql).await.unwrap().collect().await.unwrap()), want, "{sql}");
    }
    for pushdown in ["true", "false"] {
        let set = format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}");
        context.sql(&set).await.unwrap().collect().await.unwrap();
        let sql = "SELECT ref FROM t WHERE id = 2 AND at <= TIMESTAMP '1970-01-01T00:00:00Z'";
        assert_eq!(text(&context.sql(sql).await.unwrap().collect().await.unwrap()), "8", "pushdown {pushdown}");
    }
    assert!(metric(&context, "SELECT at FROM t WHERE id = 3", "files_ranges_pruned_statistics").await >= 1);
}

#[tokio::test]
async fn a_mismatch_names_file_and_column_to_the_operator_only() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t/good.parquet"), &rows(0, 10), 100);
    write_parquet(
        &dir.path().join("t/secret_name.parquet"),
        &batch(vec![("id", Arc::new(StringArray::from(vec!["x"])))]),
        10,
    );
    let source = source(dir.path());
    let table = parquet("t");
    let context = session(&source, &table, 1).await;
    let error = fail(&context, "SELECT v FROM t").await;
    assert_eq!(error.code(), ErrorCode::SourceSchemaChanged);
    assert_eq!(error.message(), "the files of table \"t\" in source \"lake\" do not fit its columns");
    assert!(error.detail().is_none() && !error.to_string().contains("secret_name"));
    assert_eq!(error.cause(), Some("t/secret_name.parquet: column \"id\" is Utf8, declared Int64"));
    let checked = source.check(&table).await.unwrap_err();
    assert_eq!(checked.detail(), Some("t/secret_name.parquet: column \"id\" is Utf8, declared Int64"));
}

#[tokio::test]
async fn truncated_and_corrupt_files_are_clear_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write_parquet(&path, &rows(0, 20_000), 5_000);
    let whole = std::fs::read(&path).unwrap();
    let cut = whole.len() / 2;
    let mut no_footer = whole.clone();
    no_footer.truncate(whole.len() - 4);
    let mut scrambled = whole.clone();
    scrambled[4..cut].fill(0xAA);
    for (what, bytes) in [
        ("cut in half", whole[..cut].to_vec()),
        ("no footer", no_footer),
        ("scrambled pages", scrambled),
        ("tiny", b"PAR1".to_vec()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let source = source(dir.path());
        let context = session(&source, &parquet("t.parquet"), 1).await;
        let error = fail(&context, "SELECT sum(v), max(name) FROM t").await;
        assert_eq!(error.code(), ErrorCode::SourceError, "{what}: {error:?}");
        assert_eq!(error.message(), "a file of table \"t\" in source \"lake\" cannot be read", "{what}");
        assert!(error.cause().is_some());
    }
}

#[tokio::test]
async fn a_file_that_vanishes_or_is_rewritten_fails_once_and_is_then_seen() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..3 {
        write_parquet(&dir.path().join(format!("t/p{i}.parquet")), &rows(i * 10, i * 10 + 10), 100);
    }
    let source = source(dir.path());
    let context = session(&source, &parquet("t"), 1).await;
    let count = "SELECT count(*), sum(id), count(v) FROM t WHERE id >= 0";
    let ask = |sql: &'static str| {
        let context = context.clone();
        async move { text(&context.sql(sql).await.unwrap().collect().await.unwrap()) }
    };
    assert_eq!(ask(count).await, "30,435,25");
    std::fs::remove_file(dir.path().join("t/p1.parquet")).unwrap();
    let error = fail(&context, count).await;
    assert_eq!(error.code(), ErrorCode::SourceError);
    assert_eq!(error.message(), "a file of table \"t\" in source \"lake\" vanished or changed while it was in use");
    assert_eq!(ask(count).await, "20,290,16");
    // Same name, other rows: never a mix of the old footer and the new bytes.
    write_parquet(&dir.path().join("t/p2.parquet"), &rows(1_000, 3_000), 100);
    let error = fail(&context, count).await;
    assert_eq!(error.code(), ErrorCode::SourceError, "{error:?}");
    assert!(ask(count).await.starts_with("2010,"));
}

#[tokio::test]
async fn a_changed_folder_is_seen_after_the_refresh_time() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t/a.parquet"), &rows(0, 10), 100);
    for (refresh, want) in [(Duration::ZERO, "20"), (Duration::from_secs(3600), "10")] {
        let added = dir.path().join("t/b.parquet");
        let source = source_with(dir.path(), refresh);
        let context = session(&source, &parquet("t"), 1).await;
        let count = "SELECT count(id) FROM t WHERE id >= 0";
        assert_eq!(text(&context.sql(count).await.unwrap().collect().await.unwrap()), "10");
        write_parquet(&added, &rows(10, 20), 100);
        assert_eq!(text(&context.sql(count).await.unwrap().collect().await.unwrap()), want);
        std::fs::remove_file(added).unwrap();
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_keeps_its_tables_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("later");
    let source = source_with(&root, Duration::ZERO);
    let context = session(&source, &parquet("t.parquet"), 1).await;
    let count = "SELECT count(v) FROM t";
    assert_eq!(fail(&context, count).await.code(), ErrorCode::SourceUnavailable);
    std::fs::create_dir(&root).unwrap();
    let error = fail(&context, count).await;
    assert_eq!(error.code(), ErrorCode::SourceError);
    write_parquet(&root.join("t.parquet"), &rows(0, 7), 100);
    assert_eq!(text(&context.sql(count).await.unwrap().collect().await.unwrap()), "6");
}

#[tokio::test]
async fn dropping_a_stream_stops_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t.parquet"), &rows(0, 200_000), 10_000);
    let source = source(dir.path());
    let table = source.table(&parquet("t.parquet")).await.unwrap();
    let context = session(&source, &parquet("t.parquet"), 1).await;
    context.register_table("u", Arc::clone(&table) as Arc<dyn TableProvider>).unwrap();
    let plan = context.sql("SELECT * FROM u").await.unwrap().create_physical_plan().await.unwrap();
    let mut stream = plan.execute(0, context.task_ctx()).unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    let read: usize = plan.metrics().unwrap().sum_by_name("bytes_scanned").map_or(0, |m| m.as_usize());
    let size = std::fs::metadata(dir.path().join("t.parquet")).unwrap().len() as usize;
    assert!(read < size / 2, "{read} of {size} bytes read");
}

#[tokio::test]
async fn statistics_come_from_footers() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t/a.parquet"), &rows(0, 100), 1_000);
    write_parquet(&dir.path().join("t/b.parquet"), &rows(100, 150), 1_000);
    let source = source(dir.path());
    let context = session(&source, &parquet("t"), 1).await;
    let plan = context.sql("SELECT id, name FROM t").await.unwrap().create_physical_plan().await.unwrap();
    let args = StatisticsArgs::new();
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &args).unwrap();
    assert_eq!(statistics.num_rows.get_value(), Some(&150));
    assert_eq!(statistics.column_statistics[0].max_value.get_value().unwrap().to_string(), "149");
    assert_eq!(statistics.column_statistics[1].null_count.get_value(), Some(&50));
    let inferred = source.check(&parquet("t")).await.unwrap();
    assert_eq!((inferred.rows, inferred.files), (Some(150), 2));
}

#[tokio::test]
async fn bounds_hold() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..5 {
        write_parquet(&dir.path().join(format!("t/p{i}.parquet")), &rows(0, 1), 10);
    }
    let limits = FilesLimits { files_max: 4, columns_max: 3, ..FilesLimits::default() };
    let source = FilesSource::new(FilesConfig { limits, ..FilesConfig::local("lake", dir.path()) }).unwrap();
    let context = session(&source, &parquet("t"), 1).await;
    assert_eq!(fail(&context, "SELECT id FROM t").await.code(), ErrorCode::ProgramLimitExceeded);
    let wide = schema(&[("a", DataType::Utf8), ("b", DataType::Utf8), ("c", DataType::Utf8), ("d", DataType::Utf8)]);
    let error = source.table(&spec("t", FileFormat::Parquet, wide)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ProgramLimitExceeded);
    for pattern in ["../t", "/etc", "t/../../x"] {
        assert_eq!(source.table(&parquet(pattern)).await.unwrap_err().code(), ErrorCode::MetadataInvalid, "{pattern}");
    }
    let mut mapped = parquet("t");
    mapped.column_map.insert("nmae".to_owned(), "x".to_owned());
    assert_eq!(source.table(&mapped).await.unwrap_err().code(), ErrorCode::MetadataInvalid);
}

#[tokio::test]
async fn equal_paths_in_two_sources_are_not_confused() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_parquet(&a.path().join("t.parquet"), &rows(0, 10), 100);
    write_parquet(&b.path().join("t.parquet"), &rows(100, 110), 100);
    let (first, second) = (source(a.path()), source(b.path()));
    let context = session(&first, &parquet("t.parquet"), 1).await;
    context.register_table("u", second.table(&parquet("t.parquet")).await.unwrap()).unwrap();
    let sql = "SELECT sum(id) FROM t UNION ALL SELECT sum(id) FROM u ORDER BY 1";
    assert_eq!(text(&context.sql(sql).await.unwrap().collect().await.unwrap()), "45;1045");
}

#[tokio::test]
async fn the_tables_of_a_folder_are_found() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("orders/x=1/a.parquet"), &rows(0, 1), 10);
    write_parquet(&dir.path().join("people.parquet"), &rows(0, 1), 10);
    write_text(&dir.path().join("notes.csv"), "a,b\n1,2\n");
    write_text(&dir.path().join("events.jsonl"), "{\"a\":1}\n");
    write_text(&dir.path().join("readme.md"), "x");
    let found = source(dir.path()).tables().await.unwrap();
    let shown: Vec<String> = found.iter().map(|f| format!("{}={}", f.name, f.pattern)).collect();
    assert_eq!(shown.join(" "), "events=events.jsonl notes=notes.csv orders=orders people=people.parquet");
    for table in found {
        let spec = TableSpec::new(&table.name, &table.pattern, table.format, None);
        assert!(!source(dir.path()).table(&spec).await.unwrap().schema().fields().is_empty());
    }
}

/// Whichever way a file has its texts, plain ones are served as views, and conditions on them prune.
#[tokio::test]
async fn plain_texts_are_served_as_views() {
    let dir = tempfile::tempdir().unwrap();
    for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
        let texts: StringArray = (0..4_000).map(|i| Some(format!("text number {i:05}"))).collect();
        let texts = arrow::compute::cast(&texts, &kind).unwrap();
        let written = batch(vec![("s", Arc::clone(&texts)), ("other", Arc::clone(&texts)), ("j", texts)]);
        write_parquet(&dir.path().join("t.parquet"), &written, 1_000);
        let json = Field::new("j", DataType::Utf8, true).with_metadata([("pg_type".into(), "json".into())].into());
        let declared = [Field::new("s", DataType::Utf8, true), Field::new("renamed", DataType::Utf8, true), json];
        let declared = Arc::new(Schema::new(declared.to_vec()));
        let mut table = spec("t.parquet", FileFormat::Parquet, declared);
        table.column_map.insert("renamed".to_owned(), "other".to_owned());
        let source = source(dir.path());
        let served = source.table(&table).await.unwrap().schema();
        let types: Vec<&DataType> = served.fields().iter().map(|field| field.data_type()).collect();
        assert_eq!(types, [&DataType::Utf8View, &DataType::Utf8, &DataType::Utf8]);
        let context = session(&source, &table, 1).await;
        let sql = "SELECT s, renamed, j FROM t WHERE s = 'text number 01234'";
        let rows = context.sql(sql).await.unwrap().collect().await.unwrap();
        assert_eq!(text(&rows), "text number 01234,text number 01234,text number 01234", "{kind}");
        for condition in ["s = 'text number 01234'", "s IN ('text number 01234')", "s < 'text number 00999'"] {
            let sql = format!("SELECT s FROM t WHERE {condition}");
            assert_eq!(metric(&context, &sql, "row_groups_pruned_statistics").await, 3, "{kind}, {condition}");
        }
    }
}
