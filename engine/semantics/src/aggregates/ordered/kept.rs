//! Values and keys of their order, as they came, with the group of each. Knows no expression.

use super::places::Places;
use crate::fault::external;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeStringBuilder, ListArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, concat, filter, prep_null_mask_filter, take};
use arrow::datatypes::{ArrowNativeType as _, DataType, Field, Fields};
use datafusion::common::utils::normalize_float_zero;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use querygate_resources::bytes::own_bytes;
use querygate_types::{Error, ErrorCode};
use std::fmt;
use std::sync::Arc;

/// What a row takes beside its values: its group, its place, and the number that it is sorted by.
const ROW_BYTES: usize = 32;

/// Rows after which those are left out that are there already.
const ROWS_APART: usize = 65_536;

/// The values of many groups.
pub(super) struct Kept {
    value: DataType,
    keys: Vec<(DataType, SortOptions)>,
    /// Whether the values are their own only key, which is not kept twice.
    by_itself: bool,
    /// Values are texts, to be joined with this between them.
    between: Option<String>,
    /// Whether values that are NULL are left out.
    present: bool,
    /// Whether of values with equal keys only the first is shown.
    apart: bool,
    /// How many rows there are when that is done before the end.
    apart_at: usize,
    /// Each the value and its keys.
    batches: Vec<Vec<ArrayRef>>,
    groups: Vec<u32>,
    /// How many groups there are.
    count: usize,
    bytes: usize,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("value", &self.value).field("rows", &self.groups.len()).finish_non_exhaustive()
    }
}

fn too_many() -> datafusion::common::DataFusionError {
    external(Error::new(ErrorCode::ProgramLimitExceeded, "array size exceeds the maximum allowed"))
}

