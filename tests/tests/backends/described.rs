//! What psql's `\\d` prints of introspected files beside what these say: SQLite's pragmas over a rental shop and a trading company, and the
//! schema of a Parquet file.

use super::every_type::{Source, served};
use crate::described::{Described, Different, ForeignKey, IndexKind, compare};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::sync::Arc;
use tempfile::TempDir;

const SCHEMA: &str = "
    CREATE TABLE language (language_id INTEGER PRIMARY KEY, name CHAR(20) NOT NULL, last_update TIMESTAMP NOT NULL);
    CREATE TABLE film (film_id INTEGER PRIMARY KEY AUTOINCREMENT, title VARCHAR(128) NOT NULL, description TEXT, release_year SMALLINT,
      language_id INTEGER NOT NULL REFERENCES language (language_id) ON UPDATE CASCADE ON DELETE RESTRICT,
      original_language_id INTEGER REFERENCES language ON DELETE SET NULL, rental_rate DECIMAL(4,2) NOT NULL DEFAULT 4.99, length INT,
      rating TEXT CHECK (rating IN ('G', 'PG')), features JSON, doubled DECIMAL(6,2) GENERATED ALWAYS AS (rental_rate * 2) STORED,
      halved REAL GENERATED ALWAYS AS (rental_rate / 2) VIRTUAL);
    CREATE INDEX film_title ON film (title); CREATE INDEX film_half ON film (length) WHERE length > 60; CREATE INDEX film_sum ON film (length + 1);
    CREATE TABLE actor (actor_id INTEGER PRIMARY KEY, first_name VARCHAR(45) NOT NULL, last_name VARCHAR(45) NOT NULL, picture BLOB, UNIQUE (last_name, first_name));
    CREATE UNIQUE INDEX actor_first ON actor (first_name);
    CREATE TABLE film_actor (actor_id INT NOT NULL REFERENCES actor (actor_id) ON DELETE CASCADE, film_id INT NOT NULL REFERENCES film, at DATETIME,
      PRIMARY KEY (actor_id, film_id)) WITHOUT ROWID;
    CREATE TABLE employees (employee_id INTEGER PRIMARY KEY, last_name TEXT NOT NULL, reports_to INTEGER REFERENCES employees ON DELETE SET DEFAULT,
      birth_date DATE, active BOOLEAN NOT NULL, began TIME, salary FLOAT, badge TEXT UNIQUE);
    CREATE TABLE orders (order_id TEXT PRIMARY KEY, employee_id INTEGER REFERENCES employees (employee_id), freight DOUBLE PRECISION, placed TIMESTAMPTZ, untyped);
    CREATE TABLE order_details (order_id TEXT NOT NULL REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE, line INTEGER NOT NULL, unit_price NUMERIC NOT NULL,
      PRIMARY KEY (line, order_id));
    CREATE TABLE part_lots (lot BIGINT PRIMARY KEY, order_id TEXT, line INTEGER,
      CONSTRAINT lots_lines FOREIGN KEY (line, order_id) REFERENCES order_details (line, order_id) ON UPDATE RESTRICT);
    CREATE TABLE loose (a INT, b TEXT) STRICT;
";

const DIFFERENT: &[Different] = &[];

/// The type that the guide gives a declared type.
fn type_of(declared: &str) -> &'static str {
    match declared {
        "INTEGER" | "INT" | "SMALLINT" | "BIGINT" => "bigint",
        "DECIMAL(4,2)" => "numeric(4,2)",
        "DECIMAL(6,2)" => "numeric(6,2)",
        "REAL" | "FLOAT" | "DOUBLE PRECISION" | "NUMERIC" => "double precision",
        "BOOLEAN" => "boolean",
        "DATE" => "date",
        "TIME" => "time without time zone",
        "TIMESTAMP" | "DATETIME" | "TIMESTAMPTZ" => "timestamp with time zone",
        "BLOB" => "bytea",
        "JSON" => "jsonb",
        _ => "text",
    }
}

