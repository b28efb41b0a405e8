//! Infers how files are written and which columns they have, for introspection: Parquet from footers, text from what it holds. Knows no plan.

mod foreign;
mod sniff;
mod value_kind;

use crate::column_names::ColumnNames;
use crate::compat::readable_as;
use crate::config::{CsvOptions, FileFormat, TableSpec};
use crate::error::Names;
use crate::footers;
use crate::pattern::FilePattern;
use crate::source::Shared;
use crate::store::fetch::Fetch;
use crate::store::listing;
use crate::text::RowFailure;
use crate::text::csv::Records;
use crate::text::header;
use crate::text::json::JsonRows;
use arrow::datatypes::{Field, Schema, SchemaRef};
pub use foreign::{ForeignColumn, ForeignForm};
use futures::stream::{self, StreamExt};
use object_store::{ObjectMeta, ObjectStore};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use value_kind::{Columns, ValueKind};

/// Bytes of a table's texts, without_compression, that are all looked at.
const SAMPLE_BYTES: usize = 16 * 1024 * 1024;
/// Rows of each further file that are looked at, and how many further files.
const SAMPLE_ROWS: usize = 1_000;
const SAMPLE_FILES: usize = 64;

/// What the files of a table look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// Columns, hive partitions last; all nullable.
    pub schema: SchemaRef,
    pub files: usize,
    pub bytes: u64,
    /// Rows, where all of them were counted.
    pub rows: Option<u64>,
    /// Rows that the types of texts were taken from, where there are more.
    pub sampled: Option<u64>,
    /// Columns of texts that are numbers or days elsewhere.
    pub foreign: Vec<ForeignColumn>,
}

/// How a table's first file is written, where its name promises this format.
pub(crate) async fn written(shared: &Shared, spec: &TableSpec) -> Result<FileFormat> {
    if spec.format == FileFormat::Parquet {
        return Ok(FileFormat::Parquet);
    }
    let names = Names::new(&shared.config.name, &spec.name);
    let (store, listed, _) = files(shared, spec, &names).await?;
    let Some(first) = listed.first() else { return Ok(spec.format.clone()) };
    let mut fetch = Fetch::new(store, first, shared.is_local(), 0);
    let (mut head, mut whole) = (Vec::new(), false);
    while head.len() < sniff::SNIFF_BYTES && !whole {
        match fetch.next().await.map_err(|error| failed(error.into(), first, 1, &names))? {
            Some(piece) => head.extend_from_slice(&piece),
            None => whole = true,
        }
    }
    let whole = whole && head.len() <= sniff::SNIFF_BYTES;
    head.truncate(sniff::SNIFF_BYTES);
    Ok(sniff::format(&spec.format, &head, whole))
}

async fn files(
    shared: &Shared,
    spec: &TableSpec,
    names: &Names,
) -> Result<(Arc<dyn ObjectStore>, Vec<ObjectMeta>, FilePattern)> {
    let store = shared.store()?;
    let pattern = FilePattern::parse(&spec.pattern)
        .map_err(|e| Error::new(ErrorCode::MetadataInvalid, format!("table \"{}\": {e}", spec.name)))?;
    let _whole = shared.replacing.read().await;
    let listed = listing::list(store.as_ref(), &pattern, &spec.format, &shared.config.limits, names).await?;
    Ok((store, listed, pattern))
}

pub(crate) async fn infer(shared: &Shared, spec: &TableSpec) -> Result<Inferred> {
    let names = Names::new(&shared.config.name, &spec.name);
    let (store, listed, pattern) = files(shared, spec, &names).await?;
    let limits = &shared.config.limits;
    let (mut columns, rows, sampled, foreign) = match &spec.format {
        FileFormat::Parquet => {
            let (columns, rows) = from_footers(shared, &listed, &names).await?;
            (columns, rows, None, Vec::new())
        }
        FileFormat::Csv(_) | FileFormat::Ndjson | FileFormat::Json => {
            let mut texts =
                TextSample { shared, store, names: &names, columns: Columns::default(), rows: 0, left: SAMPLE_BYTES };
            let whole = texts.take(&listed, &spec.format).await?;
            let (rows, sampled) = (whole.then_some(texts.rows), (!whole).then_some(texts.rows));
            (texts.columns.fields(), rows, sampled, texts.columns.foreign())
        }
    };
    for field in folder_columns(&listed, &pattern) {
        columns.retain(|known| known.name() != field.name());
        columns.push(field);
    }
    if columns.len() > limits.columns_max {
        return Err(names.too_big("the number of columns of", columns.len()));
    }
    let bytes = listed.iter().map(|m| m.size).sum();
    Ok(Inferred { schema: Arc::new(Schema::new(columns)), files: listed.len(), bytes, rows, sampled, foreign })
}

