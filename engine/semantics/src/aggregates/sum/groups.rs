//! The sums of many groups side by side. Knows no order of rows.

use super::addend::{Addend, Amount};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use std::marker::PhantomData;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Totals<I, O: Amount> {
    sums: Vec<O::Native>,
    /// Which groups have a value.
    seen: Vec<bool>,
    returned: DataType,
    argument: PhantomData<I>,
}

impl<I: Addend<O>, O: Amount> Totals<I, O> {
    pub(super) fn new(returned: DataType) -> Self {
        Self { sums: Vec::new(), seen: Vec::new(), returned, argument: PhantomData }
    }

    fn accumulate<T: ArrowPrimitiveType>(
        &mut self,
        values: &PrimitiveArray<T>,
        nulls: Option<&NullBuffer>,
        groups: &[usize],
        groups_total: usize,
        widen: impl Fn(T::Native) -> O::Native,
    ) -> Result<()> {
        self.sums.resize(groups_total, O::Native::default());
        self.seen.resize(groups_total, false);
        let mut over = false;
        let mut add = |group: usize, value: T::Native| {
            let (sum, of_row) = I::add(self.sums[group], widen(value));
            self.sums[group] = sum;
            self.seen[group] = true;
            over |= of_row;
        };
        match nulls {
            None => groups.iter().zip(values.values()).for_each(|(group, value)| add(*group, *value)),
            Some(nulls) => nulls.valid_indices().for_each(|row| add(groups[row], values.values()[row])),
        }
        if over { Err(I::out_of_range().error()) } else { Ok(()) }
    }

    fn taken(&mut self, emit_to: EmitTo) -> PrimitiveArray<O> {
        let sums = emit_to.take_needed(&mut self.sums);
        let seen = emit_to.take_needed(&mut self.seen);
        let nulls = if seen.iter().all(|seen| *seen) { None } else { Some(NullBuffer::from(seen)) };
        PrimitiveArray::<O>::new(sums.into(), nulls).with_data_type(self.returned.clone())
    }
}

/// Rows to leave out: NULLs, and those for which the filter is not TRUE.
fn left_out(values: &dyn Array, filter: Option<&BooleanArray>) -> Option<NullBuffer> {
    let values = values.nulls().filter(|nulls| nulls.null_count() > 0);
    let Some(filter) = filter else { return values.cloned() };
    let passed = match filter.nulls() {
        Some(nulls) => filter.values() & nulls.inner(),
        None => filter.values().clone(),
    };
    NullBuffer::union(values, Some(&NullBuffer::new(passed)))
}

impl<I: Addend<O>, O: Amount> GroupsAccumulator for Totals<I, O> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        groups_total: usize,
    ) -> Result<()> {
        let nulls = left_out(values[0].as_ref(), filter);
        self.accumulate(values[0].as_primitive::<I>(), nulls.as_ref(), groups, groups_total, I::widen)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], groups_total: usize) -> Result<()> {
        let nulls = left_out(states[0].as_ref(), None);
        self.accumulate(states[0].as_primitive::<O>(), nulls.as_ref(), groups, groups_total, |sum| sum)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.taken(emit_to);
        if sums.iter().flatten().any(|sum| !I::fits(sum)) {
            return Err(I::out_of_range().error());
        }
        Ok(Arc::new(sums))
    }

    /// Not checked for its range: what is merged with it may bring it back.
    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.taken(emit_to))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let nulls = left_out(values[0].as_ref(), filter);
        let sums = values[0].as_primitive::<I>().values().iter().map(|value| I::widen(*value)).collect::<Vec<_>>();
        let sums = PrimitiveArray::<O>::new(sums.into(), nulls).with_data_type(self.returned.clone());
        Ok(vec![Arc::new(sums)])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.capacity() * size_of::<O::Native>() + self.seen.capacity()
    }
}