/// The tables as SQLite's pragmas have them.
fn catalog(source: &mut Source) -> Vec<Described> {
    let mut rows = |sql: &str| -> Vec<Vec<String>> {
        source.rows(sql).into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
    };
    let names = rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name");
    let mut tables: Vec<Described> = Vec::new();
    for name in names.into_iter().flatten() {
        let mut table = Described { name: name.clone(), ..Described::default() };
        let mut key: Vec<(String, String)> = Vec::new();
        for row in rows(&format!("SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo('{name}') ORDER BY cid")) {
            let [column, declared, not_null, place] = <[String; 4]>::try_from(row).unwrap();
            table.columns.push((column.clone(), type_of(&declared).to_owned(), not_null == "1" || place != "0"));
            if place != "0" {
                key.push((place, column));
            }
        }
        key.sort();
        table.primary_key = key.into_iter().map(|(_, column)| column).collect();
        for row in rows(&format!(
            "SELECT name, \"unique\", origin FROM pragma_index_list('{name}') WHERE NOT partial AND origin <> 'pk'"
        )) {
            let [index, unique, origin] = <[String; 3]>::try_from(row).unwrap();
            let columns =
                rows(&format!("SELECT name FROM pragma_index_info('{index}') ORDER BY seqno")).into_iter().flatten();
            let columns: Vec<String> = columns.collect();
            // An expression has no name, and its index is not shown.
            if columns.iter().any(String::is_empty) {
                continue;
            }
            let (index, kind) = match (unique.as_str(), origin.as_str()) {
                // What constraints are called is SQLite's own make.
                ("1", "u") => (format!("{name}_{}_key", columns.join("_")), IndexKind::Constraint),
                ("1", _) => (index, IndexKind::Unique),
                _ => (index, IndexKind::Plain),
            };
            table.indexes.push((index, columns, kind));
        }
        tables.push(table);
    }
    for at in 0..tables.len() {
        let name = tables[at].name.clone();
        let sql =
            "SELECT \"table\", group_concat(\"from\"), coalesce(group_concat(\"to\"), ''), on_update, on_delete FROM";
        for row in
            rows(&format!("{sql} (SELECT * FROM pragma_foreign_key_list('{name}') ORDER BY id, seq) GROUP BY id"))
        {
            let [table, columns, referenced, on_update, on_delete] = <[String; 5]>::try_from(row).unwrap();
            let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
            let target = tables.iter().find(|other| other.name == table).unwrap();
            let referenced = if referenced.is_empty() { target.primary_key.clone() } else { list(&referenced) };
            let columns = list(&columns);
            let key = ForeignKey {
                name: format!("{name}_{}_fkey", columns.join("_")),
                columns,
                table,
                referenced,
                on_update,
                on_delete,
            };
            tables[at].foreign_keys.push(key);
        }
    }
    tables
}

#[test]
fn tables_are_described_as_in_the_pragmas() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("trade.sqlite");
    let mut source = Source::made(&file, SCHEMA);
    let (server, _) = served(folder.path(), "sqlite", &file);
    let tables = catalog(&mut source);
    assert_eq!(tables.len(), 9);
    compare(&server, &tables, DIFFERENT);
}

/// The type that the guide gives a type of Arrow's; `None` for those that are left out.
fn type_of_arrow(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "smallint",
        DataType::UInt16 | DataType::Int32 => "integer",
        DataType::UInt32 | DataType::Int64 => "bigint",
        DataType::UInt64 => "numeric(20,0)",
        DataType::Decimal128(precision, scale) => return Some(format!("numeric({precision},{scale})")),
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Utf8 => "text",
        DataType::Binary => "bytea",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time without time zone",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::List(item) if item.data_type() == &DataType::Utf8 => "text[]",
        DataType::List(_) | DataType::Duration(_) => return None,
        other => panic!("{other}"),
    };
    Some(name.to_owned())
}

#[test]
fn a_table_is_described_as_its_file_is() {
    use DataType as T;
    let (micros, second) = (TimeUnit::Microsecond, TimeUnit::Second);
    let list = |item: T| T::List(Arc::new(Field::new("item", item, true)));
    let types = [
        T::Boolean,
        T::Int8,
        T::UInt8,
        T::Int16,
        T::UInt16,
        T::Int32,
        T::UInt32,
        T::Int64,
        T::UInt64,
        T::Decimal128(12, 2),
        T::Float32,
        T::Float64,
        T::Utf8,
        T::Binary,
        T::Date32,
        T::Time64(micros),
        T::Timestamp(micros, None),
        T::Timestamp(micros, Some("UTC".into())),
        list(T::Utf8),
        list(T::Int32),
        T::Duration(second),
    ];
    let fields = types.into_iter().enumerate().map(|(place, of)| Field::new(format!("c{place}"), of, place % 2 == 0));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let folder = TempDir::new().unwrap();
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let file = lake.join("trips.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), Arc::clone(&schema), None).unwrap();
    writer.write(&RecordBatch::new_empty(schema)).unwrap();
    writer.close().unwrap();
    // As another reader has it.
    let read = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap()).unwrap();
    let column = |field: &Arc<Field>| Some((field.name().clone(), type_of_arrow(field.data_type())?, false));
    let columns: Vec<_> = read.schema().fields().iter().filter_map(column).collect();
    assert_eq!(columns.len(), 19);
    let (server, _) = served(folder.path(), "files", &lake);
    compare(&server, &[Described { name: "trips".to_owned(), columns, ..Described::default() }], &[]);
}
