//! Joins of a large table in one source with a small one in another: the tables, both in PostgreSQL and in Parquet files, and the
//! statements over them. Measures nothing.

use crate::federated::{Place, fill, opened};
use crate::{gate, tpch};
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use querygate_catalog::Rescan;
use querygate_catalog::deployment::{Deployment, SourceTable};
use querygate_driver_api::driver::Driver;
use querygate_files::{FileFormat, FilesConfig, FilesSource, TableSpec};
use querygate_types::{Error, Result};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Client;

/// How many rows of the large table there are for each of the small one.
pub const RATIOS: [i64; 4] = [10, 100, 1_000, 10_000];

/// Rows of one batch that is written.
const BATCH_ROWS: i64 = 65_536;

/// Where the large table lies; the small one is in the other place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Large {
    Postgres,
    Parquet,
}

/// Which rows of the large table meet the small one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matches {
    /// One for each row of the small table.
    Few,
    /// All.
    All,
    /// Half of the rows have one of ten values, which the small table has; of the rest as many as its share of the values.
    Skewed,
}

/// One statement.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub large: Large,
    pub ratio: i64,
    pub matches: Matches,
    /// Groups above the join, or its rows.
    pub groups: bool,
}

impl Case {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let rows_or_groups = [true, false];
        let matches = [Matches::Few, Matches::All, Matches::Skewed];
        let each = move |large| {
            rows_or_groups.into_iter().flat_map(move |groups| {
                let of = move |matches| RATIOS.into_iter().map(move |ratio| Self { large, ratio, matches, groups });
                matches.into_iter().flat_map(of)
            })
        };
        [Large::Postgres, Large::Parquet].into_iter().flat_map(each)
    }

    /// The statement over tables of which the large one has so many rows.
    #[must_use]
    pub fn sql(self, rows: i64) -> String {
        let on = match self.matches {
            Matches::Few => "f.spread = k.spread".to_owned(),
            Matches::All => format!("f.of_{} = k.place", self.ratio),
            Matches::Skewed => "f.skewed = k.place".to_owned(),
        };
        let join = format!("facts f JOIN keys k ON {on} WHERE k.place < {}", rows / self.ratio);
        if self.groups {
            format!("SELECT k.kind, count(*), sum(f.amount), max(f.id) FROM {join} GROUP BY k.kind")
        } else {
            format!("SELECT f.id, f.amount, f.note, k.label FROM {join}")
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let large = match self.large {
            Large::Postgres => "PostgreSQL",
            Large::Parquet => "Parquet",
        };
        let matches = match self.matches {
            Matches::Few => "few",
            Matches::All => "all",
            Matches::Skewed => "skewed",
        };
        write!(f, "{large} {}:1 {matches} {}", self.ratio, if self.groups { "groups" } else { "rows" })
    }
}

/// Tables, each with its indexes.
const TABLES: [(&str, &[&str]); 2] =
    [("facts", &["spread", "skewed", "of_10", "of_100", "of_1000", "of_10000"]), ("keys", &["spread"])];

/// A table whose large one has so many rows. Each number is a prime beside it, so that values are spread and met once.
fn rows_of(table: &str, rows: i64, from: i64, to: i64) -> std::result::Result<RecordBatch, ArrowError> {
    let numbers = |of: &dyn Fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((from..to).map(of))) as ArrayRef;
    let texts = |of: &dyn Fn(i64) -> String| Arc::new(StringArray::from_iter_values((from..to).map(of))) as ArrayRef;
    let tenth = (rows / 10).max(1);
    let place = |i: i64| i * 7_919 % tenth;
    let columns: Vec<ArrayRef> = if table == "facts" {
        let amounts = (from..to).map(|i| i128::from(i * 7_919 % 100_000));
        let amounts = Decimal128Array::from_iter_values(amounts).with_precision_and_scale(15, 2)?;
        let of = |ratio: i64| numbers(&|i| i * 31 % (rows / ratio).max(1));
        vec![
            numbers(&|i| i),
            numbers(&|i| i * 7_919 % rows),
            numbers(&|i| if i % 2 == 0 { i / 2 % 10 } else { place(i) }),
            of(10),
            of(100),
            of(1_000),
            of(10_000),
            Arc::new(amounts),
            texts(&|i| format!("what was noted of the fact {i}")),
        ]
    } else {
        vec![
            numbers(&place),
            numbers(&|i| place(i) * 104_729 % rows),
            texts(&|i| format!("kind {}", place(i) % 7)),
            texts(&|i| format!("the label of {}", place(i))),
        ]
    };
    RecordBatch::try_new(schema(table), columns)
}

