//! Looks at how the rows of a table lie in its Parquet files: bounds of row groups from the footers, and a bounded sample. What
//! it tells are places in the order of values, never a value.

use crate::column_names::ColumnNames;
use crate::config::FileFormat;
use crate::footers;
use crate::table::{FileTable, Files};
use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{cast, concat, rank};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use object_store::ObjectMeta;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::ParquetMetaData;
use querygate_driver_api::advice::distinct_of_sample;
use querygate_driver_api::layout::{FileLayout, LayoutColumn, Place, RowGroup};
use querygate_types::Result;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Row groups that are looked at, at most; a table with more gets no advice.
const GROUPS_MAX: usize = 20_000;
/// Rows of the sample.
const SAMPLE_ROWS: usize = 8_192;
/// Row groups that the sample is taken from.
const SAMPLE_GROUPS: usize = 32;
/// Compressed bytes that the sample may read.
const SAMPLE_BYTES: u64 = 64 * 1024 * 1024;

/// A file with its footer.
struct Footed<'a> {
    meta: &'a ObjectMeta,
    footer: Arc<ParquetMetaData>,
    schema: Schema,
}

/// A row group by its file and its number in it.
#[derive(Clone, Copy)]
struct At {
    file: usize,
    group: usize,
}

/// A column that is asked for.
struct Asked {
    /// Declared.
    field: Arc<Field>,
    file_name: String,
    folder: bool,
    compared: bool,
}

impl FileTable {
    /// How the rows lie. `read`: declared columns whose size counts; `compared`: those of them that are sampled. `None`: no
    /// Parquet, more row groups than are looked at, or row groups too large to take a sample of.
    ///
    /// # Errors
    /// Files that cannot be listed or read.
    pub async fn study(&self, read: &[String], compared: &[String]) -> Result<Option<FileLayout>> {
        if self.format != FileFormat::Parquet {
            return Ok(None);
        }
        let files = self.files().await?;
        let reader = self.shared.footers()?;
        let mut footed = Vec::with_capacity(files.listed.len());
        let mut groups = Vec::new();
        for (file, meta) in files.listed.iter().enumerate() {
            let footer = reader.footer(meta, &self.names).await?;
            let schema = footers::file_schema(&footer).map_err(|e| self.names.broken(e))?;
            groups.extend((0..footer.num_row_groups()).map(|group| At { file, group }));
            if groups.len() > GROUPS_MAX {
                return Ok(None);
            }
            footed.push(Footed { meta, footer, schema });
        }
        let asked = self.asked(&files, read, compared);
        let Some(taken) = sampled(&footed, &groups, &asked) else { return Ok(None) };
        let mut batches = Vec::with_capacity(taken.len());
        for at in taken {
            batches.push(self.sample(&footed, at, &asked, SAMPLE_ROWS / SAMPLE_GROUPS.min(groups.len()).max(1)).await?);
        }
        Ok(Some(self.told(&files, &footed, &groups, &asked, &batches)))
    }

    fn asked(&self, files: &Files, read: &[String], compared: &[String]) -> Vec<Asked> {
        let asked = |(field, file_name): (&Arc<Field>, &String)| {
            // Folders are told whether they are asked for or not: who writes files anew keeps them.
            let folder = files.layout.partitions.iter().any(|folder| folder.name() == field.name());
            let compared = folder || compared.contains(field.name());
            let asked = Asked { field: Arc::clone(field), file_name: file_name.clone(), folder, compared };
            (compared || read.contains(field.name())).then_some(asked)
        };
        self.schema.fields().iter().zip(&self.file_names).filter_map(asked).collect()
    }

    /// Some rows of a row group, evenly spread, each compared column in its declared type.
    async fn sample(&self, footed: &[Footed<'_>], at: At, asked: &[Asked], rows: usize) -> Result<(At, RecordBatch)> {
        let names = &self.names;
        let broken = |e: &dyn std::fmt::Display| names.broken(e);
        let Some(file) = footed.get(at.file) else { return Err(names.broken("no such file")) };
        let roots = file.footer.file_metadata().schema_descr().root_schema().get_fields();
        let wanted = |name: &str| asked.iter().any(|one| one.compared && !one.folder && one.file_name == name);
        let kept = roots.iter().enumerate().filter(|(_, field)| wanted(field.name())).map(|(place, _)| place);
        let mask = ProjectionMask::roots(file.footer.file_metadata().schema_descr(), kept);
        let options = ArrowReaderOptions::new();
        let known = ArrowReaderMetadata::try_new(Arc::clone(&file.footer), options).map_err(|e| broken(&e))?;
        let metrics = ExecutionPlanMetricsSet::new();
        let whole = PartitionedFile::from(file.meta.clone());
        let reader = self.shared.footers()?.create_reader(0, whole, None, &metrics).map_err(|e| broken(&e))?;
        let reader: Box<dyn AsyncFileReader> = reader;
        let total = usize::try_from(file.footer.row_group(at.group).num_rows()).unwrap_or(0);
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, known)
            .with_row_groups(vec![at.group])
            .with_projection(mask)
            .with_row_selection(spread(total, rows));
        let stream = builder.build().map_err(|e| broken(&e))?;
        let schema = Arc::clone(stream.schema());
        let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(|e| broken(&e))?;
        Ok((at, arrow::compute::concat_batches(&schema, &batches).map_err(|e| broken(&e))?))
    }

