//! Reads the schemas of the Parquet, CSV and NDJSON files of a folder.

use super::{Found, FoundColumn, Kind};
use arrow::csv::reader::Format as CsvFormat;
use arrow::datatypes::{DataType, Schema};
use arrow::json::reader::infer_json_schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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
        tables.push(Found { remote: name, columns: columns(&schema), ..Found::default() });
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

fn columns(schema: &Schema) -> Vec<FoundColumn> {
    let column = |field: &arrow::datatypes::FieldRef| FoundColumn {
        remote: field.name().clone(),
        kind: kind(field.data_type()),
        required: false,
        key: field.name() == "id",
        ..FoundColumn::default()
    };
    schema.fields().iter().map(column).collect()
}

fn kind(data_type: &DataType) -> Option<Kind> {
    let digits = |precision| Some(Kind::Decimal { precision, scale: 0 });
    match data_type {
        DataType::Boolean => Some(Kind::Boolean),
        DataType::Int8 | DataType::UInt8 => digits(3),
        DataType::Int16 | DataType::UInt16 => digits(5),
        DataType::Int32 | DataType::UInt32 => digits(10),
        DataType::Int64 => digits(19),
        DataType::UInt64 => digits(20),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(Kind::Number),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => match u32::try_from(*scale) {
            Ok(scale) if *precision <= 38 => Some(Kind::Decimal { precision: u32::from(*precision), scale }),
            Ok(_) | Err(_) => Some(Kind::Number),
        },
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Kind::Text),
        DataType::Date32 | DataType::Date64 => Some(Kind::Date),
        DataType::Timestamp(..) => Some(Kind::Datetime),
        DataType::Time32(_) | DataType::Time64(_) => Some(Kind::Time),
        DataType::Dictionary(_, values) => kind(values),
        DataType::RunEndEncoded(_, values) => kind(values.data_type()),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            Some(if kind(item.data_type()) == Some(Kind::Text) { Kind::Tags } else { Kind::Json })
        }
        DataType::FixedSizeList(..) | DataType::Struct(_) | DataType::Map(..) => Some(Kind::Json),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Interval(_)
        | DataType::Duration(_)
        | DataType::Union(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let tables = read(folder.path()).unwrap();
        assert_eq!(tables.iter().map(|t| t.remote.as_str()).collect::<Vec<_>>(), ["log.ndjson", "parts", "people.csv"]);
        let kinds = |table: &Found| table.columns.iter().map(|c| (c.remote.clone(), c.kind)).collect::<Vec<_>>();
        let integer = Some(Kind::Decimal { precision: 19, scale: 0 });
        assert_eq!(
            kinds(&tables[2]),
            [
                ("id".to_owned(), integer),
                ("name".to_owned(), Some(Kind::Text)),
                ("born".to_owned(), Some(Kind::Date)),
                ("score".to_owned(), Some(Kind::Number)),
            ]
        );
        assert!(kinds(&tables[0]).contains(&("tags".to_owned(), Some(Kind::Tags))));
        assert!(kinds(&tables[0]).contains(&("deep".to_owned(), Some(Kind::Json))));
    }
}
