//! Batches into a file of one format, types as they came. Knows no network.

use super::format::{Compression, FileOptions, Format};
use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use querygate_types::{Error, ErrorCode, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// Encoded bytes of a row group that are held before they are written.
const ROW_GROUP_BYTES: usize = 256 << 20;
/// Bytes gathered before a write to the file.
const BUFFER_BYTES: usize = 1 << 20;

/// An open file of a format.
pub(super) type Writer = FormatWriter<BufWriter<File>>;

/// Writes one format.
pub(super) struct FormatWriter<W: Write + Send> {
    inner: Inner<W>,
    schema: SchemaRef,
    options: FileOptions,
}

enum Inner<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Arrow(Box<FileWriter<W>>),
    Csv(Box<csv::Writer<W>>),
}

impl Writer {
    /// `head`: whether a file whose format has a head begins with it.
    pub(super) fn new(file: File, schema: &SchemaRef, options: &FileOptions, head: bool) -> Result<Self> {
        Self::over(BufWriter::with_capacity(BUFFER_BYTES, file), schema, options, head)
    }
}

impl<W: Write + Send> FormatWriter<W> {
    fn over(file: W, schema: &SchemaRef, options: &FileOptions, head: bool) -> Result<Self> {
        let inner = match options.format {
            Format::Parquet => Inner::Parquet(Box::new(
                ArrowWriter::try_new(file, Arc::clone(schema), Some(parquet_properties(options.compression)?))
                    .map_err(|error| options.unfit(&error.to_string()))?,
            )),
            Format::Arrow => {
                let ipc = IpcWriteOptions::default()
                    .try_with_compression(arrow_compression(options)?)
                    .map_err(Error::internal)?;
                let writer = FileWriter::try_new_with_options(file, schema, ipc);
                Inner::Arrow(Box::new(writer.map_err(|error| options.unfit(&error.to_string()))?))
            }
            Format::Csv => {
                if !matches!(options.compression, None | Some(Compression::None)) {
                    return Err(Error::new(ErrorCode::InvalidParameterValue, "CSV is not compressed")
                        .with_hint("Leave --file-compression out, or write Parquet."));
                }
                let null = options.null.clone();
                Inner::Csv(Box::new(csv::WriterBuilder::new().with_header(head).with_null(null).build(file)))
            }
        };
        let mut writer = Self { inner, schema: Arc::clone(schema), options: options.clone() };
        // The header of a CSV file comes with the first rows, and there may be none.
        if let Inner::Csv(csv) = &mut writer.inner {
            csv.write(&RecordBatch::new_empty(Arc::clone(schema))).map_err(|error| unwritten(options, &error))?;
        }
        Ok(writer)
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| unwritten(&self.options, error);
        match &mut self.inner {
            Inner::Parquet(parquet) => {
                parquet.write(batch).map_err(|error| failed(&error))?;
                if parquet.in_progress_size() > ROW_GROUP_BYTES {
                    parquet.flush().map_err(|error| failed(&error))?;
                }
                Ok(())
            }
            Inner::Arrow(arrow) => {
                let batch = in_schema(batch, &self.schema).map_err(|error| failed(&error))?;
                arrow.write(&batch).map_err(|error| failed(&error))
            }
            Inner::Csv(csv) => csv.write(batch).map_err(|error| failed(&error)),
        }
    }

    /// Writes what is left and the file's end.
    pub(super) fn finish(self) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| unwritten(&self.options, error);
        let mut file = match self.inner {
            Inner::Parquet(parquet) => parquet.into_inner().map_err(|error| failed(&error))?,
            Inner::Arrow(mut arrow) => {
                arrow.finish().map_err(|error| failed(&error))?;
                arrow.into_inner().map_err(|error| failed(&error))?
            }
            Inner::Csv(csv) => (*csv).into_inner(),
        };
        file.flush().map_err(|error| failed(&error))
    }
}

pub(super) fn unwritten(options: &FileOptions, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::DiskFull, format!("cannot write {}", options.path.display())).with_detail(error.to_string())
}

/// Writes a row of NULLs to nowhere: what the format cannot hold is said before a row was fetched, with its columns.
pub(super) fn try_out(schema: &SchemaRef, options: &FileOptions) -> Result<()> {
    if schema.fields().is_empty() {
        return Err(options.unfit("it has no columns"));
    }
    let Err(error) = try_row(schema, schema.fields(), options) else { return Ok(()) };
    // What is wrong with the options is wrong with each column.
    if error.code() != ErrorCode::FeatureNotSupported {
        return Err(error);
    }
    let fits = |field: &Arc<Field>| try_row(schema, std::slice::from_ref(field), options).is_ok();
    let unfit = schema.fields().iter().filter(|field| !fits(field));
    let unfit: Vec<String> = unfit.map(|field| format!("\"{}\" ({})", field.name(), kind(field.data_type()))).collect();
    Err(if unfit.is_empty() { error } else { options.unfit(&format!("it has no type for {}", unfit.join(", "))) })
}

fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::Interval(_) => "interval".to_owned(),
        other => other.to_string(),
    }
}

