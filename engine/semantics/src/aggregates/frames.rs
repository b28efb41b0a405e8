//! Sums and averages of floats over frames whose start moves. DataFusion takes what leaves a frame away from its sum: one NaN or infinity
//! is in all later frames then, and a large value takes the digits of the others with it. PostgreSQL adds each such frame up anew.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::AccumulatorArgs;
use std::collections::VecDeque;

/// What adds up the frames of a sum, or of an average, whose argument is a float. `None`: it is something else.
pub(super) fn of_floats(args: &AccumulatorArgs, is_mean: bool) -> Option<Box<dyn Accumulator>> {
    let is_float = |field: &FieldRef| *field.data_type() == DataType::Float64;
    let known = !args.is_distinct && args.expr_fields.first().is_some_and(is_float) && is_float(&args.return_field);
    if !known {
        return None;
    }
    Some(Box::new(Frame { values: VecDeque::new(), total: None, is_stale: false, is_mean }))
}

#[derive(Debug)]
struct Frame {
    values: VecDeque<f64>,
    /// Of all values, unless one has left the frame since.
    total: Option<f64>,
    is_stale: bool,
    is_mean: bool,
}

impl Frame {
    fn total(&mut self) -> Option<f64> {
        if self.is_stale {
            self.total = self.values.iter().copied().reduce(|sum, value| sum + value);
            self.is_stale = false;
        }
        self.total
    }
}

fn only(values: &[ArrayRef]) -> Result<&Float64Array> {
    let floats = values.first().and_then(|values| values.as_primitive_opt::<Float64Type>());
    floats.map_or_else(|| exec_err!("a frame of floats was expected"), Ok)
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in only(values)?.iter().flatten() {
            self.values.push_back(value);
            self.total = Some(self.total.map_or(value, |sum| sum + value));
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = only(values)?;
        let leaving = (values.len() - values.null_count()).min(self.values.len());
        self.values.drain(..leaving);
        self.is_stale |= leaving > 0;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = self.total();
        let count = self.values.len() as f64;
        Ok(ScalarValue::Float64(if self.is_mean { total.map(|sum| sum / count) } else { total }))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        exec_err!("the frame of a window is not added up in parts")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        exec_err!("the frame of a window is not added up in parts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_leaves_a_frame_is_gone() {
        let array = |values: &[Option<f64>]| [Arc::new(Float64Array::from(values.to_vec())) as ArrayRef];
        let mut frame = Frame { values: VecDeque::new(), total: None, is_stale: false, is_mean: false };
        assert_eq!(frame.evaluate().unwrap(), ScalarValue::Float64(None));
        frame.update_batch(&array(&[Some(1e20), None, Some(f64::NAN)])).unwrap();
        assert!(matches!(frame.evaluate().unwrap(), ScalarValue::Float64(Some(sum)) if sum.is_nan()));
        frame.update_batch(&array(&[Some(1.0), Some(2.0)])).unwrap();
        frame.retract_batch(&array(&[Some(1e20), None, Some(f64::NAN)])).unwrap();
        assert_eq!(frame.evaluate().unwrap(), ScalarValue::Float64(Some(3.0)));
        frame.is_mean = true;
        assert_eq!(frame.evaluate().unwrap(), ScalarValue::Float64(Some(1.5)));
        frame.retract_batch(&array(&[Some(1.0), Some(2.0)])).unwrap();
        assert_eq!(frame.evaluate().unwrap(), ScalarValue::Float64(None));
    }
}