/// The columns of a table.
#[must_use]
pub fn schema(table: &str) -> SchemaRef {
    let number = |name: &str| Field::new(name, DataType::Int64, false);
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let fields = if table == "facts" {
        let numbers = ["id", "spread", "skewed", "of_10", "of_100", "of_1000", "of_10000"].map(number);
        let amount = Field::new("amount", DataType::Decimal128(15, 2), false);
        numbers.into_iter().chain([amount, text("note")]).collect::<Vec<_>>()
    } else {
        vec![number("place"), number("spread"), text("kind"), text("label")]
    };
    Arc::new(Schema::new(fields))
}

/// The rows of a table where the large one has so many.
pub fn reader(
    table: &'static str,
    rows: i64,
) -> RecordBatchIterator<impl Iterator<Item = std::result::Result<RecordBatch, ArrowError>>> {
    let count = if table == "facts" { rows } else { rows / 10 };
    let starts = (0..count).step_by(usize::try_from(BATCH_ROWS).unwrap_or(usize::MAX));
    let batches = starts.map(move |from| rows_of(table, rows, from, (from + BATCH_ROWS).min(count)));
    RecordBatchIterator::new(batches, schema(table))
}

/// Fills PostgreSQL and writes the files.
///
/// # Errors
/// The server's, and the file system's.
pub async fn load(client: &Client, folder: &Path, rows: i64) -> Result<()> {
    for (table, indexed) in TABLES {
        let key = if table == "facts" { "id" } else { "place" };
        let indexes = indexed.iter().map(|column| format!("CREATE INDEX ON {table} ({column});"));
        let afterwards: String =
            std::iter::once(format!("ALTER TABLE {table} ADD PRIMARY KEY ({key});")).chain(indexes).collect();
        fill(client, table, reader(table, rows), &afterwards).await?;
        tpch::write_rows(&folder.join(format!("{table}.parquet")), reader(table, rows))?;
    }
    client.batch_execute("VACUUM ANALYZE").await.map_err(Error::internal)
}

/// A deployment with the large table in one place and the small one in the other, both measured.
///
/// # Errors
/// A source that does not answer.
pub async fn deployment(large: Large, driver: Arc<dyn Driver>, folder: &Path) -> Result<Deployment> {
    let config = FilesConfig { refresh: Duration::from_secs(3_600), ..FilesConfig::local("files", folder) };
    let files = FilesSource::new(config)?;
    let (remote, local) = match large {
        Large::Postgres => ("facts", "keys"),
        Large::Parquet => ("keys", "facts"),
    };
    let place = Place { source: "postgres", driver, schema: "public", tables: &[] };
    let remote_table = SourceTable::new("postgres", Arc::new(opened(&place, remote).await?));
    let spec = TableSpec::new(local, &format!("{local}.parquet"), FileFormat::Parquet, None);
    let local_table = files.table(&spec).await?;
    let rescan = Rescan::new(local_table.scans_again());
    let local_table = SourceTable::new("files", local_table).with_rescan(rescan);
    let name = |table: &str| format!("bench_{table}");
    let tables = HashMap::from([(name(remote), remote_table), (name(local), local_table)]);
    let objects = TABLES.map(|(table, _)| {
        let schema = schema(table);
        gate::object(&name(table), schema.fields().iter().map(|field| field.name().as_str()))
    });
    let deployment = gate::deployment(&gate::stack("bench", objects.into(), &[]), tables)?;
    deployment.measure().await;
    Ok(deployment)
}

/// A number that is the same for the same rows in any order.
///
/// # Errors
/// Values that cannot be printed.
pub fn digest(batch: &RecordBatch) -> Result<u64> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    use std::hash::{DefaultHasher, Hash, Hasher};
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::internal)?;
    let row = |row: usize| {
        let mut hasher = DefaultHasher::new();
        columns.iter().for_each(|column| column.value(row).to_string().hash(&mut hasher));
        hasher.finish()
    };
    Ok((0..batch.num_rows()).map(row).fold(0, u64::wrapping_add))
}
