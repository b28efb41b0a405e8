//! Reads the schemas of the Parquet, CSV and NDJSON files of a folder.

use super::{Found, FoundColumn, Holds};
use arrow::csv::reader::Format as CsvFormat;
use arrow::datatypes::{DataType, Schema};
use arrow::json::reader::infer_json_schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use querygate_metadata::model::ValueType;
use querygate_types::{Error, ErrorCode, Result};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Rows that a text file's types are guessed from.
const SAMPLE_ROWS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Parquet,
    Csv(u8),
    Ndjson,
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "parquet" | "parq" | "pq" => Some(Format::Parquet),
        "csv" => Some(Format::Csv(b',')),
        "tsv" => Some(Format::Csv(b'\t')),
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        _ => None,
    }
}

/// Each file is a table; so is each folder that holds files of one format (their first one speaks for all).
pub(super) fn read(folder: &Path) -> Result<Vec<Found>> {
    let mut tables = Vec::new();
    for path in entries(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(['.', '_']) {
            continue;
        }
        let file = if path.is_dir() { first_file(&path, 0)? } else { Some(path.clone()) };
        let Some((file, format)) = file.and_then(|file| format_of(&file).map(|format| (file, format))) else {
            continue;
        };
        let schema = schema(&file, format)?;
        tables.push(Found { remote: name, columns: columns(&schema, format), ..Found::default() });
    }
    Ok(tables)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| crate::cli::file_error("read", folder, &e);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

const FOLDERS_DEEP_MAX: usize = 8;

fn first_file(folder: &Path, depth: usize) -> Result<Option<PathBuf>> {
    if depth > FOLDERS_DEEP_MAX {
        return Ok(None);
    }
    for path in entries(folder)? {
        if path.is_dir() {
            if let Some(found) = first_file(&path, depth + 1)? {
                return Ok(Some(found));
            }
        } else if format_of(&path).is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn schema(path: &Path, format: Format) -> Result<Schema> {
    let failed = |e: String| {
        Error::new(ErrorCode::SourceError, format!("cannot read the columns of {}", path.display())).with_detail(e)
    };
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    match format {
        Format::Parquet => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed(e.to_string()))?;
            Ok(reader.schema().as_ref().clone())
        }
        Format::Csv(delimiter) => {
            let format = CsvFormat::default().with_header(true).with_delimiter(delimiter);
            let inferred = format.infer_schema(BufReader::new(file), Some(SAMPLE_ROWS));
            inferred.map(|(schema, _)| schema).map_err(|e| failed(e.to_string()))
        }
        Format::Ndjson => {
            let inferred = infer_json_schema(BufReader::new(file), Some(SAMPLE_ROWS));
            inferred.map(|(schema, _)| schema).map_err(|e| failed(e.to_string()))
        }
    }
}

fn columns(schema: &Schema, format: Format) -> Vec<FoundColumn> {
    // What is nested is a text only where the file is one.
    let is_read = |holds: &Holds| format == Format::Ndjson || holds.value_type != ValueType::Json;
    let column = |field: &arrow::datatypes::FieldRef| FoundColumn {
        remote: field.name().clone(),
        holds: holds(field.data_type()).filter(is_read),
        required: false,
        ..FoundColumn::default()
    };
    schema.fields().iter().map(column).collect()
}

fn holds(data_type: &DataType) -> Option<Holds> {
    let decimal = |precision: u8, scale: i8| match scale {
        0.. if precision <= 38 => ValueType::Decimal { precision, scale },
        0.. => ValueType::Numeric { bounds: Some((u16::from(precision), i16::from(scale))) },
        _ => ValueType::Float64,
    };
    Some(Holds::of(match data_type {
        DataType::Boolean => ValueType::Boolean,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => ValueType::Int16,
        DataType::UInt16 | DataType::Int32 => ValueType::Int32,
        DataType::UInt32 | DataType::Int64 => ValueType::Int64,
        DataType::UInt64 => ValueType::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => ValueType::Float32,
        DataType::Float64 => ValueType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => decimal(*precision, *scale),
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ValueType::Text,
        DataType::Date32 | DataType::Date64 => ValueType::Date,
        DataType::Timestamp(_, zone) => ValueType::Timestamp { utc: zone.is_some() },
        DataType::Time32(_) | DataType::Time64(_) => ValueType::Time,
        DataType::Dictionary(_, values) => return holds(values),
        DataType::RunEndEncoded(_, values) => return holds(values.data_type()),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            let texts = holds(item.data_type()).is_some_and(|item| item.value_type == ValueType::Text);
            if texts { ValueType::TextList } else { ValueType::Json }
        }
        DataType::FixedSizeList(..) | DataType::Struct(_) | DataType::Map(..) => ValueType::Json,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ValueType::Binary
        }
        DataType::Interval(_) | DataType::Duration(_) | DataType::Union(..) => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, ListArray, RecordBatch, StringArray};
    use arrow::datatypes::Int32Type;
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    #[test]
    fn files_and_folders_become_tables() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("people.csv", "id,name,born,score\n1,Ada,1815-12-10,1.5\n");
        write("log.ndjson", "{\"at\":\"2026-01-01\",\"tags\":[\"a\"],\"n\":1,\"deep\":{\"x\":1}}\n");
        write("parts/day=1/a.csv", "a\n1\n");
        write("readme.md", "no table");
        let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let batch = RecordBatch::try_from_iter([("text", texts), ("numbers", Arc::new(numbers) as ArrayRef)]).unwrap();
        let file = File::create(folder.path().join("nested.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let tables = read(folder.path()).unwrap();
        let names: Vec<&str> = tables.iter().map(|table| table.remote.as_str()).collect();
        assert_eq!(names, ["log.ndjson", "nested.parquet", "parts", "people.csv"]);
        let kinds = |table: &Found| table.columns.iter().map(|c| (c.remote.clone(), c.holds)).collect::<Vec<_>>();
        let of = |value_type| Some(Holds::of(value_type));
        assert_eq!(
            kinds(&tables[3]),
            [
                ("id".to_owned(), of(ValueType::Int64)),
                ("name".to_owned(), of(ValueType::Text)),
                ("born".to_owned(), of(ValueType::Date)),
                ("score".to_owned(), of(ValueType::Float64)),
            ]
        );
        assert_eq!(kinds(&tables[1]), [("text".to_owned(), of(ValueType::Text)), ("numbers".to_owned(), None)]);
        assert!(kinds(&tables[0]).contains(&("tags".to_owned(), of(ValueType::TextList))));
        assert!(kinds(&tables[0]).contains(&("deep".to_owned(), of(ValueType::Json))));
    }
}
