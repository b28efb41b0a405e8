//! What the driver's tests share: a server, drivers for it, and the suite's tables in it.

pub(crate) mod server;

use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::testkit::dataset::{Limits, MANY_ROWS, Table, tables};
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use querygate_types::Error;
use server::{PASSWORD, Server, USER};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

/// How the suite's tables are declared in one of its runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) schema: &'static str,
    pub(crate) collation: &'static str,
    /// Digits of a second.
    pub(crate) digits: u8,
    /// `DATETIME` or `TIMESTAMP` cannot both hold all values; times of day and wall clocks are the same everywhere.
    pub(crate) indexed: bool,
}

impl Variant {
    pub(crate) fn limits(&self) -> Limits {
        Limits { timestamp_step: 10_i64.pow(6 - u32::from(self.digits)), nan: false, infinite: false }
    }
}

pub(crate) fn options(server: &Server, schema: &str) -> MysqlOptions {
    let mut options = MysqlOptions::new("127.0.0.1", server.port, USER, schema);
    options.password = Some(PASSWORD.to_owned());
    options.connections = 2;
    options
}

pub(crate) fn driver(server: &Server, schema: &str) -> MysqlDriver {
    MysqlDriver::new(&options(server, schema))
}

/// An administrator's connection, for rows that are easier to bind than to write.
pub(crate) async fn administrator(server: &Server, schema: &str) -> MySqlConnection {
    MySqlConnectOptions::new().socket(server.socket()).username("root").database(schema).connect().await.unwrap()
}

/// The suite's tables in a schema of their own.
pub(crate) async fn load(server: &Server, variant: Variant) {
    let Variant { schema, collation, digits, indexed } = variant;
    server.sql(&format!("CREATE DATABASE `{schema}`"));
    let mut connection = administrator(server, schema).await;
    for table in tables(variant.limits()) {
        let columns: Vec<String> =
            table.columns.iter().map(|(name, value_type)| declare(name, *value_type, collation, digits)).collect();
        let keys: String = table
            .columns
            .iter()
            .filter(|(name, value_type)| indexed && *name != "id" && *value_type != ValueType::TextList)
            .map(|(name, _)| format!(", KEY (`{name}`)"))
            .collect();
        server.sql(&format!(
            "CREATE TABLE `{schema}`.`{}` ({}, PRIMARY KEY (`id`){keys})",
            table.name,
            columns.join(", ")
        ));
        if table.name == "many" {
            server.sql(&format!(
                "USE `{schema}`; INSERT INTO many SELECT seq, CONCAT('row ', seq % 97) FROM seq_0_to_{}",
                MANY_ROWS - 1
            ));
            continue;
        }
        insert(&mut connection, &table).await;
        server.sql(&format!("ANALYZE TABLE `{schema}`.`{}`", table.name));
    }
}

fn declare(name: &str, value_type: ValueType, collation: &str, digits: u8) -> String {
    let declared = match value_type {
        ValueType::Boolean => "TINYINT(1)".to_owned(),
        ValueType::Int16 => "SMALLINT".to_owned(),
        ValueType::Int32 => "INT".to_owned(),
        ValueType::Int64 => "BIGINT".to_owned(),
        ValueType::Float32 => "FLOAT".to_owned(),
        ValueType::Float64 => "DOUBLE".to_owned(),
        ValueType::Decimal128 { precision, scale } => format!("DECIMAL({precision},{scale})"),
        ValueType::Text => {
            let charset = collation.split('_').next().unwrap();
            format!("VARCHAR(200) CHARACTER SET {charset} COLLATE {collation}")
        }
        ValueType::Binary => "VARBINARY(200)".to_owned(),
        ValueType::Date => "DATE".to_owned(),
        ValueType::Time => format!("TIME({digits})"),
        ValueType::Timestamp { .. } => format!("DATETIME({digits})"),
        ValueType::TextList | ValueType::List(_) => "JSON".to_owned(),
    };
    format!("`{name}` {declared}{}", if name == "id" { " NOT NULL" } else { " NULL" })
}

async fn insert(connection: &mut MySqlConnection, table: &Table) {
    for row in &table.rows {
        let places = vec!["?"; row.len()].join(", ");
        let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO `{}` VALUES ({places})", table.name)));
        for value in row {
            query = match value {
                Value::Null(_) => query.bind(Option::<i64>::None),
                Value::Boolean(v) => query.bind(i64::from(*v)),
                Value::Int16(v) => query.bind(i64::from(*v)),
                Value::Int32(v) => query.bind(i64::from(*v)),
                Value::Int64(v) => query.bind(*v),
                Value::Float32(v) => query.bind(f64::from(*v)),
                Value::Float64(v) => query.bind(*v),
                Value::Text(v) => query.bind(v.to_string()),
                Value::Binary(v) => query.bind(v.to_vec()),
                Value::TextList(items) => query.bind(querygate_sql::write_texts(items.iter().map(Option::as_deref))),
                Value::Decimal128 { value, scale, .. } => query.bind(decimal(*value, *scale)),
                Value::Date(_) | Value::Time(_) | Value::Timestamp { .. } => query.bind(arrow_text(value)),
            };
        }
        query.execute(&mut *connection).await.unwrap();
    }
}

fn decimal(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap();
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" })
}

/// As Arrow writes it: digits by another hand than the driver's.
fn arrow_text(value: &Value) -> String {
    let value = match value {
        Value::Timestamp { micros, .. } => Value::Timestamp { micros: *micros, utc: false },
        other => other.clone(),
    };
    let array = value.to_array().unwrap();
    arrow::util::display::array_value_to_string(&array, 0).unwrap()
}

/// All readable columns of a table, ids from `base` in order of declaration.
pub(crate) async fn scan(driver: &MysqlDriver, name: &str, base: u32) -> Relation {
    let remote = driver.describe(&TableRef::new([name]).unwrap()).await.unwrap();
    let columns = remote.columns.iter().zip(base..).filter_map(|(column, id)| {
        Some(ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type: column.value_type?,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: column.encoding,
        })
    });
    Relation::Scan { table: remote.table, columns: columns.collect() }
}

pub(crate) fn output(id: u32, value_type: ValueType) -> OutputColumn {
    OutputColumn { id: ColumnId(id), name: format!("c{id}"), value_type, nullable: true }
}

pub(crate) async fn rows(
    driver: &dyn Driver,
    relation: Relation,
    output: Vec<OutputColumn>,
    values: &[Value],
) -> Result<Vec<Vec<Value>>, Error> {
    rows_within(driver, relation, output, values, ExecuteContext::default()).await
}

pub(crate) async fn rows_within(
    driver: &dyn Driver,
    relation: Relation,
    output: Vec<OutputColumn>,
    values: &[Value],
    context: ExecuteContext,
) -> Result<Vec<Vec<Value>>, Error> {
    let fragment = Fragment { relation, output, parameters: values.iter().map(Value::value_type).collect() };
    let statement = driver.render(&fragment).unwrap_or_else(|refusal| panic!("{refusal}"));
    let batches: Vec<_> = driver.run(&statement, values, Ask::Batches(context)).await?.batches()?.try_collect().await?;
    values_of(&batches)
}

pub(crate) fn ids(rows: &[Vec<Value>]) -> Vec<i64> {
    let mut ids: Vec<i64> =
        rows.iter().filter_map(|row| if let Value::Int64(id) = row[0] { Some(id) } else { None }).collect();
    ids.sort_unstable();
    ids
}
