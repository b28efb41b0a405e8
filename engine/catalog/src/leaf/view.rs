//! Stored rows as their reader sees them, column by column, outside of a scan. Decides nothing: the columns are those of a governed
//! table.

use super::table::{ColumnOrigin, GovernedColumn};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use querygate_types::{Error, Result};
use std::sync::Arc;

impl GovernedColumn {
    /// Whether its source has it, in whatever form.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.origin, ColumnOrigin::Raw(_) | ColumnOrigin::Text(..))
    }

    /// Its values in rows that have the raw provider's first columns, as the reader sees them. `None`: they are not made of that
    /// column alone, or not of texts where a mask is over them.
    ///
    /// # Errors
    /// A mask that cannot be applied.
    pub fn view(&self, raw: &RecordBatch) -> Result<Option<ArrayRef>> {
        let ColumnOrigin::Raw(index) = &self.origin else { return Ok(None) };
        let Some(values) = raw.columns().get(*index) else { return Ok(None) };
        match &self.mask {
            None => Ok(Some(Arc::clone(values))),
            Some(mask) if *values.data_type() == DataType::Utf8 => {
                mask.apply(values).map(Some).map_err(Error::internal)
            }
            Some(_) => Ok(None),
        }
    }

    /// Whether [`view`](Self::view) has its values.
    #[must_use]
    pub fn is_viewed(&self) -> bool {
        self.is_open() || (matches!(self.origin, ColumnOrigin::Raw(_)) && *self.field.data_type() == DataType::Utf8)
    }
}
