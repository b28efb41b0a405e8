//! Makes databases: tables from specifications, rows from Arrow batches. For demos, tests and introspection samples; nothing that a query reaches.

use crate::bind::{Stored, add, stored};
use crate::declared::{SCALED_PRECISION_MAX, declare};
use crate::dialect::quote;
use crate::error::from_sqlx;
use arrow::array::{Array, RecordBatch};
use querygate_driver_api::value::{Value, ValueType};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::path::Path;
use std::sync::Arc;

/// A table to make.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub name: String,
    pub columns: Vec<ColumnSpec>,
    /// Column names; empty for none.
    pub primary_key: Vec<String>,
    /// Column names of each further index.
    pub indexes: Vec<Vec<String>>,
}

/// A column to make. Its declared type reads back as `value_type`.
#[derive(Debug, Clone)]
pub struct ColumnSpec {
    pub name: String,
    pub value_type: ValueType,
    pub nullable: bool,
}

/// The one connection that writes a database.
#[derive(Debug)]
pub struct SqliteWriter {
    connection: SqliteConnection,
}

/// Parameters of one INSERT: enough rows to spare round trips, few enough to stay in cache.
const PARAMETERS_PER_INSERT: usize = 1_000;

fn refused(refusal: querygate_driver_api::capability::Refusal) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, refusal.text)
}

impl SqliteWriter {
    /// Opens or makes a database in WAL mode. A crash while writing may lose the last transaction, not the database.
    ///
    /// # Errors
    /// 08001 if the file cannot be made or is no database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("cache_size", "-65536");
        let connection = options.connect().await.map_err(|error| from_sqlx(&error))?;
        Ok(Self { connection })
    }

    /// Makes a table and its indexes.
    ///
    /// # Errors
    /// A name that cannot be quoted safely (22023), or a table of that name.
    pub async fn create_table(&mut self, table: &TableSpec) -> Result<()> {
        let name = quote(&table.name).map_err(refused)?;
        let list = |names: &[String]| {
            names.iter().map(|name| quote(name)).collect::<Result<Vec<_>, _>>().map(|names| names.join(", "))
        };
        let (mut parts, mut row_id) = (Vec::new(), false);
        for column in &table.columns {
            let quoted = quote(&column.name).map_err(refused)?;
            // SQLite makes exactly this declaration the row's own id.
            if table.primary_key == [column.name.as_str()] && column.value_type == ValueType::Int64 {
                parts.push(format!("{quoted} INTEGER PRIMARY KEY"));
                row_id = true;
                continue;
            }
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            parts.push(format!(
                "{quoted} {}{not_null} {}",
                declare(column.value_type),
                check(&quoted, column.value_type)
            ));
        }
        if !table.primary_key.is_empty() && !row_id {
            parts.push(format!("PRIMARY KEY ({})", list(&table.primary_key).map_err(refused)?));
        }
        self.run(format!("CREATE TABLE main.{name} ({})", parts.join(", "))).await?;
        for (number, columns) in table.indexes.iter().enumerate() {
            let index = quote(&format!("{}_{number}", table.name)).map_err(refused)?;
            let columns = list(columns).map_err(refused)?;
            self.run(format!("CREATE INDEX main.{index} ON {name} ({columns})")).await?;
        }
        Ok(())
    }

    /// Inserts batches whose columns are the table's, by position, in one transaction. Returns the number of rows.
    ///
    /// # Errors
    /// A value without an exact stored form (22000), or what the table refuses; then nothing is kept.
    pub async fn insert(
        &mut self,
        table: &TableSpec,
        batches: impl IntoIterator<Item = Result<RecordBatch>> + Send,
    ) -> Result<u64> {
        self.run("BEGIN IMMEDIATE".to_owned()).await?;
        match self.insert_all(table, batches).await {
            Ok(rows) => self.run("COMMIT".to_owned()).await.map(|()| rows),
            Err(error) => {
                self.run("ROLLBACK".to_owned()).await?;
                Err(error)
            }
        }
    }

    async fn insert_all(
        &mut self,
        table: &TableSpec,
        batches: impl IntoIterator<Item = Result<RecordBatch>>,
    ) -> Result<u64> {
        let width = table.columns.len();
        if width == 0 {
            return Err(Error::internal("table without columns"));
        }
        let rows_per_insert = (PARAMETERS_PER_INSERT / width).max(1);
        let full: Arc<str> = insert_text(table, rows_per_insert)?.into();
        let mut inserted = 0;
        for batch in batches {
            let batch = batch?;
            if batch.num_columns() != width {
                return Err(Error::internal("batch of another width than its table"));
            }
            let mut row = 0;
            while row < batch.num_rows() {
                let count = rows_per_insert.min(batch.num_rows() - row);
                let text = if count == rows_per_insert { Arc::clone(&full) } else { insert_text(table, count)?.into() };
                let arguments = arguments(table, &batch, row, count)?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments).persistent(count == rows_per_insert);
                query.execute(&mut self.connection).await.map_err(|error| from_sqlx(&error))?;
                row += count;
            }
            inserted += u64::try_from(batch.num_rows()).map_err(Error::internal)?;
        }
        Ok(inserted)
    }

    /// Collects statistics for the planner and for estimates.
    ///
    /// # Errors
    /// What the source answers.
    pub async fn analyze(&mut self) -> Result<()> {
        self.run("ANALYZE".to_owned()).await
    }

    /// Moves what was written into the database file and closes it.
    ///
    /// # Errors
    /// What the source answers.
    pub async fn close(mut self) -> Result<()> {
        self.run("PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).await?;
        self.connection.close().await.map_err(|error| from_sqlx(&error))
    }

    async fn run(&mut self, statement: String) -> Result<()> {
        self.connection.execute(AssertSqlSafe(statement)).await.map(drop).map_err(|error| from_sqlx(&error))
    }
}

