//! New rows in a folder: under the suite of sources that take nothing else, over files of several types, and what is left where.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stderr, reason = "says what was measured")]

mod common;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use common::{batch, write_parquet, write_text};
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::{Expr, col};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::FutureExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{ExecuteContext, Uncommitted};
use querygate_driver_api::testkit::dataset::{Limits, tables};
use querygate_driver_api::testkit::inserts;
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::{Begin, ChangeOp, ChangeSet, ChangeShape, TargetColumn, Transaction, Writer};
use querygate_files::{
    AppendTarget, FileFormat, FileTable, FilesConfig, FilesLimits, FilesSource, TableSpec, shared_error,
};
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LIMITS: Limits = Limits { timestamp_step: 1, nan: true, infinite: true };

/// The columns of the suite's empty table.
fn columns() -> Vec<(String, ValueType)> {
    let table = tables(LIMITS).into_iter().find(|table| table.name == "empty").unwrap();
    table.columns.into_iter().map(|(name, value_type)| (name.to_owned(), value_type)).collect()
}

fn declared() -> SchemaRef {
    let columns = columns();
    let fields: Vec<(&str, DataType)> = columns.iter().map(|(name, own)| (name.as_str(), own.to_arrow())).collect();
    common::schema(&fields)
}

fn source(root: &Path) -> FilesSource {
    common::source_with(root, Duration::from_secs(3600))
}

async fn table(source: &FilesSource, pattern: &str) -> Arc<FileTable> {
    source.table(&TableSpec::new("empty", pattern, FileFormat::Parquet, Some(declared()))).await.unwrap()
}

fn target(table: &Arc<FileTable>) -> AppendTarget {
    AppendTarget::new(Arc::clone(table), "empty", &columns(), &[vec!["id".to_owned()]]).unwrap()
}

