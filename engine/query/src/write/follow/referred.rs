//! Records that stored rows refer to, where validations read them. They are read as they are stored, whatever the writer sees: a
//! validation is the platform's, and so is its verdict. One read for each field and statement, in its transaction and without locks.
//! Judges nothing.

use super::RelatedTable;
use crate::write::target::Targeted;
use crate::write::values::amounts::bytes_as_stored;
use crate::write::values::rows::{Row, json, scalar};
use futures::TryStreamExt;
use querygate_catalog::write::WriteTarget;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::Transaction;
use querygate_policy::rules::{ObjectRules, ReferredField, ReferredRecords};
use querygate_types::{Error, Result};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Reads what the rows of an object refer to.
///
/// # Errors
/// The source's. 0A000: records that are referred to cannot be read in this transaction.
pub(crate) async fn read_referred(
    targeted: &Targeted,
    rules: &ObjectRules,
    records: &[Row],
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<ReferredRecords> {
    let mut found = ReferredRecords::default();
    for field in rules.referred() {
        let values = records.iter().filter_map(|record| field.value(record));
        let values: BTreeMap<String, &Json> = values.map(|value| (value.to_string(), value)).collect();
        if values.is_empty() {
            continue;
        }
        let Some(related) = targeted.following().related(&field.target)? else { continue };
        let key = related.referenced()?;
        let (mut keys, mut texts) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
        for value in values.into_values() {
            if let Some((own, text)) = key_of(&related.table, key, value)? {
                keys.push(vec![own]);
                texts.push((value, text));
            }
        }
        let rows = stored(related, field, (key, &keys), transaction, context).await?;
        for (value, text) in texts {
            if let Some(row) = rows.get(&text) {
                found.insert(&field.name, value, row.clone());
            }
        }
    }
    Ok(found)
}

/// What validations read of the records with these keys, by the JSON text of their key.
async fn stored(
    related: &RelatedTable,
    field: &ReferredField,
    (key, keys): (usize, &[Vec<Value>]),
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<BTreeMap<String, Row>> {
    let mut wanted = field.reads.iter().map(|name| related.place(name)).collect::<Result<Vec<_>>>()?;
    let at_key = wanted.iter().position(|place| *place == key).unwrap_or(wanted.len());
    if at_key == wanted.len() {
        wanted.push(key);
    }
    let table = &related.table;
    let mut rows = BTreeMap::new();
    for some in keys.chunks(table.rows_at_once(1)) {
        let read = table.with(&[key], some, &wanted)?;
        let mut batches = transaction.query(&read.statement, &read.values, context.clone()).await?;
        while let Some(batch) = batches.try_next().await? {
            context.charge(bytes_as_stored(batch.columns()))?;
            let column = |at: usize| batch.columns().get(at).ok_or_else(|| Error::internal("a record lacks a column"));
            for row in 0..batch.num_rows() {
                let mut record = Row::new();
                for (at, name) in field.reads.iter().enumerate() {
                    record.insert(name.clone(), json(column(at)?, row)?);
                }
                rows.insert(json(column(at_key)?, row)?.to_string(), record);
            }
        }
    }
    Ok(rows)
}

/// The key that a reference holds, and its JSON text. `None`: it is no key that a record has.
fn key_of(table: &WriteTarget, key: usize, value: &Json) -> Result<Option<(Value, String)>> {
    let field = table.fields().get(key).ok_or_else(|| Error::internal("a field that is not the table's"))?;
    let Ok(own) = scalar(value, &field.value_type().to_arrow()) else { return Ok(None) };
    let array = own.to_array().map_err(Error::internal)?;
    Ok(Some((Value::from_array(array.as_ref(), 0)?, json(&array, 0)?.to_string())))
}

#[cfg(test)]
mod tests;
