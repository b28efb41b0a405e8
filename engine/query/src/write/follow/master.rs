//! The masters of rows that are stored: those that decide who may change them, or that a rule reads. They stay locked until the
//! transaction ends, so that what was decided by them still holds when it is stored. Decides nothing.

use super::master_of;
use crate::write::lock::{KeyValues, Locked, having};
use crate::write::target::Targeted;
use crate::write::values::rows::{Row, records};
use arrow::array::ArrayRef;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::Transaction;
use querygate_policy::RowFilter;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, Result};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Masters by the JSON text of what references to them hold.
#[derive(Debug, Default)]
pub(crate) struct Masters {
    field: Option<String>,
    rows: BTreeMap<String, Row>,
}

impl Masters {
    /// Locks the masters that the rows have, and those that the statement gives them.
    ///
    /// # Errors
    /// The source's. 0A000: they cannot be looked at in this transaction.
    pub(crate) async fn of(locked: &Locked, transaction: &mut Transaction, context: &ExecuteContext) -> Result<Self> {
        let targeted = locked.targeted();
        if targeted.operation() == WriteOperation::Delete {
            return Ok(Self::default());
        }
        let Some((field, master)) = master_of(targeted.rules()) else { return Ok(Self::default()) };
        let mut found = Self { field: Some(field.name.clone()), rows: BTreeMap::new() };
        let Some(master) = targeted.following().related(master)? else { return Ok(found) };
        let mut values = BTreeMap::new();
        for array in arrays(targeted, locked, &field.name)? {
            for row in 0..array.len() {
                let value = Value::from_array(array.as_ref(), row)?;
                if !value.is_null() {
                    values.insert(crate::write::values::rows::json(array, row)?.to_string(), vec![value]);
                }
            }
        }
        // In the order of their keys, so that two writers do not wait for each other.
        let values: Vec<Vec<Value>> = values.into_values().collect();
        let key = master.referenced()?;
        let rows =
            having(&master.table, KeyValues { places: &[key], values: &values }, &RowFilter::All, transaction, context)
                .await?;
        let name = master.table.fields().get(key).map(|field| field.name.clone()).unwrap_or_default();
        for record in records(master.table.fields(), &rows)? {
            let key = record.get(&name).unwrap_or(&Json::Null).to_string();
            found.rows.insert(key, record);
        }
        Ok(found)
    }

    /// The master that a record has once it is stored.
    pub(crate) fn after(&self, previous: Option<&Row>, payload: &Row) -> Option<&Row> {
        let field = self.field.as_ref()?;
        let value = payload.get(field).or_else(|| previous.and_then(|previous| previous.get(field)))?;
        self.rows.get(&value.to_string())
    }
}

/// What the rows hold in a field: stored, and given by the statement.
fn arrays<'l>(targeted: &Targeted, locked: &'l Locked, field: &str) -> Result<Vec<&'l ArrayRef>> {
    let place = super::place(targeted.table(), field)?;
    let stored = locked.stored().and_then(|stored| stored.columns().get(place));
    let at = targeted.assigned().iter().position(|name| name == field);
    let given = at.map(|at| locked.given().get(at).ok_or_else(|| Error::internal("a value is missing"))).transpose()?;
    Ok(stored.into_iter().chain(given).collect())
}
