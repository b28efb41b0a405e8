//! Describes the files of a folder, or one file, as the files' own driver sees them.

use super::{Found, FoundColumn, Holds};
use arrow::datatypes::{DataType, FieldRef, Schema};
use querygate_files::{
    CsvOptions, FileFormat, FilesConfig, FilesSource, ForeignColumn, ForeignForm, FoundTable, Inferred, OmittedPath,
};
use querygate_metadata::model::ValueType;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Whether a file is one of those that are tables.
pub(super) fn is_table(file: &Path) -> bool {
    file.file_name().is_some_and(|name| FileFormat::promised(&name.to_string_lossy()).is_some())
}

/// The folder in which a source's files are, and the only one of them that is meant.
pub(super) fn folder(source: &Path) -> (PathBuf, Option<String>) {
    if !is_table(source) || source.is_dir() {
        return (source.to_path_buf(), None);
    }
    let name = source.file_name().map(|name| name.to_string_lossy().into_owned());
    let folder = source.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (folder.to_path_buf(), name)
}

/// Tables, and what is none.
pub(super) async fn read(source: &Path) -> Result<(Vec<Found>, Vec<OmittedPath>)> {
    let (folder, only) = folder(source);
    let files = FilesSource::new(FilesConfig::local("files", &folder))?;
    let explored = match &only {
        None => files.explore().await?,
        Some(name) => files.explore_one(name).await?,
    };
    if explored.tables.is_empty() && only.is_some() {
        let reason = explored.left_out.first().map_or("it is no table", |left| left.reason.as_str());
        return Err(Error::new(ErrorCode::SourceError, format!("cannot read {}", source.display())).with_detail(reason));
    }
    let tables = explored.tables.iter().map(|(table, inferred)| found(table, inferred)).collect();
    Ok((tables, explored.left_out))
}

fn found(table: &FoundTable, inferred: &Inferred) -> Found {
    let sampled = inferred.sampled.map(|rows| format!("types from the first {rows} rows: {}", table.pattern));
    let encoding = match &table.format {
        FileFormat::Csv(options) if options.encoding == CsvOptions::GUESSED => {
            Some(format!("read as {}, for it is not UTF-8: {}", options.encoding.name(), table.pattern))
        }
        FileFormat::Csv(_) | FileFormat::Parquet | FileFormat::Ndjson | FileFormat::Json => None,
    };
    Found {
        remote: table.pattern.clone(),
        columns: columns(&inferred.schema, &table.format),
        file: written(table),
        lists_ignored: true,
        guesses: sampled
            .into_iter()
            .chain(encoding)
            .chain(inferred.foreign.iter().map(|one| foreign_note(table, one)))
            .collect(),
        ..Found::default()
    }
}

/// Why a column is of texts though all of its values are numbers or days, and what to do. There is no setting that reads them otherwise.
fn foreign_note(table: &FoundTable, foreign: &ForeignColumn) -> String {
    let ForeignColumn { column, form, file, row } = foreign;
    let (what, plain, view) = match form {
        ForeignForm::DecimalComma => {
            ("a number with a decimal comma", "1234.56", "replace(replace(c, '.', ''), ',', '.')::numeric")
        }
        ForeignForm::Thousands => {
            ("a number with signs between its thousands", "1234.56", "replace(c, ',', '')::numeric")
        }
        ForeignForm::EitherComma => (
            "a comma that parts thousands or stands before places",
            "1000 or 1.000",
            "replace(c, ',', '')::numeric, or replace(c, ',', '.')::numeric",
        ),
        ForeignForm::Day => ("a day in another form", "2024-12-31", "to_date(c, 'DD.MM.YYYY')"),
    };
    format!(
        "as text: {}.{column} (row {row} of {file} has {what}; write it as {plain}, or serve a view with such as {view})",
        table.pattern
    )
}

/// How its files are written, where their name does not say it.
fn written(table: &FoundTable) -> Option<Value> {
    let promised = FileFormat::promised(&table.pattern);
    if promised.as_ref() == Some(&table.format) {
        return None;
    }
    let (kind, own) = match &table.format {
        FileFormat::Parquet => ("parquet", None),
        FileFormat::Csv(options) => ("csv", Some(options)),
        FileFormat::Ndjson => ("ndjson", None),
        FileFormat::Json => ("json", None),
    };
    let usual = match promised {
        Some(FileFormat::Csv(options)) => options,
        _ => CsvOptions::default(),
    };
    let mut told = Map::from_iter([("format".to_owned(), json!(kind))]);
    if let Some(own) = own {
        let mut tell = |name: &str, differs: bool, value: Value| {
            if differs {
                told.insert(name.to_owned(), value);
            }
        };
        tell("delimiter", own.delimiter != usual.delimiter, json!(char::from(own.delimiter)));
        tell("quote", own.quote != usual.quote, json!(char::from(own.quote)));
        tell("header", own.header != usual.header, json!(own.header));
        tell("null", own.null != usual.null, json!(own.null));
        tell("encoding", own.encoding != usual.encoding, json!(own.encoding.name().to_lowercase()));
    }
    Some(Value::Object(told))
}

