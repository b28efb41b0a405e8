//! Columns of numerics without the limits of decimals: any number of digits, places of each value's own, NaN and infinities.

use arrow::array::{Array, Float64Array, LargeBinaryArray};
use arrow::datatypes::DataType;
use querygate_types::numeric::{Cell, Numeric};
use querygate_types::{Error, Result};

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
