//! How fast the file driver plans, prunes and scans Parquet, CSV and NDJSON. `QUERYGATE_BENCH_SCALE` sets the TPC-H scale (0.1).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

use arrow::csv::WriterBuilder;
use arrow::json::LineDelimitedWriter;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::prelude::{SessionConfig, SessionContext};
use querygate_bench::tpch;
use querygate_files::{CsvOptions, FileFormat, FilesConfig, FilesSource, TableSpec};
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

const STATEMENTS: [(&str, &str); 6] = [
    ("count", "SELECT count(l_comment) FROM lineitem"),
    ("sum", "SELECT sum(l_extendedprice * l_discount) FROM lineitem"),
    ("all_columns", "SELECT max(l_comment), max(l_shipmode), sum(l_quantity), max(l_shipdate) FROM lineitem"),
    ("point", "SELECT l_quantity FROM lineitem WHERE l_orderkey = 4711"),
    ("range", "SELECT sum(l_quantity) FROM lineitem WHERE l_orderkey BETWEEN 1000 AND 2000"),
    ("top", "SELECT l_orderkey FROM lineitem ORDER BY l_orderkey DESC LIMIT 10"),
];

fn scale() -> f64 {
    std::env::var("QUERYGATE_BENCH_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(0.1)
}

/// Writes lineitem in all formats; its number of rows.
fn write(dir: &Path) -> u64 {
    let (_, batches) = tpch::batches("lineitem", scale()).unwrap();
    tpch::write_parquet(dir, scale()).unwrap();
    let mut csv = WriterBuilder::new().build(File::create(dir.join("lineitem.csv")).unwrap());
    let mut json = LineDelimitedWriter::new(File::create(dir.join("lineitem.ndjson")).unwrap());
    for batch in &batches {
        csv.write(batch).unwrap();
        json.write(batch).unwrap();
    }
    json.finish().unwrap();
    batches.iter().map(|b| u64::try_from(b.num_rows()).unwrap()).sum()
}

fn session(runtime: &Runtime, dir: &Path, file: &str, format: FileFormat) -> SessionContext {
    let config = FilesConfig { refresh: Duration::from_secs(3600), ..FilesConfig::local("bench", dir) };
    let source = FilesSource::new(config).unwrap();
    let spec = TableSpec::new("lineitem", file, format, None);
    let table = runtime.block_on(source.table(&spec)).unwrap();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    context.register_table("lineitem", table).unwrap();
    context
}

fn run(runtime: &Runtime, context: &SessionContext, sql: &str) {
    black_box(runtime.block_on(async { context.sql(sql).await.unwrap().collect().await.unwrap() }));
}

fn files(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let rows = write(dir.path());
    let mut group = criterion.benchmark_group("files");
    group.sample_size(10).throughput(Throughput::Elements(rows));
    let parquet = session(&runtime, dir.path(), "lineitem.parquet", FileFormat::Parquet);
    for (name, sql) in STATEMENTS {
        group.bench_function(BenchmarkId::new("parquet", name), |b| b.iter(|| run(&runtime, &parquet, sql)));
    }
    let csv = FileFormat::Csv(CsvOptions::default());
    for (file, format) in [("lineitem.csv", csv), ("lineitem.ndjson", FileFormat::Ndjson)] {
        let context = session(&runtime, dir.path(), file, format);
        let (name, sql) = STATEMENTS[2];
        group.bench_function(BenchmarkId::new(file, name), |b| b.iter(|| run(&runtime, &context, sql)));
    }
    group.finish();
    criterion.bench_function("files/plan_point", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let frame = parquet.sql(STATEMENTS[3].1).await.unwrap();
                black_box(frame.create_physical_plan().await.unwrap());
            });
        });
    });
}

criterion_group!(benches, files);
criterion_main!(benches);