async fn read(table: Arc<FileTable>, shown: Option<Arc<Uncommitted>>, names: Vec<String>) -> Result<Vec<RecordBatch>> {
    let mut config = SessionConfig::new().with_target_partitions(2);
    if let Some(shown) = shown {
        config.set_extension(shown);
    }
    let failed = |error| shared_error(&error).cloned().unwrap_or_else(|| Error::internal(error));
    let provider: Arc<dyn TableProvider> = table;
    let wanted: Vec<Expr> = names.iter().map(|name| col(format!("\"{name}\""))).collect();
    let frame = SessionContext::new_with_config(config).read_table(provider).and_then(|all| all.select(wanted));
    let batches = frame.map_err(failed)?.collect().await.map_err(failed)?;
    // As the gate hands them on.
    let types = columns();
    let typed = |rows: RecordBatch| {
        let columns = names.iter().zip(rows.columns()).map(|(name, values)| {
            let own = types.iter().find(|(own, _)| own == name).unwrap().1;
            (name.clone(), cast(values, &own.to_arrow()).unwrap(), true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    Ok(batches.into_iter().filter(|rows| rows.num_rows() > 0).map(typed).collect())
}

/// A row of nothing but its id, in files of these types.
fn first_file(place: &Path, held: impl Fn(&str, &DataType) -> DataType) {
    let id = Int64Array::from(vec![-1]);
    let fields: Vec<_> = declared().fields().iter().cloned().collect();
    let columns = fields.iter().map(|field| {
        let own = held(field.name(), field.data_type());
        let values =
            if field.name() == "id" { cast(&id, &own).unwrap() } else { arrow::array::new_null_array(&own, 1) };
        (field.name().as_str(), values)
    });
    write_parquet(place, &batch(columns.collect()), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_stored_or_refused_and_transactions_end_as_they_should() {
    let as_declared = |_: &str, own: &DataType| own.clone();
    let narrow = |name: &str, own: &DataType| match own {
        DataType::Int64 if name != "id" => DataType::Int32,
        DataType::Float64 => DataType::Float32,
        DataType::Utf8 => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Decimal128(precision, scale) if *scale > 0 => DataType::Decimal128(precision - 1, scale - 1),
        other => other.clone(),
    };
    for (folder, stored_min, refused_max) in [("same", 190, 0), ("narrow", 160, 30)] {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(folder).join("a.parquet");
        match folder {
            "same" => first_file(&place, as_declared),
            _ => first_file(&place, narrow),
        }
        let source = source(dir.path());
        let table = table(&source, folder).await;
        let (target, reads) = (target(&table), Arc::clone(&table));
        let reader = move |shown, names| read(Arc::clone(&reads), shown, names).boxed();
        let report = inserts::run(&target, LIMITS, &reader).await.unwrap();
        eprintln!("{folder}: stored {}, refused {:#?}", report.stored, report.refused);
        assert_eq!(report.failures, Vec::<String>::new(), "{folder}");
        let refused: usize = report.refused.iter().filter(|(why, _)| !why.contains("only read")).map(|(_, n)| n).sum();
        assert!(report.stored >= stored_min && refused <= refused_max, "{folder}: {} {refused}", report.stored);
        let left = std::fs::read_dir(dir.path().join(".querygate/appends")).unwrap();
        let left = left.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir()).count();
        assert_eq!(left, 0, "{folder}");
        // A table of another instance, which has listed the files before.
        let names = vec!["id".to_owned()];
        let all = |rows: Vec<RecordBatch>| rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        let other = self::table(&source, folder).await;
        let fresh = self::table(&self::source(dir.path()), folder).await;
        let known = all(read(other, None, names.clone()).await.unwrap());
        assert_eq!(known, all(read(fresh, None, names).await.unwrap()), "{folder}");
    }
}

/// A transaction with a row of this id.
async fn begun(target: &AppendTarget, id: i64) -> Result<Transaction> {
    let described = target.describe(&target.tables().await?[0]).await?;
    let id_column = described.columns.iter().find(|column| column.name.as_str() == "id").unwrap();
    let key = TargetColumn::new(id_column, ValueType::Int64, id_column.encoding);
    let shape = ChangeShape {
        table: described.table.clone(),
        op: ChangeOp::Insert,
        key: vec![key],
        assigned: Vec::new(),
        returning: Vec::new(),
    };
    let change = target.render_change(&shape).unwrap();
    let rows = batch(vec![("id", Arc::new(Int64Array::from(vec![id])))]);
    let mut transaction = target.begin(Begin::default(), &ExecuteContext::default()).await?;
    transaction.apply(&change, &ChangeSet::new(&shape, rows)?, &ExecuteContext::default()).await?;
    Ok(transaction)
}

async fn ids(table: &Arc<FileTable>) -> usize {
    let rows = read(Arc::clone(table), None, vec!["id".to_owned()]).await.unwrap();
    rows.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_row_is_in_every_listing_of_its_source_and_no_earlier() {
    let dir = tempfile::tempdir().unwrap();
    first_file(&dir.path().join("t/a.parquet"), |_, own| own.clone());
    let source = source(dir.path());
    let (one, other) = (table(&source, "t").await, table(&source, "t/*.parquet").await);
    assert_eq!((ids(&one).await, ids(&other).await), (1, 1));
    let open = begun(&target(&one), 1).await.unwrap();
    assert_eq!((ids(&one).await, ids(&other).await), (1, 1));
    open.commit().await.unwrap();
    assert_eq!((ids(&one).await, ids(&other).await), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_takes_rows_of_the_declared_types() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("t")).unwrap();
    let source = source(dir.path());
    let table = table(&source, "t/*.parquet").await;
    begun(&target(&table), 1).await.unwrap().commit().await.unwrap();
    assert_eq!(ids(&table).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_no_rows_says_why() {
    let dir = tempfile::tempdir().unwrap();
    first_file(&dir.path().join("one.parquet"), |_, own| own.clone());
    first_file(&dir.path().join("t/a.parquet"), |_, own| own.clone());
    first_file(&dir.path().join("parted/year=1/a.parquet"), |_, own| own.clone());
    write_text(&dir.path().join("texts/a.csv"), "id\n1\n");
    let source = source(dir.path());
    let csv = TableSpec::new("empty", "texts", FileFormat::Csv(Default::default()), Some(declared()));
    for (table, words) in [
        (table(&source, "one.parquet").await, "one file"),
        (table(&source, "parted").await, "folders that are named by values"),
        (table(&source, "t/a*.parquet").await, "pattern"),
        (source.table(&csv).await.unwrap(), "Parquet"),
    ] {
        let error = begun(&target(&table), 2).await.unwrap_err();
        let told = error.detail().unwrap_or_default();
        assert!(error.code() == ErrorCode::FeatureNotSupported && told.contains(words), "{words}: {told}");
    }
    // A table with as many files as it may have stays one that can be read.
    let limits = FilesLimits { files_max: 100, ..FilesLimits::default() };
    let full = FilesSource::new(FilesConfig { limits, ..FilesConfig::local("lake", dir.path()) }).unwrap();
    let error = begun(&target(&table(&full, "t").await), 2).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ProgramLimitExceeded);
}

/// What a killed process left: a folder whose lock is free. One whose transaction is open stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_goes_with_the_next_writer_or_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    first_file(&dir.path().join("t/a.parquet"), |_, own| own.clone());
    let source = source(dir.path());
    let target = target(&table(&source, "t").await);
    let appends = dir.path().join(".querygate/appends");
    let leave = |name: &str| {
        first_file(&appends.join(name).join("0.parquet"), |_, own| own.clone());
        write_text(&appends.join(name).join("lock"), "");
    };
    leave("killed");
    let open = begun(&target, 1).await.unwrap();
    assert!(!appends.join("killed").exists());
    leave("killed");
    source.sweep().await.unwrap();
    let folders = std::fs::read_dir(&appends).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!((appends.join("killed").exists(), folders), (false, 1));
    open.commit().await.unwrap();
    // The folder of the table has been taken away: nothing is stored, and nothing is left.
    let open = begun(&target, 2).await.unwrap();
    std::fs::rename(dir.path().join("t"), dir.path().join("gone")).unwrap();
    assert!(open.commit().await.is_err());
    std::fs::rename(dir.path().join("gone"), dir.path().join("t")).unwrap();
    let folders = std::fs::read_dir(&appends).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(folders, 0);
    begun(&target, 2).await.unwrap().rollback().await;
}
