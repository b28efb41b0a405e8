//! The locked read of one key, rendered once for any key: its filter's values stay, the key's are put in by each run.

use super::{LockedRead, WriteTarget};
use datafusion::common::ScalarValue;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::value::Value;
use querygate_policy::RowFilter;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// A read that locks the row of a key if it passes a filter. Of the table that made it.
#[derive(Debug)]
pub struct KeyRead {
    statement: Arc<NativeStatement>,
    /// Values of the filter, which stand before those of the key.
    filter: Vec<Value>,
}

impl KeyRead {
    pub(super) fn text(&self) -> &Arc<str> {
        &self.statement.text
    }
}

impl WriteTarget {
    /// The read that locks the row of one key if it passes a filter.
    ///
    /// # Errors
    /// As [`having`](Self::having).
    pub fn key_read(&self, filter: &RowFilter) -> Result<KeyRead> {
        let any = |place: &usize| {
            let field = self.fields.get(*place).ok_or_else(|| Error::internal("a field that is not the table's"))?;
            let value = ScalarValue::new_default(&field.value_type().to_arrow()).map_err(Error::internal)?;
            Value::from_array(value.to_array().map_err(Error::internal)?.as_ref(), 0)
        };
        let key = self.key.iter().map(any).collect::<Result<Vec<_>>>()?;
        let LockedRead { statement, values: mut filter, .. } = self.locked(&[key], filter)?;
        let own = filter.len().checked_sub(self.key.len()).ok_or_else(|| Error::internal("a read without its key"))?;
        filter.truncate(own);
        Ok(KeyRead { statement, filter })
    }

    /// Such a read with the values of a key. `None`: they are not such as it was made for.
    ///
    /// # Errors
    /// 0A000: the source cannot be asked for them.
    pub fn with_key(&self, read: &KeyRead, key: &[Value]) -> Result<Option<LockedRead>> {
        let wanted = read.statement.parameters.get(read.filter.len()..).unwrap_or_default();
        let is_made_for = wanted.len() == key.len()
            && key.iter().zip(wanted).all(|(value, wanted)| !value.is_null() && value.value_type() == *wanted);
        if !is_made_for {
            return Ok(None);
        }
        let values: Vec<Value> = read.filter.iter().chain(key).cloned().collect();
        self.accepts(&read.statement, &values)?;
        Ok(Some(LockedRead { statement: Arc::clone(&read.statement), values, by_key: true }))
    }
}