fn columns(schema: &Schema, format: &FileFormat) -> Vec<FoundColumn> {
    // What is nested is a text only where the file is one.
    let is_json = |field: &FieldRef| field.metadata().contains_key("ARROW:extension:name");
    let is_text = *format != FileFormat::Parquet;
    let held = |field: &FieldRef| {
        if is_json(field) {
            return Some(Holds::of(ValueType::Json));
        }
        holds(field.data_type()).filter(|holds| is_text || holds.value_type != ValueType::Json)
    };
    let column = |field: &FieldRef| FoundColumn {
        remote: field.name().clone(),
        holds: held(field),
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
    use std::fs::File;
    use std::sync::Arc;

    fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn files_and_folders_become_tables() {
        let folder = folder_of(&[
            ("people.csv", "id,name,born,score\n1,Ada,1815-12-10,1.5\n"),
            ("log.ndjson", "{\"at\":\"2026-01-01\",\"tags\":[\"a\"],\"n\":1,\"deep\":{\"x\":1}}\n"),
            ("parts/day=1/a.csv", "a\n1\n"),
            ("readme.md", "no table"),
        ]);
        let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let batch = RecordBatch::try_from_iter([("text", texts), ("numbers", Arc::new(numbers) as ArrayRef)]).unwrap();
        let file = File::create(folder.path().join("nested.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let (tables, left_out) = read(folder.path()).await.unwrap();
        let names: Vec<&str> = tables.iter().map(|table| table.remote.as_str()).collect();
        assert_eq!(names, ["log.ndjson", "nested.parquet", "parts", "people.csv"]);
        assert_eq!(left_out.iter().map(|left| left.path.as_str()).collect::<Vec<_>>(), ["readme.md"]);
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
        assert_eq!(kinds(&tables[2])[1], ("day".to_owned(), of(ValueType::Int64)));
        assert!(kinds(&tables[0]).contains(&("tags".to_owned(), of(ValueType::TextList))));
        assert!(kinds(&tables[0]).contains(&("deep".to_owned(), of(ValueType::Json))));
    }

    #[tokio::test]
    async fn how_files_are_written_is_told_where_their_names_do_not() {
        let folder = folder_of(&[
            ("semi.csv", "id;n\n1;2,5\n"),
            ("tabs.tsv", "id\tn\n1\t2\n"),
            ("bare.csv", "1,a\n2,b\n"),
            ("list.json", "[{\"a\": 1}]"),
            ("parts/a.csv", "a\n1\n"),
        ]);
        let (tables, left_out) = read(folder.path()).await.unwrap();
        assert_eq!(left_out, []);
        let told: Vec<_> = tables.iter().map(|table| (table.remote.as_str(), table.file.clone())).collect();
        let expected = [
            ("bare.csv", Some(json!({"format": "csv", "header": false}))),
            ("list.json", Some(json!({"format": "json"}))),
            ("parts", Some(json!({"format": "csv"}))),
            ("semi.csv", Some(json!({"format": "csv", "delimiter": ";"}))),
            ("tabs.tsv", None),
        ];
        assert_eq!(told, expected);
        let one = read(&folder.path().join("tabs.tsv")).await.unwrap().0;
        assert_eq!(one.len(), 1);
        assert!(read(&folder.path().join("gone.csv")).await.is_err());
    }

    #[tokio::test]
    async fn numbers_and_days_of_other_countries_are_told_with_a_row_and_what_to_do() {
        let folder = folder_of(&[
            ("sales.csv", "id;amount;sold;note\n1;12;2024-12-30;n\n2;1.234,56;31.12.2024;m\n"),
            ("plain.csv", "id,amount,sold\n1,1234.56,2024-12-31\n"),
            ("more/a.csv", "n\n1\n"),
            ("more/b.csv", "n\n2\n\"1,234.5\"\n"),
        ]);
        let (tables, _) = read(folder.path()).await.unwrap();
        let told: Vec<(&str, Vec<String>)> =
            tables.iter().map(|table| (table.remote.as_str(), table.notes())).collect();
        let expected = [
            (
                "more",
                vec![
                    "as text: more.n (row 2 of more/b.csv has a number with signs between its thousands; write it as 1234.56, \
                or serve a view with such as replace(c, ',', '')::numeric)",
                ],
            ),
            ("plain.csv", vec![]),
            (
                "sales.csv",
                vec![
                    "as text: sales.csv.amount (row 2 of sales.csv has a number with a decimal comma; write it as 1234.56, \
                or serve a view with such as replace(replace(c, '.', ''), ',', '.')::numeric)",
                    "as text: sales.csv.sold (row 2 of sales.csv has a day in another form; write it as 2024-12-31, \
                or serve a view with such as to_date(c, 'DD.MM.YYYY'))",
                ],
            ),
        ];
        assert_eq!(told.len(), expected.len());
        for ((table, notes), (name, lines)) in told.iter().zip(&expected) {
            assert_eq!((*table, notes.iter().map(String::as_str).collect::<Vec<_>>()), (*name, lines.clone()));
        }
    }
}
