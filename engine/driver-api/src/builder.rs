//! An Arrow builder for each type of a fragment's columns. Knows no source: what a cell means is its driver's business.

use crate::relation::Encoding;
use crate::value::{ItemType, ValueType};
use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, BooleanBuilder, Date32Builder,
    Decimal128Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListArray,
    ListBuilder, PrimitiveArray, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int16Type, Int32Type, Int64Type};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Rows that a decoder makes room for before it knows how many there are: builders grow, and most results are small. Room for a whole batch
/// of a few columns is more than a batch may hold, so that its rows would be copied out of it.
pub const ROWS_AT_FIRST: usize = 64;

/// Bytes of a text or binary value, as far as builders reserve room for one.
const BYTES_USUAL: usize = 16;

/// Cells of one column so far.
#[derive(Debug)]
#[expect(missing_docs, reason = "each builds cells of the value type of its name")]
pub enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    TextList(ListBuilder<StringBuilder>),
    List(ListCells),
}

/// Cells that are lists of one type.
#[derive(Debug)]
pub struct ListCells {
    items: Box<ColumnBuilder>,
    field: FieldRef,
    /// Where each list ends among the items, after a zero.
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl ListCells {
    fn new(item: ItemType, rows: usize) -> Self {
        let item = item.value_type();
        Self {
            items: Box::new(ColumnBuilder::new(item, rows)),
            field: Arc::new(Field::new_list_field(item.to_arrow(), true)),
            ends: vec![0],
            valid: Vec::with_capacity(rows),
        }
    }

    /// The items of the list that [`Self::append`] ends.
    pub fn items(&mut self) -> &mut ColumnBuilder {
        &mut self.items
    }

    /// Ends a list with the items since the last one; or a NULL, which has none.
    pub fn append(&mut self, is_valid: bool) {
        // A batch ends by its bytes, long before.
        self.ends.push(i32::try_from(self.items.len()).unwrap_or(i32::MAX));
        self.valid.push(is_valid);
    }

    fn finish(&mut self) -> ListArray {
        let valid = std::mem::take(&mut self.valid);
        let ends = OffsetBuffer::new(std::mem::replace(&mut self.ends, vec![0]).into());
        ListArray::new(Arc::clone(&self.field), ends, self.items.finish(), Some(valid.into()))
    }
}

impl ColumnBuilder {
    /// An empty one with an initial capacity in cells; it grows.
    #[must_use]
    pub fn new(value_type: ValueType, rows: usize) -> Self {
        match value_type {
            ValueType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            ValueType::Int16 => Self::Int16(Int16Builder::with_capacity(rows)),
            ValueType::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            ValueType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            ValueType::Float32 => Self::Float32(Float32Builder::with_capacity(rows)),
            ValueType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            ValueType::Decimal128 { .. } => {
                Self::Decimal128(Decimal128Builder::with_capacity(rows).with_data_type(value_type.to_arrow()))
            }
            ValueType::Text => Self::Text(StringBuilder::with_capacity(rows, rows * BYTES_USUAL)),
            ValueType::Binary => Self::Binary(BinaryBuilder::with_capacity(rows, rows * BYTES_USUAL)),
            ValueType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            ValueType::Time => Self::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            ValueType::Timestamp { .. } => {
                Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(value_type.to_arrow()))
            }
            ValueType::TextList => Self::TextList(ListBuilder::new(StringBuilder::new())),
            ValueType::List(item) => Self::List(ListCells::new(item, rows)),
        }
    }

