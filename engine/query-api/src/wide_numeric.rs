//! Columns of numerics without the limits of decimals: any number of digits, places of each value's own, NaN and infinities.

use crate::TimeTz;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, LargeBinaryArray, StringArray};
use arrow::datatypes::DataType;
use querygate_types::numeric::{Cell, Numeric};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// The Arrow type of such columns, which nothing else has here. A cell is [`Numeric::write_cell`]'s: its bytes are in the order of the
/// values, but for the places at their end.
pub const WIDE_NUMERIC: DataType = DataType::LargeBinary;

/// Key of field metadata of such columns that are statistics of plain numbers: Arrow's clients, who know no numeric without a scale,
/// get the nearest double of them, and texts of all others.
pub const NEAREST_DOUBLE_KEY: &str = "querygate.nearest_double";

/// The value of a cell.
///
/// # Errors
/// XX000 for bytes that are none.
pub fn wide_numeric(cells: &LargeBinaryArray, row: usize) -> Result<Numeric> {
    Numeric::from_cell(cells.value(row)).ok_or_else(|| Error::internal("a numeric's cell does not hold one"))
}

/// A cell as its parts, for what is written of it.
///
/// # Errors
/// XX000 for bytes that are none.
pub fn numeric_cell(cells: &LargeBinaryArray, row: usize) -> Result<Cell<'_>> {
    Cell::read(cells.value(row)).ok_or_else(|| Error::internal("a numeric's cell does not hold one"))
}

/// Bytes of a batch's texts at most: a cell of ten bytes may be a text of 131,072.
const TEXTS_BYTES_MAX: usize = 64 << 20;

/// The values as PostgreSQL prints them, of types that Arrow's clients do not know; `None` of all others.
///
/// # Errors
/// XX000 for bytes that are no value, 54000 for numerics whose texts are too large together.
pub fn texts_of_own_types(column: &ArrayRef) -> Result<Option<ArrayRef>> {
    let left = std::cell::Cell::new(TEXTS_BYTES_MAX);
    let text = |row: usize| -> Result<Option<String>> {
        if column.is_null(row) {
            return Ok(None);
        }
        if *column.data_type() == WIDE_NUMERIC {
            let cell = numeric_cell(column.as_binary(), row)?;
            left.set(left.get().checked_sub(cell.text_bytes()).ok_or_else(too_large)?);
            return Ok(Some(cell.to_string()));
        }
        let time = TimeTz::of_key(column.as_fixed_size_binary().value(row));
        time.map(|time| Some(time.to_string())).ok_or_else(|| Error::internal("a time's key does not hold one"))
    };
    if *column.data_type() != WIDE_NUMERIC && *column.data_type() != TimeTz::ARROW {
        return Ok(None);
    }
    let texts = (0..column.len()).map(text).collect::<Result<StringArray>>()?;
    Ok(Some(Arc::new(texts)))
}

/// The nearest doubles of such a column.
///
/// # Errors
/// XX000 for bytes that are no value.
pub fn nearest_doubles(cells: &LargeBinaryArray) -> Result<Float64Array> {
    let double = |row: usize| -> Result<Option<f64>> {
        if cells.is_null(row) { Ok(None) } else { wide_numeric(cells, row).map(|value| Some(value.to_double())) }
    };
    (0..cells.len()).map(double).collect()
}

fn too_large() -> Error {
    Error::new(ErrorCode::ProgramLimitExceeded, "texts of numerics are too large")
        .with_detail(format!("Those of one batch of rows may have {} MiB.", TEXTS_BYTES_MAX >> 20))
}
