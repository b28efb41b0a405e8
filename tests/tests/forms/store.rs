//! Writes tables of texts into each kind of source. Knows no gate.

use crate::oracle::Oracle;
use crate::tables::{Kind, Table};
use ::mongodb::Database;
use ::mongodb::bson::{Bson, DateTime, Document};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;
use querygate_tests::server::runtime;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::fmt::Write as _;
use std::path::Path;

/// Whose SQL a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Standard,
    /// Booleans are numbers.
    Numbers,
}

/// INSERT statements of all rows. Values are quoted, and the columns' types read them.
pub(crate) fn inserts(name: &str, table: &Table, dialect: Dialect) -> String {
    let cell = |((_, kind), cell): (&(String, Kind), &Option<String>)| match cell.as_deref() {
        None => "NULL".to_owned(),
        Some("t") if *kind == Kind::Boolean && dialect == Dialect::Numbers => "1".to_owned(),
        Some("f") if *kind == Kind::Boolean && dialect == Dialect::Numbers => "0".to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', "''")),
    };
    let mut script = String::new();
    for rows in table.rows.chunks(200) {
        let row = |row: &Vec<Option<String>>| {
            format!("({})", table.columns.iter().zip(row).map(cell).collect::<Vec<_>>().join(", "))
        };
        write!(script, "INSERT INTO {name} VALUES {};", rows.iter().map(row).collect::<Vec<_>>().join(", ")).unwrap();
    }
    script
}

fn script(tables: &[Table], dialect: Dialect, declared: impl Fn(Kind) -> String, options: &str) -> String {
    let mut script = String::new();
    for table in tables {
        let columns: Vec<String> =
            table.columns.iter().map(|(name, kind)| format!("{name} {}", declared(*kind))).collect();
        write!(script, "CREATE TABLE {} ({}){options};", table.name, columns.join(", ")).unwrap();
        script.push_str(&inserts(&table.name, table, dialect));
    }
    script
}

/// A database of the server that is asked.
pub(crate) fn postgres(oracle: &Oracle, tables: &[Table]) {
    let script = script(tables, Dialect::Standard, Kind::postgres, "");
    runtime().block_on(async { oracle.database("base").await.batch_execute(&script).await.unwrap() });
}

pub(crate) async fn sqlite(path: &Path, tables: &[Table]) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let script = script(tables, Dialect::Numbers, Kind::postgres, "");
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
}

pub(crate) fn mariadb(tables: &[Table]) -> String {
    let declared = |kind: Kind| match kind {
        Kind::Text => "VARCHAR(400)".to_owned(),
        Kind::Boolean => "TINYINT(1)".to_owned(),
        Kind::Numeric(precision, scale) => format!("DECIMAL({precision},{scale})"),
        Kind::Float => "DOUBLE".to_owned(),
        Kind::Int | Kind::Big | Kind::Date => kind.postgres(),
    };
    let begin =
        "SET NAMES utf8mb4; SET sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'; CREATE DATABASE base; USE base;";
    begin.to_owned() + &script(tables, Dialect::Numbers, declared, " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
}

pub(crate) async fn mongodb(database: &Database, tables: &[Table]) {
    for table in tables {
        let documents = table.rows.iter().map(|row| {
            let cells = table.columns.iter().zip(row);
            cells.map(|((name, kind), cell)| (name.clone(), bson(*kind, cell.as_deref()))).collect::<Document>()
        });
        database.collection::<Document>(&table.name).insert_many(documents).await.unwrap();
    }
}

fn bson(kind: Kind, cell: Option<&str>) -> Bson {
    let Some(text) = cell else { return Bson::Null };
    match kind {
        Kind::Int => Bson::Int32(text.parse().unwrap()),
        Kind::Big => Bson::Int64(text.parse().unwrap()),
        Kind::Numeric(..) => Bson::Decimal128(text.parse().unwrap()),
        Kind::Float => Bson::Double(text.parse().unwrap()),
        Kind::Text => Bson::String(text.to_owned()),
        Kind::Boolean => Bson::Boolean(text == "t"),
        Kind::Date => Bson::DateTime(DateTime::parse_rfc3339_str(format!("{text}T00:00:00Z")).unwrap()),
    }
}

type WriteFile = fn(&Path, &Table);

/// Folders of files, and how a table is written there.
pub(crate) const FILES: [(&str, WriteFile); 3] = [("parquet", parquet_file), ("csv", csv_file), ("ndjson", ndjson)];

fn parquet_file(folder: &Path, table: &Table) {
    let column = |(at, (name, kind)): (usize, &(String, Kind))| {
        let read = |cell: &Option<String>| match (kind, cell.as_deref()) {
            (Kind::Boolean, Some(text)) => Some(if text == "t" { "true" } else { "false" }.to_owned()),
            (_, text) => text.map(str::to_owned),
        };
        let texts: ArrayRef = std::sync::Arc::new(table.rows.iter().map(|row| read(&row[at])).collect::<StringArray>());
        let to = match kind {
            Kind::Int => DataType::Int32,
            Kind::Big => DataType::Int64,
            Kind::Numeric(precision, scale) => DataType::Decimal128(*precision, i8::try_from(*scale).unwrap()),
            Kind::Float => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Boolean => DataType::Boolean,
            Kind::Date => DataType::Date32,
        };
        (name.clone(), cast(&texts, &to).unwrap(), true)
    };
    let batch = RecordBatch::try_from_iter_with_nullable(table.columns.iter().enumerate().map(column)).unwrap();
    let file = std::fs::File::create(folder.join(format!("{}.parquet", table.name))).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// NULL is nothing, an empty text is two quotes. A last column has something in every row: a row of NULLs would be no line.
fn csv_file(folder: &Path, table: &Table) {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = names.join(",") + ",last\n";
    for row in &table.rows {
        let cell = |((_, kind), cell): (&(String, Kind), &Option<String>)| match (kind, cell.as_deref()) {
            (_, None) => String::new(),
            (Kind::Text, Some(text)) => format!("\"{}\"", text.replace('"', "\"\"")),
            (Kind::Boolean, Some(text)) => if text == "t" { "true" } else { "false" }.to_owned(),
            (_, Some(text)) => text.to_owned(),
        };
        text.push_str(&table.columns.iter().zip(row).map(cell).collect::<Vec<_>>().join(","));
        text.push_str(",x\n");
    }
    std::fs::write(folder.join(format!("{}.csv", table.name)), text).unwrap();
}

fn ndjson(folder: &Path, table: &Table) {
    ndjson_file(&folder.join(format!("{}.ndjson", table.name)), table, false);
}

/// Numbers with the digits that they have; objects in memory have keys.
pub(crate) fn ndjson_file(path: &Path, table: &Table, keys: bool) {
    let mut text = String::new();
    for (number, row) in table.rows.iter().enumerate() {
        let key = if keys { format!("\"id\": \"{number}\", ") } else { String::new() };
        let cell = |((name, kind), cell): (&(String, Kind), &Option<String>)| {
            let value = match (kind, cell.as_deref()) {
                (_, None) => "null".to_owned(),
                (Kind::Int | Kind::Big | Kind::Numeric(..) | Kind::Float, Some(text)) => text.replace("e+", "e"),
                (Kind::Boolean, Some(text)) => (text == "t").to_string(),
                (Kind::Text | Kind::Date, Some(text)) => serde_json::Value::from(text).to_string(),
            };
            format!("\"{name}\": {value}")
        };
        writeln!(text, "{{{key}{}}}", table.columns.iter().zip(row).map(cell).collect::<Vec<_>>().join(", ")).unwrap();
    }
    std::fs::write(path, text).unwrap();
}
