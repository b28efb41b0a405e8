//! What a remote store must answer, whichever it is: rows, pruning, pinned versions, vanished objects.

use crate::common::{base_schema, fail, metric, rows, session, spec, text, write_parquet};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use querygate_files::{CsvOptions, FileFormat, FilesSource};
use querygate_types::ErrorCode;
use std::fmt::Write as _;

/// Runs the checks over `source`, whose files are written through `store`.
pub(crate) async fn check(source: &FilesSource, store: &dyn ObjectStore) {
    let dir = tempfile::tempdir().unwrap();
    let parquet = |from, to| {
        let path = dir.path().join("x.parquet");
        write_parquet(&path, &rows(from, to), 10_000);
        std::fs::read(path).unwrap()
    };
    for (region, from) in [("eu", 0), ("us", 40_000)] {
        let path = Path::from(format!("t/region={region}/a.parquet"));
        store.put(&path, parquet(from, from + 40_000).into()).await.unwrap();
    }
    let (mut csv, mut json) = ("id,name,v\n".to_owned(), String::new());
    for i in 0..5_000 {
        writeln!(csv, "{i},n{i},{i}.5").unwrap();
        writeln!(json, "{{\"id\":{i},\"name\":\"n{i}\",\"v\":{i}.5}}").unwrap();
    }
    store.put(&Path::from("t.csv"), csv.into()).await.unwrap();
    store.put(&Path::from("t.ndjson"), json.into()).await.unwrap();
    for (pattern, format) in [("t.csv", FileFormat::Csv(CsvOptions::default())), ("t.ndjson", FileFormat::Ndjson)] {
        let context = session(source, &spec(pattern, format, base_schema()), 3).await;
        let sql = "SELECT count(*), sum(id), sum(v), max(name) FROM t";
        let got = text(&context.sql(sql).await.unwrap().collect().await.unwrap());
        assert_eq!(got, "5000,12497500,12500000.0,n999", "{pattern}");
    }
    let context = session(source, &spec("t", FileFormat::Parquet, base_schema()), 2).await;
    let sum = "SELECT count(*), sum(id) FROM t WHERE id >= 0";
    assert_eq!(text(&context.sql(sum).await.unwrap().collect().await.unwrap()), "80000,3199960000");
    let range = "SELECT v FROM t WHERE id BETWEEN 25000 AND 25100";
    assert!(metric(&context, range, "row_groups_pruned_statistics").await >= 3);
    // Rewritten, then removed: each fails once and is then seen.
    let path = Path::from("t/region=us/a.parquet");
    store.put(&path, parquet(100_000, 150_000).into()).await.unwrap();
    let error = fail(&context, sum).await;
    assert_eq!((error.code(), error.hint()), (ErrorCode::SourceError, Some("Run the statement again.")), "{error:?}");
    assert!(text(&context.sql(sum).await.unwrap().collect().await.unwrap()).starts_with("90000,"));
    store.delete(&path).await.unwrap();
    assert_eq!(fail(&context, sum).await.code(), ErrorCode::SourceError);
    assert!(text(&context.sql(sum).await.unwrap().collect().await.unwrap()).starts_with("40000,"));
    let found = source.tables().await.unwrap();
    assert_eq!(found.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["t", "t", "t"]);
}
