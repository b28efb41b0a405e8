//! The ten columns that extraction is measured with: written as Parquet, read back into memory. Measures nothing.

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use querygate_types::{Error, Result, limits};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of one row group: small enough for each of several streams to have many.
const ROW_GROUP_ROWS: usize = 512 * 1024;
/// Rows made at a time.
const BATCH_ROWS: i64 = 64 * 1024;
/// Microseconds from 1970 to 2024.
const YEAR_2024_MICROS: i64 = 1_704_067_200_000_000;
const WORDS: [&str; 8] = ["red", "orange", "yellow", "green", "cyan", "blue", "violet", "white"];

/// Ten columns, about 95 bytes a row.
#[must_use]
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("part", DataType::Int32, true),
        Field::new("big", DataType::Int64, true),
        Field::new("ratio", DataType::Float64, true),
        Field::new("amount", DataType::Decimal128(15, 2), true),
        Field::new("day", DataType::Date32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("open", DataType::Boolean, true),
        Field::new("color", DataType::Utf8, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

fn batch(from: i64, to: i64) -> Result<RecordBatch> {
    let ids = || from..to;
    let small = |i: i64, below: i64| i32::try_from(i % below).unwrap_or(0);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids())),
        Arc::new(Int32Array::from_iter_values(ids().map(|i| small(i, 100)))),
        Arc::new(Int64Array::from_iter(ids().map(|i| (i % 11 != 0).then_some(i.wrapping_mul(1_000_003))))),
        Arc::new(Float64Array::from_iter_values(ids().map(|i| i as f64 / 7.0))),
        Arc::new(
            Decimal128Array::from_iter_values(ids().map(|i| (i128::from(i) * 7_919) % 100_000_000))
                .with_precision_and_scale(15, 2)
                .map_err(Error::internal)?,
        ),
        Arc::new(Date32Array::from_iter_values(ids().map(|i| 19_000 + small(i, 1_000)))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(ids().map(|i| YEAR_2024_MICROS + i * 1_001_000))),
        Arc::new(BooleanArray::from_iter(ids().map(|i| Some(i % 3 == 0)))),
        Arc::new(StringArray::from_iter_values(ids().map(|i| {
            let at = usize::try_from(i).unwrap_or(0) % WORDS.len();
            WORDS.get(at).copied().unwrap_or_default()
        }))),
        Arc::new(StringArray::from_iter_values(ids().map(|i| format!("customer number {i}")))),
    ];
    RecordBatch::try_new(schema(), columns).map_err(Error::internal)
}

/// Writes so many rows as one Parquet file. `codec`: `none`, `snappy`, `lz4` or `zstd`.
///
/// # Errors
/// When the file cannot be written, or the codec is none of these.
pub fn write(path: &Path, rows: i64, codec: &str) -> Result<()> {
    let compression = match codec {
        "none" => Compression::UNCOMPRESSED,
        "snappy" => Compression::SNAPPY,
        "lz4" => Compression::LZ4_RAW,
        "zstd" => Compression::ZSTD(ZstdLevel::default()),
        _ => return Err(Error::internal(format!("{codec} is not written here"))),
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let file = File::create(path).map_err(Error::internal)?;
    let mut writer = ArrowWriter::try_new(file, schema(), Some(properties)).map_err(Error::internal)?;
    let mut from = 0;
    while from < rows {
        let to = rows.min(from + BATCH_ROWS);
        writer.write(&batch(from, to)?).map_err(Error::internal)?;
        from = to;
    }
    writer.close().map_err(Error::internal)?;
    Ok(())
}

/// The Parquet files of a folder, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::internal)?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    files.sort();
    Ok(files)
}

/// All rows of a folder's files, in batches of the usual size.
///
/// # Errors
/// When a file cannot be read.
pub fn read(folder: &Path) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for path in files(folder)? {
        let file = File::open(path).map_err(Error::internal)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::internal)?;
        let reader = reader.with_batch_size(limits::BATCH_ROWS).build().map_err(Error::internal)?;
        for batch in reader {
            batches.push(batch.map_err(Error::internal)?);
        }
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a.parquet"), 100_000, "snappy").unwrap();
        let batches = read(folder.path()).unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
        assert!(batches.iter().all(|batch| batch.num_rows() <= limits::BATCH_ROWS && batch.num_columns() == 10));
    }
}
