//! Between Arrow arrays and cells. Knows no function.

use super::external;
use crate::cell::{Cell, array_of};
use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DataFusionError, Result};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The value at a row. Types without a cell of their own come as their display text.
pub(super) fn cell_at(array: &ArrayRef, row: usize) -> Result<Cell> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return Ok(Cell::Null);
    }
    Ok(match array.data_type() {
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int8 => Cell::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Cell::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Cell::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Cell::Int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Cell::Int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Cell::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Cell::Int(i64::try_from(array.as_primitive::<UInt64Type>().value(row)).unwrap_or(i64::MAX)),
        DataType::Float32 => Cell::Float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Cell::Text(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).to_owned()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Cell::Micros(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => elements(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => elements(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => elements(&array.as_fixed_size_list().value(row))?,
        DataType::Dictionary(_, values) => cell_at(&arrow::compute::cast(array, values)?, row)?,
        _ => Cell::Text(ArrayFormatter::try_new(array, &FormatOptions::default())?.value(row).to_string()),
    })
}

/// Elements of an array that a catalog function takes: lists of names and numbers, which are read into cells of their own.
const ELEMENTS_MAX: usize = 100_000;

fn elements(values: &ArrayRef) -> Result<Cell> {
    if values.len() > ELEMENTS_MAX {
        let message = format!("a function of the catalog takes arrays of {ELEMENTS_MAX} elements at most");
        return Err(external(Error::new(ErrorCode::ProgramLimitExceeded, message)));
    }
    (0..values.len()).map(|i| cell_at(values, i)).collect::<Result<Vec<_>>>().map(Cell::List)
}

/// A list of structs out of cells that are lists of lists.
pub(super) fn list_of_rows(data_type: &DataType, cells: &[Cell]) -> Result<ArrayRef> {
    let DataType::List(item) = data_type else {
        return Err(DataFusionError::Internal("a row function returns a list".to_owned()));
    };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(DataFusionError::Internal("a row function returns a list of rows".to_owned()));
    };
    let mut rows: Vec<&Vec<Cell>> = Vec::new();
    let mut lengths = Vec::with_capacity(cells.len());
    for cell in cells {
        let before = rows.len();
        if let Cell::List(list) = cell {
            rows.extend(list.iter().filter_map(|row| if let Cell::List(columns) = row { Some(columns) } else { None }));
        }
        lengths.push(rows.len() - before);
    }
    let mut columns = Vec::with_capacity(fields.len());
    for (place, field) in fields.iter().enumerate() {
        let column: Vec<&Cell> = rows.iter().map(|row| row.get(place).unwrap_or(&Cell::Null)).collect();
        columns.push(array_of(field.data_type(), &column).map_err(external)?);
    }
    let values = StructArray::try_new_with_length(fields.clone(), columns, None, rows.len())?;
    let nulls: NullBuffer = cells.iter().map(|c| *c != Cell::Null).collect();
    let list =
        ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), Arc::new(values), Some(nulls))?;
    Ok(Arc::new(list))
}