impl Kept {
    pub(super) fn new(
        value: &DataType,
        keys: Vec<(DataType, SortOptions)>,
        by_itself: bool,
        between: Option<String>,
        present: bool,
    ) -> Self {
        Self {
            value: value.clone(),
            keys,
            by_itself,
            present: present || between.is_some(),
            between,
            apart: false,
            apart_at: ROWS_APART,
            batches: Vec::new(),
            groups: Vec::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// Of values with equal keys the first only.
    pub(super) fn apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// The value and the keys of some rows, of the arguments and the order.
    fn columns(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let skipped = 1 + usize::from(self.between.is_some());
        let (Some(value), Some(keys)) = (values.first(), values.get(skipped..)) else {
            return exec_err!("an ordered aggregate has a value and keys");
        };
        let keys = if self.by_itself { &[] } else { keys };
        Ok([value].into_iter().chain(keys).map(Arc::clone).collect())
    }

    fn keep(&mut self, columns: Vec<ArrayRef>, groups: impl Iterator<Item = usize>) -> Result<()> {
        for group in groups {
            self.groups.push(u32::try_from(group).map_err(|_| too_many())?);
        }
        if self.groups.len() > i32::MAX as usize {
            return Err(too_many());
        }
        // What shares the buffers of a larger batch would keep all of it.
        let own = columns.into_iter().map(|column| {
            if column.get_array_memory_size() > 2 * own_bytes(&column) + 1024 { concat(&[&column]) } else { Ok(column) }
        });
        let own = own.collect::<std::result::Result<Vec<_>, _>>()?;
        self.bytes += own.iter().map(|column| column.get_array_memory_size()).sum::<usize>();
        self.batches.push(own);
        Ok(())
    }

    /// Rows that pass, and are not NULL where that counts.
    fn update(&mut self, values: &[ArrayRef], groups: Option<&[usize]>, passes: Option<&BooleanArray>) -> Result<()> {
        let columns = self.columns(values)?;
        let mut mask = passes.map(|passes| match passes.null_count() {
            0 => passes.clone(),
            _ => prep_null_mask_filter(passes),
        });
        if let Some(nulls) = columns.first().filter(|_| self.present).and_then(|column| column.logical_nulls()) {
            let present = BooleanArray::new(nulls.into_inner(), None);
            mask = Some(match mask {
                Some(mask) => arrow::compute::and(&mask, &present)?,
                None => present,
            });
        }
        let rows = columns.first().map_or(0, |column| column.len());
        let group_of = |row: usize| groups.map_or(0, |groups| groups[row]);
        match mask {
            None => self.keep(columns, (0..rows).map(group_of))?,
            Some(mask) => {
                let columns = columns.iter().map(|column| filter(column, &mask));
                let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
                self.keep(columns, mask.values().set_indices().map(group_of))?;
            }
        }
        self.tell_apart()
    }

    /// Leaves out what is there already, once there are many rows.
    fn tell_apart(&mut self) -> Result<()> {
        if !self.apart || self.groups.len() < self.apart_at {
            return Ok(());
        }
        let count = self.count;
        let (columns, places) = self.emitted(count, true)?;
        let rows = UInt32Array::from(places.rows);
        let columns = columns.iter().map(|column| take(column, &rows, None));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let lengths = places.starts.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
        self.keep(columns, lengths.enumerate().flat_map(|(group, length)| std::iter::repeat_n(group, length)))?;
        (self.count, self.apart_at) = (count, self.groups.len().saturating_mul(2).max(ROWS_APART));
        Ok(())
    }

    /// States of others: a list of values and one of keys for each group.
    fn merge(&mut self, states: &[ArrayRef], groups: Option<&[usize]>) -> Result<()> {
        let [values, keys] = states else { return exec_err!("a state has values and keys") };
        let (values, keys) = (values.as_list::<i32>(), keys.as_list::<i32>());
        let (mut of_rows, mut columns) = (Vec::new(), Vec::new());
        let within = |list: &ListArray| {
            let offsets = list.value_offsets();
            let (from, to) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
            list.values().slice(from, to - from)
        };
        for (at, length) in values.offsets().lengths().enumerate() {
            let group = groups.map_or(0, |groups| groups[at]);
            of_rows.extend(std::iter::repeat_n(group, length));
        }
        columns.push(within(values));
        if !self.by_itself {
            columns.extend(within(keys).as_struct().columns().iter().map(Arc::clone));
        }
        if columns.iter().any(|column| column.len() != of_rows.len()) {
            return exec_err!("each value of a state has its keys");
        }
        self.keep(columns, of_rows.into_iter())?;
        self.tell_apart()
    }

    /// The columns of all rows, nothing where there are none.
    fn whole(&self) -> Result<Option<Vec<ArrayRef>>> {
        let Some(first) = self.batches.first() else { return Ok(None) };
        let column = |at: usize| {
            let parts: Vec<&dyn Array> = self.batches.iter().map(|batch| batch[at].as_ref()).collect();
            concat(&parts)
        };
        Ok(Some((0..first.len()).map(column).collect::<std::result::Result<_, _>>()?))
    }

    /// The columns of the first groups, and where their rows go; these groups are gone then.
    fn emitted(&mut self, count: usize, sorted: bool) -> Result<(Vec<ArrayRef>, Places)> {
        let whole = self.whole()?.unwrap_or_else(|| {
            let keys = self.keys.iter().filter(|_| !self.by_itself).map(|(of, _)| of);
            [&self.value].into_iter().chain(keys).map(arrow::array::new_empty_array).collect()
        });
        let groups = std::mem::take(&mut self.groups);
        (self.batches, self.bytes, self.count) = (Vec::new(), 0, self.count.saturating_sub(count));
        let first = u32::try_from(count).map_err(|_| too_many())?;
        if groups.iter().any(|group| *group >= first) {
            let rest: BooleanArray = groups.iter().map(|group| Some(*group >= first)).collect();
            let columns = whole.iter().map(|column| filter(column, &rest));
            let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
            let left = groups.iter().filter(|group| **group >= first).map(|group| (*group - first) as usize);
            self.keep(columns, left)?;
        }
        let mut places = Places::by_group(&groups, count);
        if sorted {
            let options: Vec<SortOptions> = self.keys.iter().map(|(_, options)| *options).collect();
            let keys = if self.by_itself { &whole[..] } else { &whole[1..] };
            if self.apart {
                let keys: Vec<ArrayRef> = keys.iter().map(normalize_float_zero).collect();
                places.sort(&keys, &options)?;
                places.tell_apart(&keys)?;
            } else {
                places.sort(keys, &options)?;
            }
        }
        Ok((whole, places))
    }

    fn count_of(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.count,
            EmitTo::First(count) => count,
        }
    }

    fn lists(&self, items: ArrayRef, starts: &[u32], nullable: bool) -> Result<ArrayRef> {
        let lengths = starts.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
        let nulls = nullable.then(|| NullBuffer::from_iter(starts.windows(2).map(|ends| ends[1] > ends[0])));
        let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
        Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), items, nulls)?))
    }

    /// One result for each of the first groups.
    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let (columns, places) = self.emitted(count, true)?;
        let Some(between) = &self.between else {
            let items = take(&columns[0], &UInt32Array::from(places.rows), None)?;
            return self.lists(items, &places.starts, true);
        };
        joined(&columns[0], &places, between)
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let (columns, places) = self.emitted(count, false)?;
        let rows = UInt32Array::from(places.rows);
        let columns = columns.iter().map(|column| take(column, &rows, None));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let keys = if self.by_itself { columns.clone() } else { columns[1..].to_vec() };
        let keys = Arc::new(StructArray::try_new(records(keys.iter().map(|key| key.data_type())), keys, None)?);
        Ok(vec![self.lists(Arc::clone(&columns[0]), &places.starts, true)?, self.lists(keys, &places.starts, false)?])
    }

    fn bytes(&self) -> usize {
        // In the end there is a second copy of each value, and its keys are compared as bytes.
        size_of::<Self>() + self.bytes.saturating_mul(2) + self.groups.capacity().saturating_mul(ROW_BYTES)
    }
}

