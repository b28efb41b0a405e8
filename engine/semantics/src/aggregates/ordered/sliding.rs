//! `string_agg` over a frame that moves: what comes into it is put behind the others, and what leaves it is taken from the front. The
//! engine's knows frames that grow alone.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;
use std::collections::VecDeque;

/// The texts of one frame, in their order.
#[derive(Debug)]
pub(super) struct Sliding {
    between: String,
    texts: VecDeque<String>,
    /// Bytes of the texts.
    bytes: usize,
}

impl Sliding {
    pub(super) fn new(between: String) -> Self {
        Self { between, texts: VecDeque::new(), bytes: 0 }
    }
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return internal_err!("string_agg needs an argument") };
        let texts = arrow::compute::cast(values, &DataType::LargeUtf8)?;
        for text in texts.as_string::<i64>().iter().flatten() {
            self.bytes = self.bytes.saturating_add(text.len());
            self.texts.push_back(text.to_owned());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return internal_err!("string_agg needs an argument") };
        // NULLs were not kept.
        for _ in 0..values.len().saturating_sub(values.logical_null_count()) {
            let Some(text) = self.texts.pop_front() else { return internal_err!("a frame loses what it did not hold") };
            self.bytes = self.bytes.saturating_sub(text.len());
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let joined = (!self.texts.is_empty()).then(|| self.texts.make_contiguous().join(self.between.as_str()));
        Ok(ScalarValue::LargeUtf8(joined))
    }

    fn size(&self) -> usize {
        let places = self.texts.capacity().saturating_mul(size_of::<String>());
        size_of_val(self).saturating_add(self.between.capacity()).saturating_add(places).saturating_add(self.bytes)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("a frame is not merged with others")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use std::sync::Arc;

    type Texts<'a> = &'a [Option<&'a str>];

    #[test]
    fn texts_leave_in_the_order_in_which_they_came() {
        let batch = |texts: Texts<'_>| vec![Arc::new(StringArray::from(texts.to_vec())) as ArrayRef];
        let mut frame = Sliding::new("-".to_owned());
        assert_eq!(frame.evaluate().unwrap(), ScalarValue::LargeUtf8(None));
        let steps: [(Texts<'_>, Texts<'_>, Option<&str>); 5] = [
            (&[Some("a"), None, Some("b")], &[], Some("a-b")),
            (&[Some("")], &[Some("a"), None], Some("b-")),
            // A frame that jumps: what comes leaves at once.
            (&[Some("c"), Some("d")], &[Some("b"), Some(""), Some("c")], Some("d")),
            (&[None], &[Some("d")], None),
            (&[Some("e")], &[None], Some("e")),
        ];
        for (come, leave, joined) in steps {
            frame.update_batch(&batch(come)).unwrap();
            frame.retract_batch(&batch(leave)).unwrap();
            assert_eq!(frame.evaluate().unwrap(), ScalarValue::LargeUtf8(joined.map(str::to_owned)), "{come:?}");
        }
        assert!(frame.retract_batch(&batch(&[Some("e"), Some("f")])).is_err());
    }
}
