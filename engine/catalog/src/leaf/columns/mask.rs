//! Masks as physical expressions: the value a reader gets instead of the stored one (ObjectStack masking rules).

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;
use querygate_policy::Mask;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Replaces one text value. Null stays null and is never handed in.
pub trait MaskText: Send + Sync {
    /// The masked text.
    ///
    /// # Errors
    /// There is none; without the value.
    fn mask(&self, value: &str) -> querygate_types::Result<String>;
    /// Same rule, same number: lets equal plans compare equal.
    fn fingerprint(&self) -> u64;
    /// The rule, where another process can apply it: one of metadata, and not of an extension.
    fn rule(&self) -> Option<Mask> {
        None
    }
}

/// A mask of one column. The result is text; a list is masked element by element.
#[derive(Clone)]
pub struct ColumnMask {
    rule: Arc<dyn MaskText>,
}

impl ColumnMask {
    #[must_use]
    pub fn new(rule: Arc<dyn MaskText>) -> Self {
        Self { rule }
    }

    /// The mask of a rule of metadata.
    #[must_use]
    pub fn of(rule: Mask) -> Self {
        Self::new(Arc::new(TextMask(rule)))
    }

    /// Type of a masked column whose stored type is `stored`.
    #[must_use]
    pub fn output_type(stored: &DataType) -> DataType {
        match stored {
            DataType::List(_) => DataType::List(Field::new("item", DataType::Utf8, true).into()),
            _ => DataType::Utf8,
        }
    }

    /// The rule of metadata that it applies.
    #[must_use]
    pub fn rule(&self) -> Option<Mask> {
        self.rule.rule()
    }

    pub(super) fn apply(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if let DataType::List(_) = values.data_type() {
            let list = values.as_list::<i32>();
            let masked = self.apply_scalar(list.values())?;
            let item = Arc::new(Field::new("item", DataType::Utf8, true));
            let result = ListArray::try_new(item, list.offsets().clone(), masked, list.nulls().cloned())?;
            return Ok(Arc::new(result));
        }
        self.apply_scalar(values)
    }

    fn apply_scalar(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if values.data_type() == &DataType::Boolean {
            // The length of a masked truth value would tell which one it is.
            let stars = (0..values.len()).map(|row| values.is_valid(row).then_some("***"));
            return Ok(Arc::new(stars.collect::<StringArray>()));
        }
        let text = cast(values, &DataType::Utf8)?;
        let Some(text) = text.as_any().downcast_ref::<StringArray>() else {
            return internal_err!("a mask met a value without text form");
        };
        let mut out = StringBuilder::with_capacity(text.len(), text.value_data().len());
        for value in text {
            let masked = value.map(|value| self.rule.mask(value)).transpose();
            out.append_option(masked.map_err(|error| DataFusionError::External(Box::new(error)))?);
        }
        Ok(Arc::new(out.finish()))
    }
}

impl fmt::Debug for ColumnMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mask")
    }
}

impl PartialEq for ColumnMask {
    fn eq(&self, other: &Self) -> bool {
        self.rule.fingerprint() == other.rule.fingerprint()
    }
}

impl Eq for ColumnMask {}

impl Hash for ColumnMask {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule.fingerprint().hash(state);
    }
}

/// A rule of metadata.
struct TextMask(Mask);

impl MaskText for TextMask {
    fn mask(&self, value: &str) -> querygate_types::Result<String> {
        self.0.apply(value)
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        format!("{:?}", self.0).hash(&mut hasher);
        hasher.finish()
    }

    fn rule(&self) -> Option<Mask> {
        match &self.0 {
            Mask::Native(_) => None,
            Mask::Keep { .. } | Mask::Email | Mask::Full | Mask::Bullets => Some(self.0.clone()),
        }
    }
}

/// `mask(input)` in the leaf's own projection.
#[derive(Debug, Clone, Eq)]
pub(crate) struct MaskExpr {
    input: Arc<dyn PhysicalExpr>,
    mask: ColumnMask,
    output_type: DataType,
}

impl MaskExpr {
    pub(crate) fn new(input: Arc<dyn PhysicalExpr>, mask: ColumnMask, stored: &DataType) -> Self {
        Self { input, mask, output_type: ColumnMask::output_type(stored) }
    }
}

impl PartialEq for MaskExpr {
    fn eq(&self, other: &Self) -> bool {
        self.input.eq(&other.input) && self.mask == other.mask && self.output_type == other.output_type
    }
}

impl Hash for MaskExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.mask.hash(state);
    }
}

impl fmt::Display for MaskExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mask")
    }
}

impl PhysicalExpr for MaskExpr {
    fn data_type(&self, _input_schema: &Schema) -> Result<DataType> {
        Ok(self.output_type.clone())
    }

    fn nullable(&self, _input_schema: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.input.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(self.mask.apply(&values)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let Some(input) = children.pop() else {
            return internal_err!("a mask has one input");
        };
        Ok(Arc::new(Self { input, mask: self.mask.clone(), output_type: self.output_type.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mask")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::BooleanArray;
    use arrow::buffer::OffsetBuffer;

    /// As many stars as the value has letters.
    struct Letters;

    impl MaskText for Letters {
        fn mask(&self, value: &str) -> querygate_types::Result<String> {
            Ok("*".repeat(value.chars().count()))
        }
        fn fingerprint(&self) -> u64 {
            1
        }
    }

    #[test]
    fn masked_truth_values_are_alike_in_lists_too() {
        let mask = ColumnMask::new(Arc::new(Letters));
        let truths: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
        let masked = mask.apply(&truths).unwrap();
        let expected = StringArray::from(vec![Some("***"), Some("***"), None]);
        assert_eq!(masked.as_string::<i32>(), &expected);
        let item = Arc::new(Field::new("item", DataType::Boolean, true));
        let list = ListArray::try_new(item, OffsetBuffer::from_lengths([2, 1]), truths, None).unwrap();
        let masked = mask.apply(&(Arc::new(list) as ArrayRef)).unwrap();
        assert_eq!(masked.as_list::<i32>().values().as_string::<i32>(), &expected);
    }
}