    /// One more cell, NULL.
    #[inline]
    pub fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal128(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::TextList(builder) => builder.append_null(),
            Self::List(builder) => builder.append(false),
        }
    }

    /// One more cell, NULL in place of a value that its type cannot hold, where the column is read so. What a list that failed left of its
    /// items is below that NULL.
    ///
    /// # Errors
    /// The value's, where it is not; a fault of ours.
    pub fn append_null_for(&mut self, error: Error, encoding: Encoding) -> Result<()> {
        if encoding.is_null_exact() || error.code() == ErrorCode::Internal {
            return Err(error);
        }
        self.append_null();
        Ok(())
    }

    fn len(&self) -> usize {
        match self {
            Self::Boolean(builder) => builder.len(),
            Self::Int16(builder) => builder.len(),
            Self::Int32(builder) => builder.len(),
            Self::Int64(builder) => builder.len(),
            Self::Float32(builder) => builder.len(),
            Self::Float64(builder) => builder.len(),
            Self::Decimal128(builder) => builder.len(),
            Self::Text(builder) => builder.len(),
            Self::Binary(builder) => builder.len(),
            Self::Date(builder) => builder.len(),
            Self::Time(builder) => builder.len(),
            Self::Timestamp(builder) => builder.len(),
            Self::TextList(builder) => builder.len(),
            Self::List(builder) => builder.valid.len(),
        }
    }

    /// The cells as an array of the column's type, with one NaN; begins anew.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => {
                let is_other = |value: f32| value.is_nan() & (value.to_bits() != f32::NAN.to_bits());
                Arc::new(one_nan(builder.finish(), f32::NAN, is_other))
            }
            Self::Float64(builder) => {
                let is_other = |value: f64| value.is_nan() & (value.to_bits() != f64::NAN.to_bits());
                Arc::new(one_nan(builder.finish(), f64::NAN, is_other))
            }
            Self::Decimal128(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::TextList(builder) => Arc::new(builder.finish()),
            Self::List(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The error of a value with what is known of its row, which is the one after `row` whole ones: the cells, by the places of their columns,
/// that may be a key's. The columns begin anew: nothing is read behind such an error.
#[must_use]
pub fn with_cells<'a>(
    error: Error,
    row: usize,
    columns: impl IntoIterator<Item = (usize, &'a mut ColumnBuilder)>,
) -> Error {
    let cells = columns.into_iter().filter_map(|(place, column)| Some((place, key_text(&column.finish(), row)?)));
    error.with_cells(cells.collect())
}

/// Bytes of a text in a key that an error names, at most.
const KEY_BYTES_MAX: usize = 200;

/// A cell as the text that a key shows. `None`: there is none, it is NULL, or no key is made of such values.
fn key_text(cells: &ArrayRef, row: usize) -> Option<String> {
    if row >= cells.len() || cells.is_null(row) {
        return None;
    }
    match cells.data_type() {
        DataType::Int16 => Some(cells.as_primitive::<Int16Type>().value(row).to_string()),
        DataType::Int32 => Some(cells.as_primitive::<Int32Type>().value(row).to_string()),
        DataType::Int64 => Some(cells.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Decimal128(..) => Some(cells.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Utf8 => {
            let text = cells.as_string::<i32>().value(row);
            (text.len() <= KEY_BYTES_MAX).then(|| text.to_owned())
        }
        _ => None,
    }
}

/// Sources write NaN with any sign and any bits, and comparisons tell these apart: one with its sign set would be less than every
/// number. There is one, greater than all of them.
fn one_nan<T: ArrowPrimitiveType>(
    values: PrimitiveArray<T>,
    nan: T::Native,
    is_other: impl Fn(T::Native) -> bool,
) -> PrimitiveArray<T> {
    // Without a branch, so that many are looked at in a step.
    if !values.values().iter().fold(false, |found, value| found | is_other(*value)) {
        return values;
    }
    values.unary(|value| if is_other(value) { nan } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Float32Type, Float64Type};

    /// Of the row that failed, and of no other: what its columns have of it, as far as it may be of a key.
    #[test]
    fn an_error_of_a_value_has_the_cells_of_its_row() {
        let types = [ValueType::Int64, ValueType::Text, ValueType::Float64, ValueType::Text, ValueType::Int32];
        let mut columns: Vec<ColumnBuilder> = types.iter().map(|of| ColumnBuilder::new(*of, 4)).collect();
        for row in 0..2_i64 {
            for column in &mut columns {
                match column {
                    ColumnBuilder::Int64(builder) => builder.append_value(row + 7),
                    ColumnBuilder::Text(builder) => builder.append_value(if row == 0 { "first" } else { "second" }),
                    ColumnBuilder::Float64(builder) => builder.append_value(0.5),
                    // The last column failed in the second row.
                    other if row == 0 => other.append_null(),
                    _ => {}
                }
            }
        }
        if let Some(ColumnBuilder::Text(builder)) = columns.get_mut(3) {
            *builder = StringBuilder::new();
            builder.append_value("x");
            builder.append_value("y".repeat(KEY_BYTES_MAX + 1));
        }
        let error = Error::new(ErrorCode::DataException, "source holds none").with_column(4);
        let told = with_cells(error, 1, columns.iter_mut().enumerate());
        assert_eq!(told.cells(), [(0, "8".to_owned()), (1, "second".to_owned())]);
        assert_eq!(told.column(), Some(4));
    }

    #[test]
    fn there_is_one_nan_whatever_a_source_writes() {
        let (mut singles, mut doubles) =
            (ColumnBuilder::new(ValueType::Float32, 3), ColumnBuilder::new(ValueType::Float64, 3));
        if let (ColumnBuilder::Float32(single), ColumnBuilder::Float64(double)) = (&mut singles, &mut doubles) {
            single.append_slice(&[-f32::NAN, -0.0, 1.0]);
            double.append_slice(&[-f64::NAN, -0.0, f64::from_bits(0x7ff0_0000_0000_0001)]);
            double.append_null();
        }
        let (singles, doubles) = (singles.finish(), doubles.finish());
        let singles = singles.as_primitive::<Float32Type>().values().iter().map(|value| value.to_bits());
        assert_eq!(singles.collect::<Vec<_>>(), [f32::NAN.to_bits(), (-0.0_f32).to_bits(), 1.0_f32.to_bits()]);
        let doubles = doubles.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits));
        let wanted = [Some(f64::NAN), Some(-0.0), Some(f64::NAN), None].map(|value| value.map(f64::to_bits));
        assert_eq!(doubles.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn lists_hold_their_own_items() {
        let mut lists = ColumnBuilder::new(ValueType::List(ItemType::Float64), 3);
        for items in [Some(&[Some(-f64::NAN), None][..]), None, Some(&[]), Some(&[Some(2.5)])] {
            let ColumnBuilder::List(cells) = &mut lists else { panic!() };
            for item in items.unwrap_or_default() {
                let ColumnBuilder::Float64(builder) = cells.items() else { panic!() };
                builder.append_option(*item);
            }
            cells.append(items.is_some());
        }
        let array = lists.finish();
        let array = array.as_list::<i32>();
        assert!(array.is_null(1) && array.null_count() == 1 && array.value(2).is_empty());
        let first = array.value(0);
        let first = first.as_primitive::<Float64Type>();
        assert_eq!((first.value(0).to_bits(), first.is_null(1)), (f64::NAN.to_bits(), true));
        assert_eq!(array.value(3).as_primitive::<Float64Type>().values(), &[2.5]);
        assert_eq!(lists.finish().len(), 0);
    }

    #[test]
    fn every_type_is_built_as_itself() {
        let decimal = ValueType::Decimal128 { precision: 20, scale: 4 };
        let types = [
            ValueType::Boolean,
            ValueType::Int16,
            ValueType::Int32,
            ValueType::Int64,
            ValueType::Float32,
            ValueType::Float64,
            decimal,
            ValueType::Text,
            ValueType::Binary,
            ValueType::Date,
            ValueType::Time,
            ValueType::Timestamp { utc: true },
            ValueType::Timestamp { utc: false },
            ValueType::TextList,
            ValueType::List(ItemType::Int32),
            ValueType::List(ItemType::Decimal128 { precision: 20, scale: 4 }),
            ValueType::List(ItemType::Timestamp { utc: true }),
        ];
        for value_type in types {
            let mut builder = ColumnBuilder::new(value_type, 2);
            builder.append_null();
            let array = builder.finish();
            assert_eq!((array.data_type(), array.null_count()), (&value_type.to_arrow(), 1));
            assert_eq!(builder.finish().len(), 0);
        }
    }
}
