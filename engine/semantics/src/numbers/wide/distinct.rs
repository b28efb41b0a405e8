//! An aggregate over the distinct ones of numerics of any width: each is taken once, whatever its places.

use super::aggregates::Moments;
use crate::fault::external;
use arrow::array::{Array, ArrayRef, AsArray};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::Accumulator;
use querygate_query_api::values::wide_numeric::{WIDE_NUMERIC, wide_numeric};
use querygate_types::numeric::{Numeric, ordered_key};
use std::collections::BTreeMap;

/// The values that were seen, by what they are compared by.
#[derive(Debug)]
pub(super) struct Distinct {
    moments: Moments,
    seen: BTreeMap<Vec<u8>, Numeric>,
    bytes: usize,
}

/// Bytes of an entry besides its key and its digits.
const ENTRY: usize = 96;

impl Distinct {
    pub(super) const fn new(moments: Moments) -> Self {
        Self { moments, seen: BTreeMap::new(), bytes: 0 }
    }

    fn see(&mut self, value: Numeric) -> Result<()> {
        let mut key = value.to_cell();
        key.truncate(ordered_key(&key).len());
        if !self.seen.contains_key(&key) {
            self.moments.take(&value, 1)?;
            self.bytes = self.bytes.saturating_add(key.len() + value.size() + ENTRY);
            self.seen.insert(key, value);
        }
        Ok(())
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return exec_err!("one argument was expected") };
        for row in (0..values.len()).filter(|row| !values.is_null(*row)) {
            self.see(super::at(values, row)?)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.moments.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let cells: Vec<ScalarValue> =
            self.seen.values().map(|value| ScalarValue::LargeBinary(Some(value.to_cell()))).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&cells, &WIDE_NUMERIC))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [lists] = states else { return exec_err!("one state was expected") };
        for list in lists.as_list::<i32>().iter().flatten() {
            let cells = list.as_binary::<i64>();
            for row in (0..cells.len()).filter(|row| !cells.is_null(*row)) {
                self.see(wide_numeric(cells, row).map_err(external)?)?;
            }
        }
        Ok(())
    }
}
