//! Rows in a real MariaDB server: a schema for each gate, in one server for each test binary.

#[path = "../../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod server;

use super::layout::{Layout, forgotten, is_indexed, open_table, rows, value_type};
use super::table::Table;
use querygate_catalog::deployment::SourceTable;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::watch::Watch;
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use server::{PASSWORD, Server, USER};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A statement of so many rows is shorter than what the server takes at once.
const ROWS_PER_INSERT: usize = 1_000;
/// Both ways in which a text column compares: in the server's own way, which is not ours, and by code point.
const COLLATIONS: [&str; 2] = ["utf8mb4_general_ci", "utf8mb4_nopad_bin"];

fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// Whether MariaDB is installed; `CI` does not excuse its absence.
pub(super) fn is_there() -> bool {
    server().is_some()
}

/// Loads the tables into a schema of their own and opens them.
pub(super) async fn place(tables: &[&Table], watch: &Watch, writes: bool, placed: &mut HashMap<String, SourceTable>) {
    static SCHEMAS: AtomicU64 = AtomicU64::new(0);
    let server = server().expect("MariaDB is installed");
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    let schema = format!("gate_{number}");
    let mut made = format!("CREATE DATABASE {schema}; USE {schema}; SET NAMES utf8mb4;");
    if let Some(old) = forgotten(number) {
        write!(made, "DROP DATABASE gate_{old};").unwrap();
    }
    for table in tables {
        made.push_str(&declared(table));
        for lines in rows(table).chunks(ROWS_PER_INSERT) {
            let lines = lines.iter().map(|row| format!("({})", row.iter().map(literal).collect::<Vec<_>>().join(", ")));
            let lines: Vec<String> = lines.collect();
            write!(made, "INSERT INTO `{}` VALUES {};", table.object, lines.join(", ")).unwrap();
        }
        write!(made, "ANALYZE TABLE `{}`;", table.object).unwrap();
    }
    if writes {
        write!(made, "GRANT ALL ON {schema}.* TO '{USER}'@'127.0.0.1';").unwrap();
    }
    server.sql(&made);
    let mut options = MysqlOptions::new("127.0.0.1", server.port, USER, &schema);
    options.password = Some(PASSWORD.to_owned());
    options.connections = 3;
    options.writer = writes.then(|| (USER.to_owned(), Some(PASSWORD.to_owned())));
    let driver = watch.over(Arc::new(MysqlDriver::new(&options)));
    for table in tables {
        let reference = TableRef::new([schema.clone(), table.object.clone()]).unwrap();
        let provider = Arc::new(open_table(&driver, table, Layout::MariaDb, reference).await);
        placed.insert(table.object.clone(), SourceTable::new(Layout::MariaDb.name(), provider));
    }
}

/// The table with its indexes.
fn declared(table: &Table) -> String {
    let mut parts = Vec::new();
    for (at, field) in table.schema.fields().iter().enumerate() {
        let (name, of) = (field.name(), value_type(field.data_type()));
        let key = name == "id" && !field.is_nullable();
        let native = native(of, COLLATIONS[at / 2 % 2]);
        parts.push(format!("`{name}` {native} {}", if key { "NOT NULL PRIMARY KEY" } else { "NULL" }));
        if is_indexed(at, name) && of != ValueType::TextList {
            parts.push(format!("KEY (`{name}`)"));
        }
    }
    format!("CREATE TABLE `{}` ({});", table.object, parts.join(", "))
}

fn native(of: ValueType, collation: &str) -> String {
    match of {
        ValueType::Boolean => "TINYINT(1)".to_owned(),
        ValueType::Int16 => "SMALLINT".to_owned(),
        ValueType::Int32 => "INT".to_owned(),
        ValueType::Int64 => "BIGINT".to_owned(),
        ValueType::Float32 => "FLOAT".to_owned(),
        ValueType::Float64 => "DOUBLE".to_owned(),
        ValueType::Decimal128 { precision, scale } => format!("DECIMAL({precision},{scale})"),
        ValueType::Text => format!("VARCHAR(200) CHARACTER SET utf8mb4 COLLATE {collation}"),
        ValueType::Binary => "VARBINARY(200)".to_owned(),
        ValueType::Date => "DATE".to_owned(),
        ValueType::Time => "TIME(6)".to_owned(),
        ValueType::Timestamp { .. } => "DATETIME(6)".to_owned(),
        ValueType::TextList | ValueType::List(_) => "JSON".to_owned(),
    }
}

/// A value as the server reads it; texts by their bytes, whatever they hold.
fn literal(value: &Value) -> String {
    let bytes = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let text = |text: &str| format!("CONVERT(X'{}' USING utf8mb4)", bytes(text.as_bytes()));
    match value {
        Value::Null(_) => "NULL".to_owned(),
        Value::Boolean(value) => u8::from(*value).to_string(),
        Value::Float32(value) => format!("{value:e}"),
        Value::Float64(value) => format!("{value:e}"),
        Value::Text(value) => text(value),
        Value::Binary(value) => format!("X'{}'", bytes(value)),
        Value::TextList(items) => {
            let items: Vec<Option<&str>> = items.iter().map(Option::as_deref).collect();
            text(&serde_json::to_string(&items).unwrap())
        }
        Value::Timestamp { micros, .. } => shown(&Value::Timestamp { micros: *micros, utc: false }),
        other => shown(other),
    }
}

/// As Arrow writes it, quoted.
fn shown(value: &Value) -> String {
    let text = arrow::util::display::array_value_to_string(&value.to_array().unwrap(), 0).unwrap();
    format!("'{text}'")
}