    fn told(
        &self,
        files: &Files,
        footed: &[Footed<'_>],
        groups: &[At],
        asked: &[Asked],
        batches: &[(At, RecordBatch)],
    ) -> FileLayout {
        let rows: f64 = groups.iter().map(|at| rows_of(footed, *at)).sum();
        let taken: usize = batches.iter().map(|(_, batch)| batch.num_rows()).sum();
        let mut layout = FileLayout {
            pattern: self.path.clone(),
            version: version(&files.listed),
            files: footed.len(),
            rows,
            bytes: groups.iter().map(|at| number(footed[at.file].footer.row_group(at.group).compressed_size())).sum(),
            columns: Vec::with_capacity(asked.len()),
            groups: groups
                .iter()
                .map(|at| RowGroup { file: at.file, rows: rows_of(footed, *at), bounds: Vec::new() })
                .collect(),
            sample: vec![Vec::with_capacity(asked.len()); taken],
        };
        for one in asked {
            let column = Column { one, footed, files };
            let places = if one.compared { column.places(groups, batches) } else { None };
            let (sample, bounds) = places.unwrap_or_else(|| (vec![None; taken], vec![None; groups.len()]));
            let ordered = one.compared && sample.iter().any(Option::is_some);
            let (bytes, bloom) = column.stored(groups);
            layout.columns.push(LayoutColumn {
                name: one.field.name().clone(),
                file_name: one.file_name.clone(),
                bytes,
                distinct: distinct(&sample, rows),
                ordered,
                bloom,
                folder: one.folder,
            });
            for (row, place) in layout.sample.iter_mut().zip(sample) {
                row.push(place);
            }
            for (group, bounds) in layout.groups.iter_mut().zip(bounds) {
                group.bounds.push(bounds);
            }
        }
        layout
    }
}

/// Row groups for the sample, evenly spread. `None`: not even one of them is small enough.
fn sampled(footed: &[Footed<'_>], groups: &[At], asked: &[Asked]) -> Option<Vec<At>> {
    let bytes_of = |at: &At| -> u64 {
        let columns = footed.get(at.file).map_or(&[][..], |file| file.footer.row_group(at.group).columns());
        let wanted = columns.iter().filter(|column| {
            let root = column.column_path().parts().first();
            asked.iter().any(|one| one.compared && root.is_some_and(|root| *root == one.file_name))
        });
        wanted.map(|column| u64::try_from(column.compressed_size()).unwrap_or(0)).sum()
    };
    let count = SAMPLE_GROUPS.min(groups.len());
    let spread: Vec<At> = (0..count).filter_map(|n| groups.get(n * groups.len() / count).copied()).collect();
    let mut left = SAMPLE_BYTES;
    let mut taken = Vec::new();
    // Every other one first, so that what is left out when bytes run out is spread too.
    for at in spread.iter().step_by(2).chain(spread.iter().skip(1).step_by(2)) {
        let bytes = bytes_of(at);
        if bytes <= left {
            left -= bytes;
            taken.push(*at);
        }
    }
    // In the order of the files: a sample in that order tells how values follow each other.
    taken.sort_by_key(|at| (at.file, at.group));
    (!taken.is_empty()).then_some(taken)
}

/// So many rows of a row group: one by chance of each of as many stretches, or values that come again at regular distances
/// would be met always or never.
fn spread(total: usize, rows: usize) -> RowSelection {
    let step = total.div_ceil(rows.max(1)).max(1);
    let mut selectors = Vec::new();
    let (mut at, mut state) = (0, 1_u64);
    for begin in (0..total).step_by(step) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chance = usize::try_from(state >> 33).unwrap_or(0);
        let place = begin + chance % step.min(total - begin);
        if place > at {
            selectors.push(RowSelector::skip(place - at));
        }
        selectors.push(RowSelector::select(1));
        at = place + 1;
    }
    if at < total {
        selectors.push(RowSelector::skip(total - at));
    }
    RowSelection::from(selectors)
}

/// A column in all files.
struct Column<'a> {
    one: &'a Asked,
    footed: &'a [Footed<'a>],
    files: &'a Files,
}

type Placed = (Vec<Option<Place>>, Vec<Option<(Place, Place)>>);

