//! Parts that lie in files of one format, put together as one file: rows are copied as they are encoded where the format allows
//! it. Knows no network.

use super::format::{FileOptions, Format};
use super::writer::{Writer, parquet_properties, unwritten};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::FileReader;
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::writer::SerializedFileWriter;
use querygate_types::Result;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Writes all parts into `target`, in their order.
pub(super) fn assemble(parts: &[PathBuf], target: File, schema: &SchemaRef, options: &FileOptions) -> Result<()> {
    let assembled = match options.format {
        Format::Parquet => parquet(parts, target, options),
        Format::Arrow => return arrow(parts, target, schema, options),
        Format::Csv => csv(parts, target),
    };
    assembled.map_err(|error| unwritten(options, &error))
}

/// The row groups of all parts, as they are.
fn parquet(parts: &[PathBuf], target: File, options: &FileOptions) -> std::result::Result<(), Failure> {
    let mut opened = Vec::with_capacity(parts.len());
    for path in parts {
        let file = File::open(path)?;
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
        opened.push((file, metadata));
    }
    let Some((_, first)) = opened.first() else { return Err("a result without parts".into()) };
    let properties = parquet_properties(options.compression).map_err(|error| error.to_string())?;
    // Among them the Arrow schema, which gives readers the exact types.
    let known = first.file_metadata().key_value_metadata().cloned();
    let properties = properties.into_builder().set_key_value_metadata(known).build();
    let root = first.file_metadata().schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(BufWriter::new(target), root, Arc::new(properties))?;
    for (file, metadata) in &opened {
        for group in metadata.row_groups() {
            let mut copy = writer.next_row_group()?;
            for column in group.columns() {
                let chunk = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size())?,
                    rows_written: u64::try_from(group.num_rows())?,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                copy.append_column(file, chunk)?;
            }
            copy.close()?;
        }
    }
    writer.close()?;
    Ok(())
}

fn arrow(parts: &[PathBuf], target: File, schema: &SchemaRef, options: &FileOptions) -> Result<()> {
    let mut writer = Writer::new(target, schema, options, true)?;
    for path in parts {
        let failed = |error: &dyn std::fmt::Display| unwritten(options, error);
        let file = File::open(path).map_err(|error| failed(&error))?;
        let reader = FileReader::try_new(BufReader::new(file), None).map_err(|error| failed(&error))?;
        for batch in reader {
            writer.write(&batch.map_err(|error| failed(&error))?)?;
        }
    }
    writer.finish()
}

/// Only the first part has a head.
fn csv(parts: &[PathBuf], mut target: File) -> std::result::Result<(), Failure> {
    for path in parts {
        std::io::copy(&mut File::open(path)?, &mut target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::format::Compression;
    use super::*;
    use ::arrow::array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
    use ::arrow::compute::concat_batches;
    use ::arrow::datatypes::Int32Type;
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn batch(from: i32, rows: i32) -> RecordBatch {
        let words: DictionaryArray<Int32Type> =
            (from..from + rows).map(|n| ["red", "blue", "green"][n.unsigned_abs() as usize % 3]).collect();
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int32Array::from_iter_values(from..from + rows)) as ArrayRef),
            ("t", Arc::new(StringArray::from_iter_values((from..from + rows).map(|n| format!("a,{n}")))) as ArrayRef),
            ("w", Arc::new(words) as ArrayRef),
        ])
        .unwrap()
    }

    /// Parts of three sizes, one of them empty, and the whole.
    fn assembled(format: Format, compression: Option<Compression>) -> (PathBuf, tempfile::TempDir, SchemaRef) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("whole");
        let options = FileOptions { path: target.clone(), format, compression, null: String::new() };
        let schema = options.schema(&batch(0, 1).schema()).unwrap();
        let mut parts = Vec::new();
        for (number, batches) in
            [vec![batch(0, 10), batch(10, 5)], vec![], vec![batch(15, 100)]].into_iter().enumerate()
        {
            parts.push(folder.path().join(number.to_string()));
            let file = File::create(&parts[number]).unwrap();
            let mut writer = Writer::new(file, &schema, &options, number == 0).unwrap();
            for batch in batches {
                writer.write(&batch).unwrap();
            }
            writer.finish().unwrap();
        }
        assemble(&parts, File::create(&target).unwrap(), &schema, &options).unwrap();
        (target, folder, schema)
    }

    #[test]
    fn parquet_parts_become_one_file_with_the_same_rows_and_types() {
        for compression in [None, Some(Compression::None), Some(Compression::Snappy)] {
            let (path, _folder, schema) = assembled(Format::Parquet, compression);
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
            assert_eq!((reader.schema().fields(), reader.metadata().num_row_groups()), (schema.fields(), 2));
            let read: Vec<RecordBatch> = reader.build().unwrap().map(std::result::Result::unwrap).collect();
            let read = concat_batches(&read[0].schema(), &read).unwrap();
            assert_eq!(read.columns()[..2], batch(0, 115).columns()[..2]);
            assert_eq!(read.column(2).data_type(), schema.field(2).data_type());
        }
    }

    #[test]
    fn arrow_and_csv_parts_become_one_file_with_the_same_rows() {
        for compression in [None, Some(Compression::Zstd)] {
            let (path, _folder, _) = assembled(Format::Arrow, compression);
            let reader = FileReader::try_new(File::open(path).unwrap(), None).unwrap();
            let read: Vec<RecordBatch> = reader.map(std::result::Result::unwrap).collect();
            let read = concat_batches(&read[0].schema(), &read).unwrap();
            assert_eq!(read.columns()[..2], batch(0, 115).columns()[..2]);
        }
        let (path, _folder, _) = assembled(Format::Csv, None);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!((text.lines().count(), text.lines().next()), (116, Some("n,t,w")));
        assert!(text.ends_with("114,\"a,114\",red\n"), "{text}");
    }
}
