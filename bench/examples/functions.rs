//! A gate over one table of everyday values, whose functions it must compute itself.
//!
//! - `functions make CSV FILE`: the table as PostgreSQL copied it out, as Parquet.
//! - `functions serve FOLDER THREADS`: a Postgres door over the folder's files. Prints its address, ends when its standard input
//!   does.
#![allow(clippy::print_stdout, reason = "the address is for whoever started it")]

use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider as _;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use querygate_bench::{door, gate};
use querygate_catalog::deployment::SourceTable;
use querygate_files::{FileFormat, FilesConfig, FilesSource, TableSpec};
use querygate_query::{Engine, EngineOptions, GateService};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tikv_jemallocator::Jemalloc;
use tokio_util::sync::CancellationToken;

/// The gate's own.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", csv, file] => make(Path::new(csv), Path::new(file)),
        ["serve", folder, threads] => serve(Path::new(folder), threads.parse()?),
        _ => Err("functions make CSV FILE | serve FOLDER THREADS".into()),
    }
}

fn schema() -> SchemaRef {
    let instant = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let columns = [
        ("id", DataType::Int64),
        ("grp", DataType::Int32),
        ("few", DataType::Utf8),
        ("day", DataType::Date32),
        ("at", instant(None)),
        ("seen", instant(Some("UTC"))),
        ("amount", DataType::Decimal128(12, 2)),
        ("x", DataType::Float64),
        ("y", DataType::Float64),
        ("n", DataType::Int32),
        ("name", DataType::Utf8),
        ("csv", DataType::Utf8),
        ("mail", DataType::Utf8),
        ("day_text", DataType::Utf8),
        ("at_text", DataType::Utf8),
        ("price_text", DataType::Utf8),
    ];
    Arc::new(Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

fn make(csv: &Path, file: &Path) -> Result<(), Failure> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(File::create(file)?, schema(), Some(properties))?;
    for batch in ReaderBuilder::new(schema()).with_batch_size(8_192).build(File::open(csv)?)? {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(())
}

fn serve(folder: &Path, threads: usize) -> Result<(), Failure> {
    let (query, wire) = (gate::runtime()?, gate::runtime()?);
    let config = FilesConfig { refresh: Duration::from_secs(3_600), ..FilesConfig::local("files", folder) };
    let source = FilesSource::new(config)?;
    let provider = query.block_on(source.table(&TableSpec::new("facts", "*.parquet", FileFormat::Parquet, None)))?;
    let schema = provider.schema();
    let object = gate::object("b_facts", schema.fields().iter().map(|field| field.name().as_str()));
    let stack = gate::stack("b", vec![object], &[]);
    let tables = HashMap::from([("b_facts".to_owned(), SourceTable::new("files", provider))]);
    let options = EngineOptions { target_partitions: threads, ..EngineOptions::default() };
    let gate = Engine::new(options, query.handle().clone(), gate::deployment(&stack, tables)?)?;
    let (door, address) = wire.block_on(door::bind(Arc::new(GateService::new(gate))))?;
    let stop = CancellationToken::new();
    let served = wire.spawn(door.serve(stop.clone()));
    println!("{address}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    stop.cancel();
    wire.block_on(served)?;
    Ok(())
}