/// The columns that folders name: whole numbers, days, or texts.
fn folder_columns(listed: &[ObjectMeta], pattern: &FilePattern) -> Vec<Field> {
    let mut columns = Columns::default();
    for (key, value) in listed.iter().flat_map(|meta| pattern.partitions(&meta.location)) {
        let seen = match value.as_deref().map_or(ValueKind::Nothing, ValueKind::text) {
            seen @ (ValueKind::Nothing | ValueKind::Integer | ValueKind::Date) => seen,
            _ => ValueKind::Text,
        };
        columns.see(&key, seen, value.as_deref().unwrap_or_default());
    }
    columns.fields()
}

async fn from_footers(shared: &Shared, listed: &[ObjectMeta], names: &Names) -> Result<(Vec<Field>, Option<u64>)> {
    let reader = shared.footers()?;
    let reads: Vec<_> = listed.iter().map(|meta| reader.footer(meta, names)).collect();
    let mut read = stream::iter(listed).zip(stream::iter(reads).buffered(16));
    let (mut columns, mut rows): (Vec<Field>, u64) = (Vec::new(), 0);
    while let Some((meta, footer)) = read.next().await {
        let footer = footer?;
        rows += u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
        let schema = footers::file_schema(&footer).map_err(|e| names.broken(format!("{}: {e}", meta.location)))?;
        let known = ColumnNames::new(columns.iter().map(|column| column.name().as_str()));
        let places: Vec<_> = schema.fields().iter().map(|field| known.position(field.name())).collect();
        for (field, place) in schema.fields().iter().zip(places) {
            match place.and_then(|at| columns.get_mut(at)) {
                None => columns.push(field.as_ref().clone().with_nullable(true)),
                Some(known) if readable_as(field.data_type(), known.data_type()) => {}
                Some(known) if readable_as(known.data_type(), field.data_type()) => {
                    known.set_data_type(field.data_type().clone());
                }
                Some(known) => {
                    let cause = format!(
                        "{}: column \"{}\" is {}, other files have {}",
                        meta.location,
                        field.name(),
                        field.data_type(),
                        known.data_type()
                    );
                    return Err(names.unfit(cause));
                }
            }
        }
    }
    Ok((columns, Some(rows)))
}

/// The error of a row of a file.
fn failed(failure: RowFailure, meta: &ObjectMeta, row: u64, names: &Names) -> Error {
    match failure {
        RowFailure::Store(error) => names.store(&error),
        RowFailure::TooLong => names.too_big("a row of", &meta.location),
        RowFailure::Header(text) => names.unfit(format!("{}: {text}", meta.location)),
        RowFailure::Row(error) => names.unfit(format!("{}: row {row}: {error}", meta.location)),
        RowFailure::Format(text) => names.broken(format!("{}: row {row}: {text}", meta.location)),
    }
}

/// Looks at the values of texts.
struct TextSample<'a> {
    shared: &'a Shared,
    store: Arc<dyn ObjectStore>,
    names: &'a Names,
    columns: Columns,
    rows: u64,
    /// Bytes that may still be looked at.
    left: usize,
}

