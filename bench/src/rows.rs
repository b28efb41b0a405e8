//! The tables of the wire benches as sources: the wide one in memory, accounts in SQLite.

use crate::wide;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use querygate_catalog::Rescan;
use querygate_catalog::deployment::SourceTable;
use querygate_catalog::remote::{DriverTable, RemoteField};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::ValueType;
use querygate_memory::{MemoryConfig, MemorySource};
use querygate_rules::opener::RemoteColumn;
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter, TableSpec};
use querygate_types::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// The wide table in memory.
///
/// # Errors
/// When it does not fit.
pub fn memory(count: i32) -> Result<SourceTable> {
    let source = MemorySource::new(MemoryConfig { name: "memory".to_owned(), bytes_max: 8 << 30 });
    source.put("wide", wide::schema(), wide::batches(count)?)?;
    Ok(SourceTable::new("memory", source.table("wide")?).with_rescan(Rescan::of_fixed_rows()))
}

/// Columns of the accounts.
pub const ACCOUNT_COLUMNS: [(&str, ValueType); 3] =
    [("id", ValueType::Int64), ("name", ValueType::Text), ("level", ValueType::Int64)];

/// Accounts 0..`count` in a SQLite file.
///
/// # Errors
/// When the file cannot be written or read.
pub async fn accounts(path: &Path, count: i64) -> Result<SourceTable> {
    let columns = ACCOUNT_COLUMNS.map(|(name, value_type)| ColumnSpec {
        name: name.to_owned(),
        value_type,
        nullable: name != "id",
    });
    let spec = TableSpec {
        name: "accounts".to_owned(),
        columns: columns.into(),
        primary_key: vec!["id".to_owned()],
        indexes: Vec::new(),
    };
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("level", DataType::Int64, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..count)),
        Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("account {i}")))),
        Arc::new(Int64Array::from_iter_values((0..count).map(|i| i % 7))),
    ];
    let batch = RecordBatch::try_new(schema, columns).map_err(Error::internal)?;
    let mut writer = SqliteWriter::open(path).await?;
    writer.create_table(&spec).await?;
    writer.insert(&spec, [Ok(batch)]).await?;
    writer.analyze().await?;
    writer.close().await?;
    opened(path).await
}

async fn opened(path: &Path) -> Result<SourceTable> {
    let driver: Arc<dyn Driver> = Arc::new(SqliteDriver::new(SqliteOptions::new(path)));
    let reference = TableRef::new(["accounts".to_owned()])?;
    let described = driver.describe(&reference).await?;
    let mut fields = Vec::new();
    for (name, value_type) in ACCOUNT_COLUMNS {
        let found = described.columns.iter().find(|c| c.name.as_str() == name);
        let column = found.ok_or_else(|| Error::internal("the bench's table lacks a column"))?;
        let encoding = driver.read_as(column, value_type);
        let column = RemoteColumn {
            name: column.name.clone(),
            value_type,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: encoding.map_err(|refusal| Error::internal(refusal.text))?,
        };
        fields.push(RemoteField { field: name.to_owned(), column });
    }
    let table = DriverTable::new(driver, "sqlite".into(), reference, fields, Some(vec![0]));
    Ok(SourceTable::new("sqlite", Arc::new(table)))
}