fn try_row(schema: &SchemaRef, fields: &[Arc<Field>], options: &FileOptions) -> Result<()> {
    let fields: Vec<Field> = fields.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let columns: Vec<ArrayRef> = fields.iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let row = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(Error::internal)?;
    let mut writer = FormatWriter::over(std::io::sink(), &schema, options, true)?;
    let written = writer.write(&row).and_then(|()| writer.finish());
    written.map_err(|error| options.unfit(error.detail().unwrap_or(error.message())))
}

fn in_schema(batch: &RecordBatch, schema: &SchemaRef) -> arrow::error::Result<RecordBatch> {
    let pairs = batch.columns().iter().zip(schema.fields());
    let columns = pairs.map(|(column, field)| {
        if column.data_type() == field.data_type() { Ok(Arc::clone(column)) } else { cast(column, field.data_type()) }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<arrow::error::Result<_>>()?)
}

pub(super) fn parquet_properties(compression: Option<Compression>) -> Result<WriterProperties> {
    let compression = match compression {
        Some(Compression::None) => ParquetCompression::UNCOMPRESSED,
        Some(Compression::Snappy) => ParquetCompression::SNAPPY,
        Some(Compression::Lz4) => ParquetCompression::LZ4_RAW,
        None | Some(Compression::Zstd) => ParquetCompression::ZSTD(ZstdLevel::try_new(1).map_err(Error::internal)?),
    };
    Ok(WriterProperties::builder().set_compression(compression).build())
}

fn arrow_compression(options: &FileOptions) -> Result<Option<CompressionType>> {
    match options.compression {
        None | Some(Compression::None) => Ok(None),
        Some(Compression::Lz4) => Ok(Some(CompressionType::LZ4_FRAME)),
        Some(Compression::Zstd) => Ok(Some(CompressionType::ZSTD)),
        Some(Compression::Snappy) => {
            Err(Error::new(ErrorCode::InvalidParameterValue, "Arrow files are not compressed with Snappy")
                .with_hint("Give --file-compression lz4, zstd or none."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int32Array, ListArray, StringArray};
    use arrow::datatypes::{Int32Type, IntervalUnit};
    use std::path::PathBuf;

    fn options(format: Format) -> FileOptions {
        FileOptions { path: PathBuf::from("out"), format, compression: None, null: "-".to_owned() }
    }

    fn batch() -> RecordBatch {
        let words: DictionaryArray<Int32Type> = [Some("red"), None, Some("blue")].into_iter().collect();
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef, true),
            ("t", Arc::new(StringArray::from(vec![Some("a,b"), Some(""), None])) as ArrayRef, true),
            ("w", Arc::new(words) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn written(batch: &RecordBatch, options: &FileOptions) -> Vec<u8> {
        let schema = options.schema(&batch.schema()).unwrap();
        try_out(&schema, options).unwrap();
        let mut bytes = Vec::new();
        let mut writer = FormatWriter::over(&mut bytes, &schema, options, true).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn csv_is_text_with_a_header() {
        let text = String::from_utf8(written(&batch(), &options(Format::Csv))).unwrap();
        assert_eq!(text, "n,t,w\n1,\"a,b\",red\n-,,-\n3,-,blue\n");
        let mut empty = Vec::new();
        let writer = FormatWriter::over(&mut empty, &batch().schema(), &options(Format::Csv), true).unwrap();
        writer.finish().unwrap();
        assert_eq!(String::from_utf8(empty).unwrap(), "n,t,w\n");
    }

    #[test]
    fn arrow_files_hold_the_values_of_dictionaries() {
        for compression in [None, Some(Compression::Lz4), Some(Compression::Zstd)] {
            let options = FileOptions { compression, ..options(Format::Arrow) };
            let bytes = written(&batch(), &options);
            let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
            let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
            assert_eq!(read[0].column(2).data_type(), &DataType::Utf8);
            assert_eq!(read[0].columns()[..2], batch().columns()[..2]);
        }
    }

    #[test]
    fn what_a_format_cannot_hold_is_told_before_any_row() {
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)])]));
        let nested = RecordBatch::try_from_iter([("l", lists)]).unwrap().schema();
        assert!(options(Format::Csv).schema(&nested).is_err());
        assert!(try_out(&nested, &options(Format::Parquet)).is_ok());
        let months = Field::new("i", DataType::Interval(IntervalUnit::MonthDayNano), true);
        let other = Field::new("n", DataType::Int32, true);
        let schema = Arc::new(Schema::new(vec![other, months]));
        let error = try_out(&schema, &options(Format::Parquet)).unwrap_err();
        assert_eq!(error.detail(), Some("it has no type for \"i\" (interval)"));
        assert!(try_out(&schema, &options(Format::Arrow)).is_ok());
        assert!(try_out(&Arc::new(Schema::empty()), &options(Format::Csv)).is_err());
        let snappy = FileOptions { compression: Some(Compression::Snappy), ..options(Format::Arrow) };
        assert!(try_out(&schema, &snappy).is_err());
    }
}
