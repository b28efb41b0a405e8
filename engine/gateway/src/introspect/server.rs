//! A database server's tables through its driver, whatever kind it is. Reads descriptions, never rows.

use super::{Found, FoundColumn, Kind};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_driver_api::{Driver, ValueType};
use querygate_types::Result;
use std::collections::BTreeMap;

/// Reads the values of a column that has a closed list of them, from its declared type.
pub(super) type Options = fn(&RemoteColumn) -> Vec<String>;

/// Every table of the source. Tables of another schema keep its name, as `schema.table`.
pub(super) async fn read(driver: &dyn Driver, options: Options) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for table in driver.tables().await? {
        let described = driver.describe(&table).await?;
        found.push(table_of(&described, options));
    }
    Ok(found)
}

fn table_of(table: &RemoteTable, options: Options) -> Found {
    let single: BTreeMap<&str, &str> = table
        .foreign_keys
        .iter()
        .filter(|key| key.columns.len() == 1 && key.references.schema() == table.table.schema())
        .filter_map(|key| Some((key.columns.first()?.as_str(), key.references.name())))
        .collect();
    let columns = table.columns.iter().map(|column| {
        let name = column.name.as_str();
        let key = table.primary_key.len() == 1 && table.primary_key.contains(&column.name);
        FoundColumn {
            remote: name.to_owned(),
            kind: kind(column),
            required: !column.nullable && !key,
            key,
            references: single.get(name).map(|target| (*target).to_owned()),
            comment: column.comment.clone(),
            options: options(column),
        }
    });
    Found {
        remote: table.table.name().to_owned(),
        columns: columns.collect(),
        comment: table.comment.clone(),
        ..Found::default()
    }
}

/// The field type that holds what the column holds.
pub(super) fn kind(column: &RemoteColumn) -> Option<Kind> {
    Some(match column.value_type? {
        ValueType::Boolean => Kind::Boolean,
        ValueType::Int16 => Kind::Decimal { precision: 5, scale: 0 },
        ValueType::Int32 => Kind::Decimal { precision: 10, scale: 0 },
        ValueType::Int64 => Kind::Decimal { precision: 19, scale: 0 },
        ValueType::Float32 | ValueType::Float64 => Kind::Number,
        ValueType::Decimal128 { precision, scale } => {
            Kind::Decimal { precision: u32::from(precision), scale: u32::try_from(scale).ok()? }
        }
        ValueType::Text if column.native_type.eq_ignore_ascii_case("json") => Kind::Json,
        ValueType::Text => Kind::Text,
        ValueType::Binary => return None,
        ValueType::Date => Kind::Date,
        ValueType::Time => Kind::Time,
        ValueType::TextList => Kind::Tags,
        ValueType::Timestamp { .. } => Kind::Datetime,
    })
}
