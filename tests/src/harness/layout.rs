//! Where the rows of a test lie: memory, Parquet files, SQLite, or a server. Builds the tables of a deployment from JSON rows.

use super::table::Table;
use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use querygate_catalog::Rescan;
use querygate_catalog::deployment::{SourceStatus, SourceTable};
use querygate_catalog::remote::{DriverTable, RemoteField};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::watch::Watch;
use querygate_driver_api::value::{Value, ValueType};
use querygate_files::{FileFormat, FilesConfig, FilesSource};
use querygate_memory::{MemoryConfig, MemorySource};
use querygate_rules::opener::RemoteColumn;
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// A physical place of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    Memory,
    Parquet,
    /// Parquet files that a worker reads.
    Workers,
    Sqlite,
    /// A second SQLite database: joins with the first one cross sources.
    OtherSqlite,
    /// Real servers, where they are installed.
    Postgres,
    MariaDb,
    MongoDb,
}

impl Layout {
    /// The layouts that differ in how rows are read.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Parquet, Self::Sqlite];

    /// The layouts on servers that are installed.
    #[must_use]
    pub fn servers() -> Vec<Self> {
        let all = [
            (Self::Postgres, super::postgres::is_there as fn() -> bool),
            (Self::MariaDb, super::mysql::is_there),
            (Self::MongoDb, super::mongodb::is_there),
        ];
        all.into_iter().filter(|(_, is_there)| is_there()).map(|(layout, _)| layout).collect()
    }

    /// Whether a server of its own computes there.
    #[must_use]
    pub const fn is_server(self) -> bool {
        match self {
            Self::Postgres | Self::MariaDb | Self::MongoDb => true,
            Self::Memory | Self::Parquet | Self::Workers | Self::Sqlite | Self::OtherSqlite => false,
        }
    }

    /// What a column is called there.
    pub(super) fn stored(self, column: &str) -> &str {
        if self == Self::MongoDb && column == "id" { "_id" } else { column }
    }

    /// Name of the source.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Parquet => "parquet",
            Self::Workers => "workers",
            Self::Sqlite => "sqlite",
            Self::OtherSqlite => "sqlite2",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::MongoDb => "mongodb",
        }
    }
}

/// Gates of one test binary that keep their rows on a server: a world has fewer.
const GATES_KEPT: u64 = 64;

/// The gate whose rows make room for those of another.
pub(super) fn forgotten(number: u64) -> Option<u64> {
    number.checked_sub(GATES_KEPT)
}

/// Whether a server's column has an index: every second one, so that it has other paths than a scan to choose from, and what is
/// a key by its place.
pub(super) fn is_indexed(at: usize, name: &str) -> bool {
    at % 2 == 1 || (at == 0 && name != "id")
}

/// The folder of files in a version's own.
pub(super) const FILES: &str = "files";

/// Rows per batch, row group: small, so that a dozen rows already make several.
const ROWS_PER_BATCH: usize = 5;

/// Writes the tables and opens them.
pub(super) async fn place(
    tables: &[Table],
    layout: &dyn Fn(&str) -> Layout,
    folder: &Path,
    watch: &Watch,
    writes: bool,
) -> (HashMap<String, SourceTable>, Vec<SourceStatus>) {
    let mut by_layout: BTreeMap<Layout, Vec<&Table>> = BTreeMap::new();
    for table in tables {
        by_layout.entry(layout(&table.object)).or_default().push(table);
    }
    let mut placed = HashMap::new();
    let mut sources = Vec::new();
    for (layout, tables) in by_layout {
        let count = tables.len();
        match layout {
            Layout::Memory => memory(&tables, &mut placed),
            Layout::Parquet | Layout::Workers => files(&tables, &folder.join(FILES), &mut placed).await,
            Layout::Sqlite | Layout::OtherSqlite => {
                let path = folder.join(format!("{}.db", layout.name()));
                sqlite(&tables, layout, &path, watch, writes, &mut placed).await;
            }
            Layout::Postgres => super::postgres::place(&tables, watch, writes, &mut placed).await,
            Layout::MariaDb => super::mysql::place(&tables, watch, writes, &mut placed).await,
            Layout::MongoDb => super::mongodb::place(&tables, watch, &mut placed).await,
        }
        let name = layout.name().to_owned();
        sources.push(SourceStatus { kind: name.clone(), name, error: None, tables: count, driver: None });
    }
    (placed, sources)
}

fn memory(tables: &[&Table], placed: &mut HashMap<String, SourceTable>) {
    let source = MemorySource::new(MemoryConfig { name: Layout::Memory.name().to_owned(), bytes_max: 1 << 28 });
    for table in tables {
        source.put(&table.object, Arc::clone(&table.schema), table.batches(ROWS_PER_BATCH)).unwrap();
        let provider = source.table(&table.object).unwrap();
        placed.insert(
            table.object.clone(),
            SourceTable::new(Layout::Memory.name(), provider).with_rescan(Rescan::of_fixed_rows()),
        );
    }
}