impl Column<'_> {
    /// The places of the sampled values and of each row group's bounds. `None`: the type has no order here.
    fn places(&self, groups: &[At], batches: &[(At, RecordBatch)]) -> Option<Placed> {
        let sample: Vec<ArrayRef> = batches.iter().map(|(at, batch)| self.values(*at, batch)).collect::<Option<_>>()?;
        let (least, greatest) = self.bounds(groups)?;
        let taken: usize = sample.iter().map(|values| values.len()).sum();
        let mut all: Vec<&dyn Array> = sample.iter().map(AsRef::as_ref).collect();
        all.extend([least.as_ref(), greatest.as_ref()]);
        let all = concat(&all).ok()?;
        let ranks = rank(all.as_ref(), None).ok()?;
        let place = |at: usize| if all.is_valid(at) { ranks.get(at).copied() } else { None };
        let bound = |group: usize| place(taken + group).zip(place(taken + groups.len() + group));
        Some(((0..taken).map(place).collect(), (0..groups.len()).map(bound).collect()))
    }

    /// The type that values are compared in.
    fn comparable(&self) -> DataType {
        match self.one.field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            other => other.clone(),
        }
    }

    fn values(&self, at: At, batch: &RecordBatch) -> Option<ArrayRef> {
        if self.one.folder {
            return self.folder(at.file, batch.num_rows());
        }
        match batch.column_by_name(&self.one.file_name) {
            Some(values) => cast(values, &self.comparable()).ok(),
            None => Some(new_null_array(&self.comparable(), batch.num_rows())),
        }
    }

    /// The value that a file's folder gives, so many times.
    fn folder(&self, file: usize, rows: usize) -> Option<ArrayRef> {
        let value = self.files.partitions.column_by_name(self.one.field.name())?.slice(file, 1);
        let value = cast(&value, &self.comparable()).ok()?;
        let zeros = arrow::array::UInt32Array::from(vec![0; rows]);
        arrow::compute::take(value.as_ref(), &zeros, None).ok()
    }

    /// Least and greatest value of each row group, by the footers.
    fn bounds(&self, groups: &[At]) -> Option<(ArrayRef, ArrayRef)> {
        let (mut least, mut greatest) = (Vec::new(), Vec::new());
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for at in groups {
            *counts.entry(at.file).or_default() += 1;
        }
        for (file, footed) in self.footed.iter().enumerate() {
            let count = counts.get(&file).copied().unwrap_or(0);
            if count == 0 {
                continue;
            }
            let (low, high) = if self.one.folder {
                let value = self.folder(file, count)?;
                (Arc::clone(&value), value)
            } else {
                self.bounds_of(footed, count)?
            };
            least.push(low);
            greatest.push(high);
        }
        let together = |arrays: &[ArrayRef]| concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>()).ok();
        Some((together(&least)?, together(&greatest)?))
    }

    fn bounds_of(&self, file: &Footed<'_>, count: usize) -> Option<(ArrayRef, ArrayRef)> {
        let none = || new_null_array(&self.comparable(), count);
        let descriptor = file.footer.file_metadata().schema_descr();
        let at = ColumnNames::of(&file.schema).position(&self.one.file_name);
        let Some(column) = at.map(|at| file.schema.field(at)) else { return Some((none(), none())) };
        // Integers as text are in another order.
        if column.data_type().is_integer() && !self.comparable().is_numeric() {
            return Some((none(), none()));
        }
        let Ok(found) = StatisticsConverter::try_new(column.name(), &file.schema, descriptor) else {
            return Some((none(), none()));
        };
        let groups = file.footer.row_groups();
        let low = found.row_group_mins(groups).ok().and_then(|low| cast(&low, &self.comparable()).ok());
        let high = found.row_group_maxes(groups).ok().and_then(|high| cast(&high, &self.comparable()).ok());
        Some((low.unwrap_or_else(none), high.unwrap_or_else(none)))
    }

    /// Compressed bytes in all row groups, and whether each has a bloom filter.
    fn stored(&self, groups: &[At]) -> (f64, bool) {
        let (mut bytes, mut bloom) = (0.0, !self.one.folder && !groups.is_empty());
        for at in groups {
            let Some(file) = self.footed.get(at.file) else { continue };
            let own = |path: &[String]| path.first().is_some_and(|root| *root == self.one.file_name);
            let columns = file.footer.row_group(at.group).columns().iter();
            for column in columns.filter(|column| own(column.column_path().parts())) {
                bytes += number(column.compressed_size());
                bloom &= column.bloom_filter_offset().is_some();
            }
        }
        (bytes, bloom)
    }
}

/// Distinct values of all rows from those of a sample.
fn distinct(sample: &[Option<Place>], rows: f64) -> f64 {
    let mut seen: HashMap<Place, u32> = HashMap::new();
    for place in sample.iter().flatten() {
        *seen.entry(*place).or_default() += 1;
    }
    let taken = seen.values().map(|n| *n as usize).sum();
    let once = seen.values().filter(|n| **n == 1).count();
    distinct_of_sample(taken, seen.len(), once, rows)
}

fn rows_of(footed: &[Footed<'_>], at: At) -> f64 {
    footed.get(at.file).map_or(0.0, |file| number(file.footer.row_group(at.group).num_rows()))
}

#[expect(clippy::cast_precision_loss, reason = "sizes, for estimates")]
fn number(count: i64) -> f64 {
    count.max(0) as f64
}

fn version(listed: &[ObjectMeta]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for meta in listed {
        (meta.location.as_ref(), meta.size, meta.last_modified, &meta.e_tag).hash(&mut hasher);
    }
    hasher.finish()
}
