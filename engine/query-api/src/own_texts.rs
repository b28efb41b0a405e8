//! Texts of values whose types Arrow's clients do not know, wherever in a column they are: in lists, rows and maps, too. Knows no client.

use crate::column::pg_type_of;
use crate::values::network::{NETWORK, network_at, network_text};
use crate::values::timetz::TimeTz;
use crate::values::wide_numeric::{WIDE_NUMERIC, numeric_cell};
use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// Bytes of a batch's texts at most: a cell of ten bytes may be a text of 131,072.
const TEXTS_BYTES_MAX: usize = 64 << 20;

/// The values as PostgreSQL prints them of this type, of types that Arrow's clients do not know, in lists, rows and maps, too; `None` of columns
/// without such a type.
///
/// # Errors
/// XX000 for bytes that are no value, 54000 for numerics whose texts are too large together.
pub fn texts_of_own_types(column: &ArrayRef, pg_type: PgType) -> Result<Option<ArrayRef>> {
    if !is_or_holds_own(column.data_type()) {
        return Ok(None);
    }
    let mut texts = Texts { left: TEXTS_BYTES_MAX };
    texts.of(column, None, pg_type).map(Some)
}

fn is_own(data_type: &DataType) -> bool {
    *data_type == WIDE_NUMERIC || *data_type == TimeTz::ARROW || *data_type == NETWORK
}

fn is_or_holds_own(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => is_or_holds_own(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| is_or_holds_own(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| is_or_holds_own(field.data_type())),
        DataType::Dictionary(_, values) => is_or_holds_own(values),
        flat => is_own(flat),
    }
}

struct Texts {
    /// Bytes that may still be written.
    left: usize,
}

impl Texts {
    /// A column with texts for the values of own types. What lies under a NULL around it is no value, whatever its bytes are.
    fn of(&mut self, column: &ArrayRef, around: Option<&NullBuffer>, pg_type: PgType) -> Result<ArrayRef> {
        let data_type = column.data_type();
        if is_own(data_type) {
            let nulls = NullBuffer::union(column.nulls(), around);
            return self.values(column, nulls.as_ref(), pg_type);
        }
        if !is_or_holds_own(data_type) {
            return Ok(Arc::clone(column));
        }
        Ok(match data_type {
            DataType::List(item) => Arc::new(self.list::<i32>(column, item, pg_type)?),
            DataType::LargeList(item) => Arc::new(self.list::<i64>(column, item, pg_type)?),
            DataType::FixedSizeList(item, length) => {
                let lists = column.as_fixed_size_list();
                let width = usize::try_from(*length).map_err(Error::internal)?;
                let nulls = NullBuffer::union(lists.nulls(), around);
                let nulls = nulls.map(|nulls| nulls.expand(width));
                let items = self.of(lists.values(), nulls.as_ref(), item_type(item, pg_type))?;
                let lists =
                    FixedSizeListArray::try_new(texts_field(item, &items), *length, items, lists.nulls().cloned());
                Arc::new(lists.map_err(Error::internal)?)
            }
            DataType::Struct(_) => Arc::new(self.rows(column.as_struct(), around)?),
            DataType::Map(entries, sorted) => {
                let maps = column.as_map();
                let (offsets, (from, length)) = rebased(maps.offsets())?;
                let rows = self.rows(&maps.entries().slice(from, length), None)?;
                let field = Arc::new(entries.as_ref().clone().with_data_type(rows.data_type().clone()));
                let maps = MapArray::try_new(field, offsets, rows, maps.nulls().cloned(), *sorted);
                Arc::new(maps.map_err(Error::internal)?)
            }
            DataType::Dictionary(..) => {
                let dictionary = column.as_any_dictionary();
                let values = self.of(dictionary.values(), None, pg_type)?;
                dictionary.with_values(values)
            }
            other => return Err(Error::internal(format!("values of the type {other} have no texts"))),
        })
    }