/// The keys of a row in a state.
pub(super) fn records<'a>(keys: impl Iterator<Item = &'a DataType>) -> Fields {
    keys.map(|key| Field::new("key", key.clone(), true)).collect()
}

/// The texts of each group, with a separator between them.
fn joined(texts: &ArrayRef, places: &Places, between: &str) -> Result<ArrayRef> {
    let texts = arrow::compute::cast(texts, &DataType::LargeUtf8)?;
    let texts = texts.as_string::<i64>();
    let bytes = texts.value_data().len().saturating_add(places.rows.len().saturating_mul(between.len()));
    let mut out = LargeStringBuilder::with_capacity(places.starts.len(), bytes);
    let mut text = String::new();
    for ends in places.starts.windows(2) {
        let rows = &places.rows[ends[0] as usize..ends[1] as usize];
        if rows.is_empty() {
            out.append_null();
            continue;
        }
        text.clear();
        for (at, row) in rows.iter().enumerate() {
            text.push_str(if at > 0 { between } else { "" });
            text.push_str(texts.value(*row as usize));
        }
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

impl GroupsAccumulator for Kept {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        passes: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.count = count;
        self.update(values, Some(groups), passes)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.count = count;
        self.merge(states, Some(groups))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.results(self.count_of(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.states(self.count_of(emit_to))
    }

    fn convert_to_state(&self, values: &[ArrayRef], passes: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut each = Self::new(&self.value, self.keys.clone(), self.by_itself, self.between.clone(), self.present);
        let rows = values.first().map_or(0, |values| values.len());
        each.count = rows;
        each.update(values, Some(&(0..rows).collect::<Vec<_>>()), passes)?;
        each.states(rows)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// The values of the only group.
#[derive(Debug)]
pub(super) struct Collected(Kept);

impl Collected {
    pub(super) fn new(kept: Kept) -> Self {
        Self(Kept { count: 1, ..kept })
    }
}

impl Accumulator for Collected {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(values, None, None)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states, None)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.0.results(1)?;
        self.0.count = 1;
        ScalarValue::try_from_array(&result, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.0.states(1)?;
        self.0.count = 1;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn size(&self) -> usize {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::datatypes::Float64Type;

    const UP: SortOptions = SortOptions { descending: false, nulls_first: false };

    /// What is left out early is what is left out in the end.
    #[test]
    fn of_values_with_equal_keys_the_first_is_kept() {
        for apart_at in [1, 5, ROWS_APART] {
            let mut kept = Kept::new(&DataType::Utf8, vec![(DataType::Int64, UP)], false, None, false).apart();
            (kept.count, kept.apart_at) = (2, apart_at);
            let values = StringArray::from(vec![Some("10"), Some("1.0"), None, Some("1"), Some("10.0")]);
            let values: ArrayRef = Arc::new(values);
            let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(10), Some(1), None, Some(1), Some(10)]));
            for _ in 0..2 {
                let columns = [Arc::clone(&values), Arc::clone(&keys)];
                kept.update(&columns, Some(&[0, 0, 0, 0, 1]), None).unwrap();
            }
            let lists = kept.results(2).unwrap();
            let of = |group: usize| {
                let texts = lists.as_list::<i32>().value(group);
                texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
            };
            assert_eq!(of(0), [Some("1.0".to_owned()), Some("10".to_owned()), None], "{apart_at}");
            assert_eq!(of(1), [Some("10.0".to_owned())], "{apart_at}");
        }
    }

    #[test]
    fn zeros_have_no_sign_and_nan_is_one_value() {
        let mut kept = Kept::new(&DataType::Float64, vec![(DataType::Float64, UP)], true, None, false).apart();
        kept.count = 1;
        let values: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.0, -0.0, f64::NAN, -1.0]));
        kept.update(&[Arc::clone(&values), values], None, None).unwrap();
        let list = kept.results(1).unwrap().as_list::<i32>().value(0);
        let shown: Vec<String> = list.as_primitive::<Float64Type>().values().iter().map(f64::to_string).collect();
        assert_eq!(shown, ["-1", "0", "NaN"]);
    }
}
