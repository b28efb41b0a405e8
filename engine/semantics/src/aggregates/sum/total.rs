//! The sum of one group or of one window frame. Knows no other group.

use super::addend::{Addend, Amount, total};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use std::marker::PhantomData;

#[derive(Debug)]
pub(super) struct Total<I, O: Amount> {
    sum: O::Native,
    /// How many values are in it.
    count: usize,
    returned: DataType,
    argument: PhantomData<I>,
}

impl<I: Addend<O>, O: Amount> Total<I, O> {
    pub(super) fn new(returned: DataType) -> Self {
        Self { sum: O::Native::default(), count: 0, returned, argument: PhantomData }
    }

    fn value(&self) -> Result<ScalarValue> {
        if self.count > 0 && !I::fits(self.sum) {
            return Err(I::out_of_range().error());
        }
        ScalarValue::new_primitive::<O>((self.count > 0).then_some(self.sum), &self.returned)
    }

    fn add(&mut self, value: O::Native, count: usize) -> Result<()> {
        let (sum, over) = I::add(self.sum, value);
        if over {
            return Err(I::out_of_range().error());
        }
        self.sum = sum;
        self.count += count;
        Ok(())
    }
}

impl<I: Addend<O>, O: Amount> Accumulator for Total<I, O> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<I>();
        match total::<I, O>(values)? {
            Some(sum) => self.add(sum, values.len() - values.null_count()),
            None => Ok(()),
        }
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<I>();
        if let Some(sum) = total::<I, O>(values)? {
            let (sum, over) = I::subtract(self.sum, sum);
            if over {
                return Err(I::out_of_range().error());
            }
            self.sum = sum;
            self.count -= values.len() - values.null_count();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for sum in states[0].as_primitive::<O>().iter().flatten() {
            self.add(sum, 1)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.value()
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