    fn values(&mut self, column: &ArrayRef, nulls: Option<&NullBuffer>, pg_type: PgType) -> Result<ArrayRef> {
        let is_numeric = *column.data_type() == WIDE_NUMERIC;
        let is_network = *column.data_type() == NETWORK;
        let text = |row: usize| -> Result<Option<String>> {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                return Ok(None);
            }
            if is_numeric {
                let cell = numeric_cell(column.as_binary(), row)?;
                self.left = self.left.checked_sub(cell.text_bytes()).ok_or_else(too_large)?;
                return Ok(Some(cell.to_string()));
            }
            if is_network {
                let address = network_at(column.as_fixed_size_binary(), row)?;
                return Ok(Some(network_text(address, pg_type)));
            }
            let time = TimeTz::of_key(column.as_fixed_size_binary().value(row));
            time.map(|time| Some(time.to_string())).ok_or_else(|| Error::internal("a time's key does not hold one"))
        };
        let texts = (0..column.len()).map(text).collect::<Result<StringArray>>()?;
        Ok(Arc::new(texts))
    }

    /// Of a slice only what it shows.
    fn list<O: OffsetSizeTrait>(
        &mut self,
        column: &ArrayRef,
        item: &FieldRef,
        pg_type: PgType,
    ) -> Result<GenericListArray<O>> {
        let lists = column.as_list::<O>();
        let (offsets, (from, length)) = rebased(lists.offsets())?;
        let items = self.of(&lists.values().slice(from, length), None, item_type(item, pg_type))?;
        GenericListArray::try_new(texts_field(item, &items), offsets, items, lists.nulls().cloned())
            .map_err(Error::internal)
    }

    fn rows(&mut self, rows: &StructArray, around: Option<&NullBuffer>) -> Result<StructArray> {
        let nulls = NullBuffer::union(rows.nulls(), around);
        let columns = rows.fields().iter().zip(rows.columns());
        let columns = columns.map(|(field, column)| self.of(column, nulls.as_ref(), pg_type_of(field)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let fields: Fields =
            rows.fields().iter().zip(&columns).map(|(field, column)| texts_field(field, column)).collect();
        StructArray::try_new_with_length(fields, columns, rows.nulls().cloned(), rows.len()).map_err(Error::internal)
    }
}

/// What the members of a list are; a list of lists has the type of its members.
fn item_type(item: &FieldRef, list: PgType) -> PgType {
    if item.data_type().is_list() { list } else { list.element().unwrap_or_else(|| pg_type_of(item)) }
}

/// A field of what is now another type.
fn texts_field(field: &FieldRef, values: &ArrayRef) -> FieldRef {
    if field.data_type() == values.data_type() {
        return Arc::clone(field);
    }
    Arc::new(field.as_ref().clone().with_data_type(values.data_type().clone()))
}

/// Offsets from 0 on, and the values that they lie in: first and length.
fn rebased<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Result<(OffsetBuffer<O>, (usize, usize))> {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
        return Err(Error::internal("lists without offsets"));
    };
    let values = (first.as_usize(), last.as_usize() - first.as_usize());
    let offsets: ScalarBuffer<O> = offsets.iter().map(|offset| *offset - *first).collect();
    Ok((OffsetBuffer::new(offsets), values))
}

fn too_large() -> Error {
    Error::new(ErrorCode::ProgramLimitExceeded, "texts of numerics are too large")
        .with_detail(format!("Those of one batch of rows may have {} MiB.", TEXTS_BYTES_MAX >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{FixedSizeBinaryArray, LargeBinaryArray, ListArray};
    use arrow::util::display::array_value_to_string;
    use querygate_types::numeric::Numeric;

    fn cells(texts: &[Option<&str>]) -> ArrayRef {
        let cell = |text: &&str| text.parse::<Numeric>().unwrap().to_cell();
        Arc::new(texts.iter().map(|text| text.as_ref().map(cell)).collect::<LargeBinaryArray>())
    }

    #[test]
    fn values_in_lists_and_rows_become_texts() {
        let times: ArrayRef = Arc::new(
            FixedSizeBinaryArray::try_from_iter(
                [3_600, 0, 0].map(|east| TimeTz { micros: 0, east }.key().to_vec()).into_iter(),
            )
            .unwrap(),
        );
        let fields: Fields = [("n", WIDE_NUMERIC), ("t", TimeTz::ARROW)]
            .into_iter()
            .map(|(name, of)| Arc::new(arrow::datatypes::Field::new(name, of, true)))
            .collect();
        let rows = StructArray::new(fields, vec![cells(&[Some("NaN"), None, Some("1.50")]), times], None);
        let item = Arc::new(arrow::datatypes::Field::new("item", rows.data_type().clone(), true));
        let lists: ArrayRef =
            Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1, 0, 2]), Arc::new(rows), None));
        let texts = texts_of_own_types(&lists, PgType::RecordArray).unwrap().unwrap();
        let shown: Vec<_> = (0..3).map(|row| array_value_to_string(&texts, row).unwrap()).collect();
        assert_eq!(shown, ["[{n: NaN, t: 00:00:00+01}]", "[]", "[{n: , t: 00:00:00+00}, {n: 1.50, t: 00:00:00+00}]"]);
        let last = texts_of_own_types(&lists.slice(2, 1), PgType::RecordArray).unwrap().unwrap();
        assert_eq!(last.as_list::<i32>().values().len(), 2);
    }

    #[test]
    fn bytes_under_a_null_are_no_value() {
        let item = Arc::new(arrow::datatypes::Field::new("item", WIDE_NUMERIC, true));
        let bytes: ArrayRef = Arc::new(LargeBinaryArray::from_iter_values([[0_u8; 0]; 2]));
        let column =
            |nulls| -> ArrayRef { Arc::new(FixedSizeListArray::new(Arc::clone(&item), 2, Arc::clone(&bytes), nulls)) };
        assert!(texts_of_own_types(&column(None), PgType::NumericArray).is_err());
        let texts = texts_of_own_types(&column(Some(NullBuffer::new_null(1))), PgType::NumericArray).unwrap().unwrap();
        assert_eq!(texts.null_count(), 1);
    }
}
