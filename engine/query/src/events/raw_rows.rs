//! Rows of a change as policies look at them: of all who follow they are made once, for they are the same for everyone.

use super::view::aligned;
use crate::write::values::rows::json;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_driver_api::write::RowsChanged;
use querygate_types::Result;
use serde_json::{Map, Value};

/// Bytes of a value as a record has it, beside its text.
const VALUE_BYTES: usize = 96;

/// Some rows of one change, raw. Nothing of them goes to anybody unjudged.
#[derive(Debug)]
pub(crate) struct RawRows {
    pub(super) key: Vec<String>,
    pub(super) before: Option<RawSide>,
    pub(super) after: Option<RawSide>,
    bytes: usize,
}

/// All rows as they were, or as they are.
#[derive(Debug)]
pub(super) struct RawSide {
    /// In the order of the provider's columns.
    pub(super) batch: RecordBatch,
    pub(super) records: Vec<Map<String, Value>>,
}

impl RawRows {
    /// # Errors
    /// A value that no policy can look at.
    pub(crate) fn of(change: &RowsChanged, schema: &SchemaRef) -> Result<Self> {
        let side = |rows: Option<&RecordBatch>| rows.map(|rows| RawSide::of(rows, schema)).transpose();
        let values = |side: &Option<RawSide>| {
            side.as_ref().map_or(0, |side| side.batch.num_rows().saturating_mul(side.batch.num_columns()))
        };
        let (before, after) = (side(change.before.as_ref())?, side(change.after.as_ref())?);
        let values = values(&before).saturating_add(values(&after));
        // The texts are there as they came and once more in the records.
        let bytes = change.bytes().saturating_mul(2).saturating_add(values.saturating_mul(VALUE_BYTES));
        Ok(Self { key: change.key.to_vec(), before, after, bytes })
    }

    /// What they take, as it is estimated.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn rows(&self) -> usize {
        self.after.as_ref().or(self.before.as_ref()).map_or(0, |side| side.batch.num_rows())
    }
}

impl RawSide {
    fn of(rows: &RecordBatch, schema: &SchemaRef) -> Result<Self> {
        let batch = aligned(rows, schema)?;
        let records = (0..batch.num_rows()).map(|row| record(&batch, row)).collect::<Result<_>>()?;
        Ok(Self { batch, records })
    }
}

/// A raw row as policies look at it.
fn record(raw: &RecordBatch, row: usize) -> Result<Map<String, Value>> {
    let schema = raw.schema_ref();
    let fields = schema.fields().iter().zip(raw.columns());
    fields.map(|(field, values)| Ok((field.name().clone(), json(values, row)?))).collect()
}
