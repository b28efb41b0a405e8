//! `sum` and `avg` of doubles over a frame that moves. What leaves the frame cannot be taken off a sum again: of a large value its
//! rounding error would stay, and of an infinity or NaN that itself. So each row's frame is added up from its beginning, as PostgreSQL
//! does. Knows no other type.

use super::plain_nan::plain;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::AccumulatorArgs;
use std::collections::VecDeque;

/// What is computed of a frame's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Sum,
    Mean,
}

/// The values of a frame, in their order.
#[derive(Debug)]
pub(super) struct FrameSum {
    values: VecDeque<f64>,
    of: Of,
}

/// Whether doubles are added up, each as often as it is there.
pub(super) fn is_one(args: &AccumulatorArgs) -> bool {
    !args.is_distinct && matches!(args.expr_fields, [field] if *field.data_type() == DataType::Float64)
}

impl FrameSum {
    pub(super) fn new(of: Of) -> Self {
        Self { values: VecDeque::new(), of }
    }
}

fn only(values: &[ArrayRef]) -> Result<&Float64Array> {
    let [values] = values else { return exec_err!("a sum is of one column") };
    Ok(values.as_primitive::<Float64Type>())
}

impl Accumulator for FrameSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(only(values)?.iter().flatten());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = only(values)?;
        self.values.drain(..(values.len() - values.null_count()).min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.values.iter().copied().reduce(|sum, value| sum + value);
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        let count = self.values.len() as f64;
        let result = sum.map(|sum| match self.of {
            Of::Sum => sum,
            Of::Mean => sum / count,
        });
        Ok(plain(ScalarValue::Float64(result)))
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

    /// Each value enters, and the one before the last leaves.
    fn over_two(of: Of, values: &[Option<f64>]) -> Vec<String> {
        let mut frame = FrameSum::new(of);
        let column = |value: Option<f64>| -> [ArrayRef; 1] { [Arc::new(Float64Array::from(vec![value]))] };
        let mut results = Vec::new();
        for (at, value) in values.iter().enumerate() {
            frame.update_batch(&column(*value)).unwrap();
            if at > 1 {
                frame.retract_batch(&column(values[at - 2])).unwrap();
            }
            let ScalarValue::Float64(result) = frame.evaluate().unwrap() else { panic!("a double") };
            results.push(result.map_or_else(|| "NULL".to_owned(), |result| result.to_string()));
        }
        results
    }

    #[test]
    fn what_leaves_a_frame_leaves_nothing_behind() {
        let large = [Some(1e20), Some(1.0), Some(2.0), None, None, Some(4.0)];
        assert_eq!(
            over_two(Of::Sum, &large),
            ["100000000000000000000", "100000000000000000000", "3", "2", "NULL", "4"]
        );
        let endless = [Some(f64::INFINITY), Some(1.0), Some(2.0), Some(f64::NAN), Some(4.0), Some(5.0)];
        assert_eq!(over_two(Of::Mean, &endless), ["inf", "inf", "1.5", "NaN", "NaN", "4.5"]);
    }
}