/// What STRICT would enforce, under type names that say more than STRICT's five.
pub(crate) fn check(column: &str, value_type: ValueType) -> String {
    let classes = match value_type {
        ValueType::Boolean => return format!("CHECK ({column} IN (0, 1) OR {column} IS NULL)"),
        ValueType::Int16 | ValueType::Int32 | ValueType::Int64 => "'integer', 'null'",
        ValueType::Decimal128 { precision, .. } if precision <= SCALED_PRECISION_MAX => "'integer', 'null'",
        ValueType::Float32 | ValueType::Float64 => "'real', 'null'",
        ValueType::Decimal128 { .. }
        | ValueType::Text
        | ValueType::Date
        | ValueType::Time
        | ValueType::Timestamp { .. }
        | ValueType::TextList
        | ValueType::List(_) => "'text', 'null'",
        ValueType::Binary => "'blob', 'null'",
    };
    format!("CHECK (typeof({column}) IN ({classes}))")
}

fn insert_text(table: &TableSpec, rows: usize) -> Result<String> {
    let name = quote(&table.name).map_err(refused)?;
    let row = format!("({})", vec!["?"; table.columns.len()].join(","));
    Ok(format!("INSERT INTO main.{name} VALUES {}", vec![row.as_str(); rows].join(",")))
}

fn arguments(table: &TableSpec, batch: &RecordBatch, first: usize, count: usize) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for row in first..first + count {
        for (spec, array) in table.columns.iter().zip(batch.columns()) {
            let stored = cell(spec.value_type, array.as_ref(), row)?;
            add(&mut arguments, stored).map_err(|_| Error::internal("value cannot be bound"))?;
        }
    }
    Ok(arguments)
}

/// One value in the form that the column is declared to hold.
fn cell(value_type: ValueType, array: &dyn Array, row: usize) -> Result<Stored> {
    let value = Value::from_array(array, row)?;
    if value.is_null() {
        return Ok(Stored::Null);
    }
    if !value.value_type().comparable_with(value_type) {
        return Err(Error::internal("batch column of another type than its table's"));
    }
    let inexact = |message: &str| Error::new(ErrorCode::DataException, message);
    match &value {
        Value::Decimal128 { value, scale, .. } if is_text_decimal(value_type) => {
            Ok(Stored::Text(decimal_text(*value, *scale).into()))
        }
        Value::TextList(items) => {
            Ok(Stored::Text(querygate_sql::write_texts(items.iter().map(Option::as_deref)).into()))
        }
        Value::Timestamp { micros, .. } | Value::Time(micros) if micros % 1_000 != 0 => {
            Err(inexact("SQLite keeps times in whole milliseconds"))
        }
        other => stored(other).map_err(|refusal| inexact(&refusal.text)),
    }
}

fn is_text_decimal(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Decimal128 { precision, .. } if precision > SCALED_PRECISION_MAX)
}

pub(crate) fn decimal_text(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}
