//! Files written anew in another layout: the same rows, whoever reads meanwhile, and whatever is in the way.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::cast_possible_truncation,
        reason = "tests panic"
    )
)]

mod common;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use common::*;
use datafusion::catalog::TableProvider;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use querygate_driver_api::layout::Rewrite;
use querygate_files::{FileFormat, FilesSource, TableSpec};
use querygate_types::{ErrorCode, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const ALL: &str = "SELECT count(*), sum(id), count(name), sum(v) FROM t";

fn wanted(partition: &[&str], sort: &[&str], group_rows: usize, bloom: &[&str]) -> Rewrite {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Rewrite { partition: own(partition), sort: own(sort), group_rows, bloom: own(bloom) }
}

fn parquet(pattern: &str) -> TableSpec {
    spec(pattern, FileFormat::Parquet, base_schema())
}

async fn rewrite(source: &FilesSource, spec: &TableSpec, wanted: &Rewrite) -> Result<String> {
    source.table(spec).await.unwrap().rewrite(7, wanted).await
}

async fn restore(source: &FilesSource, spec: &TableSpec) -> Result<String> {
    source.table(spec).await.unwrap().restore(7).await
}

/// Every file below a folder, but what is kept, with its bytes.
fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() == ".querygate" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Rewritings whose folders are there.
fn kept(root: &Path) -> usize {
    std::fs::read_dir(root.join(".querygate/rewrites")).map_or(0, Iterator::count)
}

fn footer(path: &Path) -> ParquetRecordBatchReaderBuilder<File> {
    ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap()
}

fn column_of(path: &Path, name: &str) -> Vec<Option<String>> {
    let batches: Vec<RecordBatch> = footer(path).build().unwrap().map(|batch| batch.unwrap()).collect();
    let texts = batches.iter().flat_map(|batch| {
        let column =
            arrow::compute::cast(batch.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Utf8).unwrap();
        let column = column.as_any().downcast_ref::<StringArray>().unwrap().clone();
        column.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    });
    texts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sorted_in_groups_with_filters_and_put_back_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write_parquet(&path, &rows(0, 50_000), 50_000);
    let (source, spec) = (source_with(dir.path(), Duration::ZERO), parquet("t.parquet"));
    let (before, answer) = (bytes(dir.path()), ask(&source, &spec, ALL).await);
    let done = rewrite(&source, &spec, &wanted(&[], &["name", "id"], 8_192, &["v"])).await.unwrap();
    assert!(done.starts_with("wrote 50000 rows of 1 files anew as 1 files; "), "{done}");
    assert_eq!(ask(&source, &spec, ALL).await, answer);
    let file = footer(&path);
    let groups = file.metadata().row_groups();
    assert_eq!((groups.len(), groups[0].num_rows()), (7, 8_192));
    assert!(groups.iter().all(|group| group.columns().iter().all(|column| column.bloom_filter_offset().is_some())));
    let names = column_of(&path, "name");
    assert!(names.is_sorted() && names.len() == 50_000);
    assert_eq!(file.schema().fields(), base_schema().fields());

    assert_eq!(restore(&source, &spec).await.unwrap(), "put the files back as they were before");
    assert_eq!((bytes(dir.path()), ask(&source, &spec, ALL).await), (before, answer));
    assert_eq!(restore(&source, &spec).await.unwrap_err().code(), ErrorCode::ObjectNotInPrerequisiteState);
    source.tidy(Duration::ZERO).await.unwrap();
    assert_eq!(kept(dir.path()), 0, "nobody needs what was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_stay_and_new_ones_are_made_within_them() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("lake/t");
    for (number, year) in (0_i64..).zip(["2023", "2024"]) {
        for part in 0..2 {
            let from = (number * 2 + part) * 1_000;
            write_parquet(&top.join(format!("year={year}/{part}.parquet")), &rows(from, from + 1_000), 300);
        }
    }
    std::fs::write(top.join("_SUCCESS"), "").unwrap();
    std::fs::set_permissions(&top, std::fs::Permissions::from_mode(0o750)).unwrap();
    let declared = schema(&[
        ("year", arrow::datatypes::DataType::Int32),
        ("id", arrow::datatypes::DataType::Int64),
        ("name", arrow::datatypes::DataType::Utf8),
        ("v", arrow::datatypes::DataType::Float64),
    ]);
    let (source, spec) = (source_with(dir.path(), Duration::ZERO), spec("lake/t", FileFormat::Parquet, declared));
    let each = "SELECT year, name, count(*), sum(id), sum(v) FROM t GROUP BY 1, 2 ORDER BY 1, 2";
    let (before, answer) = (bytes(dir.path()), ask(&source, &spec, each).await);
    let done = rewrite(&source, &spec, &wanted(&["year", "name"], &["id"], 100, &[])).await.unwrap();
    // Nine names (n0 to n9, and none that is a multiple of three only) and NULL, in two years.
    assert!(done.starts_with("wrote 4000 rows of 4 files anew as 22 files; "), "{done}");
    let now = bytes(dir.path());
    assert!(now.contains_key("lake/t/_SUCCESS") && now.keys().any(|name| name.contains("year=2024/name=n1/part-7-")));
    assert!(now.keys().any(|name| name.contains("year=2023/name=__HIVE_DEFAULT_PARTITION__/")), "{:?}", now.keys());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&top), mode(&top.join("year=2023")), mode(&dir.path().join(".querygate"))), (0o750, 0o750, 0o700));
    assert_eq!(ask(&source, &spec, each).await, answer);
    assert_eq!(ask(&source, &spec, "SELECT count(*) FROM t WHERE name IS NULL AND year = 2023").await, "667");
    // What is written to the table later is not lost by putting the old files back.
    let more = top.join("year=2024/name=n1/more.parquet");
    std::fs::copy(
        top.join(now.keys().find(|name| name.contains("year=2024/name=n1/")).unwrap().strip_prefix("lake/t/").unwrap()),
        &more,
    )
    .unwrap();
    let refused = restore(&source, &spec).await.unwrap_err();
    assert!(refused.message().contains("would lose rows"), "{refused}");
    std::fs::remove_file(more).unwrap();
    restore(&source, &spec).await.unwrap();
    assert_eq!(bytes(dir.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_safely_is_refused_and_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_parquet(&at("glob/a.parquet"), &rows(0, 10), 10);
    write_parquet(&at("mixed/a.parquet"), &rows(0, 10), 10);
    write_text(&at("mixed/readme.md"), "not a table");
    write_text(&at("c.csv"), "id,name,v\n1,a,2\n");
    write_parquet(&at("link/a.parquet"), &rows(0, 10), 10);
    std::os::unix::fs::symlink(at("glob/a.parquet"), at("link/b.parquet")).unwrap();
    write_parquet(&at("differ/a.parquet"), &rows(0, 10), 10);
    write_parquet(&at("differ/b.parquet"), &batch(vec![("id", Arc::new(Int64Array::from(vec![1])))]), 10);
    let odd: ArrayRef = Arc::new(StringArray::from(vec!["a/b", "c"]));
    write_parquet(&at("odd.parquet"), &batch(vec![("id", Arc::new(Int64Array::from(vec![1, 2]))), ("name", odd)]), 10);
    let when: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
    write_parquet(&at("when.parquet"), &batch(vec![("v", when), ("id", Arc::new(Int64Array::from(vec![1])))]), 10);
    write_parquet(&at("good.parquet"), &rows(0, 10), 10);
    let before = bytes(dir.path());
    let sort = wanted(&[], &["id"], 100, &[]);
    let source = source_with(dir.path(), Duration::ZERO);
    let csv = FileFormat::Csv(querygate_files::CsvOptions::default());
    for (pattern, format, wanted, told) in [
        ("glob/*.parquet", FileFormat::Parquet, &sort, "a pattern of files"),
        ("mixed", FileFormat::Parquet, &sort, "not of this table, such as \"readme.md\""),
        ("c.csv", csv, &sort, "only Parquet"),
        ("link", FileFormat::Parquet, &sort, "links"),
        ("differ", FileFormat::Parquet, &sort, "different columns"),
        ("odd.parquet", FileFormat::Parquet, &wanted(&["name"], &[], 100, &[]), "cannot be the name of a folder"),
        ("when.parquet", FileFormat::Parquet, &wanted(&["v"], &[], 100, &[]), "texts and whole numbers only"),
        ("good.parquet", FileFormat::Parquet, &wanted(&[], &["gone"], 100, &[]), "no longer have a column"),
    ] {
        let declared = if pattern == "when.parquet" {
            schema(&[("id", arrow::datatypes::DataType::Int64)])
        } else {
            base_schema()
        };
        let error = rewrite(&source, &spec(pattern, format, declared), wanted).await.unwrap_err();
        assert!(error.message().contains(told), "{pattern}: {error}");
        assert!(matches!(error.code(), ErrorCode::FeatureNotSupported | ErrorCode::ObjectNotInPrerequisiteState));
        assert_eq!((bytes(dir.path()), kept(dir.path())), (before.clone(), 0), "{pattern}");
    }
    // Nobody else may write at the same time.
    std::fs::create_dir_all(at(".querygate/rewrites")).unwrap();
    let lock = File::create(at(".querygate/lock")).unwrap();
    lock.lock().unwrap();
    let busy = rewrite(&source, &parquet("good.parquet"), &sort).await.unwrap_err();
    assert!(busy.message().contains("already"), "{busy}");
    drop(lock);
    rewrite(&source, &parquet("good.parquet"), &sort).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_reads_while_files_are_replaced_reads_the_old_or_the_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    for part in 0..6 {
        write_parquet(&dir.path().join(format!("t/{part}.parquet")), &rows(part * 2_000, part * 2_000 + 2_000), 500);
    }
    let (source, spec) = (source_with(dir.path(), Duration::from_millis(1)), parquet("t"));
    let table = source.table(&spec).await.unwrap();
    let answer = ask(&source, &spec, ALL).await;
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (table, over, asked, answer) =
                (Arc::clone(&table), Arc::clone(&over), Arc::clone(&asked), answer.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let context = datafusion::prelude::SessionContext::new();
                    let provider: Arc<dyn TableProvider> = Arc::clone(&table) as _;
                    context.register_table("t", provider).unwrap();
                    let found = context.sql(ALL).await.unwrap().collect().await.unwrap();
                    assert_eq!(text(&found), answer);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    // A plan that was made before runs to its end whatever happens to its files.
    let context = session(&source, &spec, 1).await;
    for round in 0..6 {
        let plan = context.sql(ALL).await.unwrap().create_physical_plan().await.unwrap();
        let partition: &[&str] = if round % 2 == 0 { &["name"] } else { &[] };
        table.rewrite(7, &wanted(partition, &["id"], 1_000, &[])).await.unwrap();
        let found = datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
        assert_eq!(text(&found), answer, "of the old files");
        let plan = context.sql(ALL).await.unwrap().create_physical_plan().await.unwrap();
        table.restore(7).await.unwrap();
        let found = datafusion::physical_plan::collect(plan, context.task_ctx()).await.unwrap();
        assert_eq!(text(&found), answer, "of the new files");
    }
    let least = asked.load(Ordering::Relaxed) + 4;
    while asked.load(Ordering::Relaxed) < least {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(readers.iter().all(|reader| !reader.is_finished()));
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// What a process leaves that is killed at any point: a folder without a manifest, one that is half written, one whose step was
/// taken or not.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_killed_process_leaves_the_table_is_whole_and_the_rest_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write_parquet(&path, &rows(0, 5_000), 1_000);
    let (source, spec) = (source_with(dir.path(), Duration::ZERO), parquet("t.parquet"));
    let answer = ask(&source, &spec, ALL).await;
    let rewrites = dir.path().join(".querygate/rewrites");

    std::fs::create_dir_all(rewrites.join("7-1/spill")).unwrap();
    std::fs::create_dir_all(rewrites.join("7-2")).unwrap();
    write_parquet(&rewrites.join("7-2/data"), &rows(0, 10), 10);
    source.tidy(Duration::ZERO).await.unwrap();
    assert_eq!((kept(dir.path()), ask(&source, &spec, ALL).await), (0, answer.clone()), "before the first word");

    // After the step, whatever the manifest says: what was replaced is kept, and can be put back.
    rewrite(&source, &spec, &wanted(&["name"], &["id"], 1_000, &[])).await.unwrap();
    assert!(path.is_dir());
    source.tidy(Duration::ZERO).await.unwrap();
    assert_eq!((kept(dir.path()), ask(&source, &spec, ALL).await), (1, answer.clone()));
    let again = source_with(dir.path(), Duration::ZERO);
    again.tidy(Duration::ZERO).await.unwrap();
    restore(&again, &spec).await.unwrap();
    assert!(path.is_file());

    // Before the step: the new files are there, and the old ones in their place.
    assert_eq!(kept(dir.path()), 1);
    source.tidy(Duration::from_secs(600)).await.unwrap();
    assert_eq!(kept(dir.path()), 1, "somebody may still read it");
    again.tidy(Duration::ZERO).await.unwrap();
    assert_eq!((kept(dir.path()), ask(&again, &spec, ALL).await), (0, answer));
}