impl TextSample<'_> {
    /// Whether all rows of all files were looked at.
    async fn take(&mut self, listed: &[ObjectMeta], format: &FileFormat) -> Result<bool> {
        let mut whole = listed.len() <= SAMPLE_FILES;
        for meta in listed.iter().take(SAMPLE_FILES) {
            let before = self.rows;
            self.columns.begin_file(meta.location.as_ref());
            let taken = match format {
                FileFormat::Csv(options) => self.csv(meta, options).await,
                FileFormat::Ndjson => {
                    self.json(JsonRows::lines(self.fetch(meta), 0..u64::MAX, self.row_bytes_max())).await
                }
                FileFormat::Json => self.json(JsonRows::objects(self.fetch(meta), self.row_bytes_max())).await,
                FileFormat::Parquet => Ok(true),
            };
            whole &= taken.map_err(|failure| failed(failure, meta, self.rows - before + 1, self.names))?;
        }
        Ok(whole)
    }

    fn fetch(&self, meta: &ObjectMeta) -> Fetch {
        Fetch::new(Arc::clone(&self.store), meta, self.shared.is_local(), 0)
    }

    fn row_bytes_max(&self) -> usize {
        self.shared.config.limits.row_bytes_max
    }

    /// Counts a row and its bytes; false: no further one of this file is looked at.
    fn count(&mut self, bytes: usize, of_file: &mut usize) -> bool {
        self.rows += 1;
        *of_file += 1;
        self.left = self.left.saturating_sub(bytes);
        self.left > 0 || *of_file < SAMPLE_ROWS
    }

    async fn csv(&mut self, meta: &ObjectMeta, options: &CsvOptions) -> Result<bool, RowFailure> {
        let limits = &self.shared.config.limits;
        let mut records = Records::new(self.fetch(meta), options, limits.row_bytes_max, limits.columns_max);
        let mut called: Option<Vec<String>> = None;
        let mut of_file = 0;
        while let Some(fields) = records.next().await? {
            let values = (0..fields).map(|at| records.field(at)).collect::<Result<Vec<_>, _>>()?;
            let called = match &called {
                Some(called) => called,
                None if options.header => {
                    called = Some(self.header(&values).map_err(RowFailure::Header)?);
                    continue;
                }
                None => called.insert(header::numbered(fields)),
            };
            if called.len() != fields {
                return Err(RowFailure::Format(format!("{fields} fields where the first row has {}", called.len())));
            }
            self.columns.begin_row();
            for (name, value) in called.iter().zip(&values) {
                let is_null = **value == *options.null;
                let kind = if is_null { ValueKind::Nothing } else { ValueKind::text(value) };
                self.columns.see(name, kind, value);
            }
            if !self.count(values.iter().map(|value| value.len() + 1).sum(), &mut of_file) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Names under a header, as the columns of an earlier file are called. A first row that names none of them is a row.
    fn header(&mut self, cells: &[&str]) -> Result<Vec<String>, String> {
        let names = header::names(cells.iter().copied());
        let known = ColumnNames::new(self.columns.names());
        if self.columns.len() > 0 && names.iter().all(|name| known.position(name).is_none()) {
            return Err("its first row names none of the columns of the first file".to_owned());
        }
        let called =
            names.iter().map(|name| known.position(name).map_or(name.as_str(), |at| known.name(at)).to_owned());
        // Two columns of this file may be alike to one of another.
        let called: Vec<String> = called.collect();
        let is_once = called.iter().enumerate().all(|(at, name)| !called[..at].contains(name));
        let called = if is_once { called } else { names };
        called.iter().for_each(|name| self.columns.see(name, ValueKind::Nothing, ""));
        Ok(called)
    }

    async fn json(&mut self, mut rows: JsonRows) -> Result<bool, RowFailure> {
        let columns_max = self.shared.config.limits.columns_max;
        let mut of_file = 0;
        while let Some(object) = rows.next().await? {
            let text = std::str::from_utf8(&object).map_err(|e| RowFailure::Format(e.to_string()))?;
            let columns = &mut self.columns;
            columns.begin_row();
            querygate_memory::members(text, |key, raw| columns.see(key, ValueKind::json(raw), raw))
                .map_err(RowFailure::Row)?;
            if columns.len() > columns_max {
                return Err(RowFailure::TooLong);
            }
            if !self.count(text.len(), &mut of_file) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