async fn files(tables: &[&Table], folder: &Path, placed: &mut HashMap<String, SourceTable>) {
    std::fs::create_dir_all(folder).unwrap();
    let source = FilesSource::new(FilesConfig::local(Layout::Parquet.name(), folder)).unwrap();
    for table in tables {
        let name = format!("{}.parquet", table.object);
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROWS_PER_BATCH)).build();
        let file = std::fs::File::create(folder.join(&name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&table.schema), Some(properties)).unwrap();
        writer.write(&table.batch()).unwrap();
        writer.close().unwrap();
        let schema = Some(Arc::clone(&table.schema));
        let spec = querygate_files::TableSpec::new(&table.object, &name, FileFormat::Parquet, schema);
        let provider = source.table(&spec).await.unwrap();
        let rescan = Rescan::new(provider.scans_again());
        placed.insert(table.object.clone(), SourceTable::new(Layout::Parquet.name(), provider).with_rescan(rescan));
    }
}

async fn sqlite(
    tables: &[&Table],
    layout: Layout,
    path: &Path,
    watch: &Watch,
    writes: bool,
    placed: &mut HashMap<String, SourceTable>,
) {
    let mut writer = SqliteWriter::open(path).await.unwrap();
    for table in tables {
        let spec = spec(table);
        writer.create_table(&spec).await.unwrap();
        writer.insert(&spec, [Ok(table.batch())]).await.unwrap();
    }
    writer.analyze().await.unwrap();
    writer.close().await.unwrap();
    let options = SqliteOptions { readers: 3, writes, ..SqliteOptions::new(path) };
    let driver = watch.over(Arc::new(SqliteDriver::new(options)));
    for table in tables {
        let reference = TableRef::new([table.object.clone()]).unwrap();
        let provider = Arc::new(open_table(&driver, table, layout, reference).await);
        placed.insert(table.object.clone(), SourceTable::new(layout.name(), provider));
    }
}

fn spec(table: &Table) -> querygate_sqlite::TableSpec {
    let columns = table.schema.fields().iter().map(|field| ColumnSpec {
        name: field.name().clone(),
        value_type: value_type(field.data_type()),
        nullable: field.is_nullable(),
    });
    let has_id = table.schema.field_with_name("id").is_ok_and(|f| !f.is_nullable());
    // Every second column has an index, so that the source has other paths than a scan to choose from.
    let indexed = table.schema.fields().iter().skip(1).step_by(2).map(|field| vec![field.name().clone()]);
    querygate_sqlite::TableSpec {
        name: table.object.clone(),
        columns: columns.collect(),
        primary_key: if has_id { vec!["id".to_owned()] } else { Vec::new() },
        indexes: indexed.collect(),
    }
}

/// A driver's table with the columns that the test's table has, in its types.
pub(super) async fn open_table(
    driver: &Arc<dyn Driver>,
    table: &Table,
    layout: Layout,
    reference: TableRef,
) -> DriverTable {
    let described = driver.describe(&reference).await.unwrap();
    let fields: Vec<RemoteField> = table
        .schema
        .fields()
        .iter()
        .map(|field| {
            let column = described.columns.iter().find(|c| c.name.as_str() == layout.stored(field.name())).unwrap();
            let value_type = value_type(field.data_type());
            let column = RemoteColumn {
                name: column.name.clone(),
                value_type,
                nullable: column.nullable && field.is_nullable(),
                collation: column.collation.clone(),
                encoding: driver.read_as(column, value_type).unwrap(),
            };
            RemoteField { field: field.name().clone(), column }
        })
        .collect();
    let key = described
        .primary_key
        .iter()
        .map(|name| fields.iter().position(|f| f.column.name == *name && !f.column.nullable))
        .collect::<Option<Vec<_>>>()
        .filter(|key| !key.is_empty());
    DriverTable::new(Arc::clone(driver), layout.name().into(), reference, fields, key)
}

pub(super) fn value_type(data_type: &DataType) -> ValueType {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => ValueType::Text,
        DataType::List(_) => ValueType::TextList,
        DataType::Float64 => ValueType::Float64,
        DataType::Int32 => ValueType::Int32,
        DataType::Int64 => ValueType::Int64,
        DataType::Decimal128(precision, scale) => ValueType::Decimal128 { precision: *precision, scale: *scale },
        DataType::Boolean => ValueType::Boolean,
        DataType::Date32 => ValueType::Date,
        DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => ValueType::Timestamp { utc: true },
        DataType::Time64(TimeUnit::Microsecond) => ValueType::Time,
        other => panic!("no test needs columns of type {other}"),
    }
}

/// The rows as values, in the order of the columns.
pub(super) fn rows(table: &Table) -> Vec<Vec<Value>> {
    let batch = table.batch();
    let columns = batch.columns().iter().map(|column| {
        let of = value_type(column.data_type());
        arrow::compute::cast(column, &of.to_arrow()).unwrap()
    });
    let columns: Vec<_> = columns.collect();
    let row = |at: usize| columns.iter().map(|column| Value::from_array(column.as_ref(), at).unwrap()).collect();
    (0..batch.num_rows()).map(row).collect()
}
