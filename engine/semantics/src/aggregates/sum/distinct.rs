//! The sum of one group's distinct values, or of a window frame's. Keeps every value.

use super::addend::{Addend, Amount};
use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::DataType;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Distinct<I: Addend<O>, O: Amount> {
    /// How often each value is there.
    counts: HashMap<I::Native, usize>,
    sum: O::Native,
    argument: DataType,
    returned: DataType,
}

impl<I, O> Distinct<I, O>
where
    I: Addend<O>,
    I::Native: Hash + Eq,
    O: Amount,
{
    pub(super) fn new(argument: DataType, returned: DataType) -> Self {
        Self { counts: HashMap::new(), sum: O::Native::default(), argument, returned }
    }

    fn add(&mut self, values: &PrimitiveArray<I>) -> Result<()> {
        for value in values.iter().flatten() {
            let count = self.counts.entry(value).or_insert(0);
            *count += 1;
            if *count == 1 {
                let (sum, over) = I::add(self.sum, I::widen(value));
                if over {
                    return Err(I::out_of_range().error());
                }
                self.sum = sum;
            }
        }
        Ok(())
    }
}

impl<I, O> Accumulator for Distinct<I, O>
where
    I: Addend<O>,
    I::Native: Hash + Eq,
    O: Amount,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values[0].as_primitive::<I>())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<I>().iter().flatten() {
            let Some(count) = self.counts.get_mut(&value) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&value);
                let (sum, over) = I::subtract(self.sum, I::widen(value));
                if over {
                    return Err(I::out_of_range().error());
                }
                self.sum = sum;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.add(values.as_primitive::<I>())?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<I::Native> = self.counts.keys().copied().collect();
        let values: ArrayRef =
            Arc::new(PrimitiveArray::<I>::new(values.into(), None).with_data_type(self.argument.clone()));
        Ok(vec![SingleRowListArrayBuilder::new(values).build_list_scalar()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if !I::fits(self.sum) {
            return Err(I::out_of_range().error());
        }
        ScalarValue::new_primitive::<O>((!self.counts.is_empty()).then_some(self.sum), &self.returned)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(I::Native, usize)>()
    }
}
