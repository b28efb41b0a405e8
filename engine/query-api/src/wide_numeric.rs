//! Columns of numerics without the limits of decimals: any number of digits, places of each value's own, NaN and infinities.

use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, StringArray};
use arrow::datatypes::DataType;
use querygate_types::numeric::Numeric;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// The Arrow type of such columns, which nothing else has here. A cell is [`Numeric::write_cell`]'s: its bytes are in the order of the
/// values, but for the places at their end.
pub const WIDE_NUMERIC: DataType = DataType::LargeBinary;

/// The value of a cell.
///
/// # Errors
/// XX000 for bytes that are none.
pub fn wide_numeric(cells: &LargeBinaryArray, row: usize) -> Result<Numeric> {
    Numeric::from_cell(cells.value(row)).ok_or_else(|| Error::internal("a numeric's cell does not hold one"))
}

/// The values as PostgreSQL prints them, for clients that have no such type.
///
/// # Errors
/// XX000 for bytes that are none.
pub fn wide_numeric_texts(cells: &ArrayRef) -> Result<ArrayRef> {
    let cells = cells.as_binary::<i64>();
    let texts = (0..cells.len()).map(|row| {
        if cells.is_null(row) { Ok(None) } else { wide_numeric(cells, row).map(|value| Some(value.to_string())) }
    });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}
