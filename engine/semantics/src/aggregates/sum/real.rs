//! The sum of reals: added up as doubles, so that its digits are those of the values and not of the order in which they came, and a real
//! in the end, as PostgreSQL's is. Groupings do so by a cast around a sum of doubles, which sources know; this is for windows.

use crate::fault::Fault;
use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::AccumulatorArgs;
use std::sync::Arc;

/// A sum of doubles, of reals.
#[derive(Debug)]
pub(super) struct Reals(Box<dyn Accumulator>);

impl Reals {
    pub(super) fn new(doubles: Box<dyn Accumulator>) -> Self {
        Self(doubles)
    }
}

/// The field of what is added up.
pub(super) fn double() -> FieldRef {
    Arc::new(Field::new("", DataType::Float64, true))
}

/// The call over doubles instead of reals. `fields`: one of them.
pub(super) fn over_doubles<'a>(args: AccumulatorArgs<'a>, fields: &'a [FieldRef]) -> AccumulatorArgs<'a> {
    AccumulatorArgs { return_field: double(), expr_fields: fields, ..args }
}

fn doubles(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    values.iter().map(|values| cast(values, &DataType::Float64).map_err(DataFusionError::from)).collect()
}

impl Accumulator for Reals {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&doubles(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&doubles(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.0.evaluate()? {
            ScalarValue::Float64(Some(sum)) => {
                #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
                let real = sum as f32;
                if real.is_infinite() && sum.is_finite() {
                    return Err(Fault::Overflow.error());
                }
                Ok(ScalarValue::Float32(Some(real)))
            }
            ScalarValue::Float64(None) => Ok(ScalarValue::Float32(None)),
            other => internal_err!("a sum of doubles is {}", other.data_type()),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregates::frame_sums::{FrameSum, Of};
    use arrow::array::Float32Array;

    fn column(values: &[Option<f32>]) -> [ArrayRef; 1] {
        [Arc::new(Float32Array::from(values.to_vec()))]
    }

    #[test]
    fn reals_add_up_to_the_nearest_real() {
        let mut sum = Reals::new(Box::new(FrameSum::new(Of::Sum)));
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Float32(None));
        sum.update_batch(&column(&[Some(3.35), None, Some(1.1)])).unwrap();
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Float32(Some(4.45)));
        sum.retract_batch(&column(&[Some(3.35)])).unwrap();
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Float32(Some(1.1)));
    }

    #[test]
    fn a_sum_beyond_reals_is_out_of_range() {
        let mut sum = Reals::new(Box::new(FrameSum::new(Of::Sum)));
        sum.update_batch(&column(&[Some(3e38), Some(3e38)])).unwrap();
        assert!(sum.evaluate().is_err());
        sum.update_batch(&column(&[Some(f32::INFINITY)])).unwrap();
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Float32(Some(f32::INFINITY)));
    }
}
