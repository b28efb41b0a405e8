//! Formula fields as physical expressions: computed inside the leaf, on rows that policy let through, from stored columns
//! that the reader sees unmasked.

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Float64Builder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Schema, TimeUnit, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;
use querygate_policy::formula::{Cell, Formula};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Most text that formulas make of one batch, in bytes: far below what an Arrow text array holds.
const BATCH_TEXT_BYTES_MAX: usize = 64 << 20;

/// What a formula reads of a stored column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum InputKind {
    Text,
    Number,
    Boolean,
    Date,
    Timestamp,
    TextList,
}

impl InputKind {
    fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Self::TextList => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        }
    }
}

/// A formula over columns of the raw provider.
#[derive(Debug, Clone)]
pub struct FormulaColumn {
    pub(crate) formula: Arc<Formula>,
    /// Index in the raw provider's schema and kind, in the order of the formula's inputs.
    pub(crate) inputs: Vec<(usize, InputKind)>,
}

/// A formula in the leaf's own projection. A row for which it has no value reads null (ObjectStack reference, section 4).
#[derive(Debug, Clone)]
pub(super) struct FormulaExpr {
    formula: Arc<Formula>,
    inputs: Vec<Arc<dyn PhysicalExpr>>,
    kinds: Vec<InputKind>,
    output: DataType,
}

impl FormulaExpr {
    /// `inputs`: the columns of the formula in their order; `output`: Utf8, Float64, Boolean or Date32.
    pub(super) fn new(column: &FormulaColumn, inputs: Vec<Arc<dyn PhysicalExpr>>, output: DataType) -> Self {
        let kinds = column.inputs.iter().map(|(_, kind)| *kind).collect();
        Self { formula: Arc::clone(&column.formula), inputs, kinds, output }
    }

    fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.inputs
            .iter()
            .zip(&self.kinds)
            .map(|(input, kind)| {
                let values = input.evaluate(batch)?.into_array(batch.num_rows())?;
                Ok(cast(&values, &kind.arrow())?)
            })
            .collect()
    }
}

fn cell(column: &ArrayRef, kind: InputKind, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    match kind {
        InputKind::Text => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
        InputKind::Number => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        InputKind::Boolean => Cell::Boolean(column.as_boolean().value(row)),
        InputKind::Date => Cell::Date(column.as_primitive::<Date32Type>().value(row)),
        InputKind::Timestamp => Cell::Timestamp(column.as_primitive::<TimestampMillisecondType>().value(row)),
        InputKind::TextList => {
            let items = column.as_list::<i32>().value(row);
            let texts = items.as_string::<i32>().iter();
            Cell::List(texts.map(|text| text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))).collect())
        }
    }
}

/// A builder of the declared type; a value of another type is null there.
enum Output {
    Text(StringBuilder),
    Number(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
}

impl Output {
    fn new(output: &DataType) -> Result<Self> {
        Ok(match output {
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Float64 => Self::Number(Float64Builder::new()),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            other => return internal_err!("a formula of type {other}"),
        })
    }

    fn append(&mut self, value: Option<Cell>) -> Result<()> {
        match self {
            Self::Text(builder) => {
                let text = value.and_then(|value| value.render().ok());
                let made = builder.values_slice().len() + text.as_ref().map_or(0, String::len);
                if made > BATCH_TEXT_BYTES_MAX {
                    return exec_err!("a formula makes more than {BATCH_TEXT_BYTES_MAX} bytes of text in one batch");
                }
                builder.append_option(text);
            }
            Self::Number(builder) => builder.append_option(match value {
                #[expect(clippy::cast_precision_loss, reason = "numbers of records are doubles")]
                Some(Cell::Integer(n)) => Some(n as f64),
                Some(Cell::Float(n)) => Some(n),
                _ => None,
            }),
            Self::Boolean(builder) => builder.append_option(match value {
                Some(Cell::Boolean(truth)) => Some(truth),
                _ => None,
            }),
            Self::Date(builder) => builder.append_option(value.and_then(|value| value.day())),
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Number(mut builder) => Arc::new(builder.finish()),
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Date(mut builder) => Arc::new(builder.finish()),
        }
    }
}

impl PartialEq for FormulaExpr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.formula, &other.formula) && self.inputs == other.inputs && self.output == other.output
    }
}

impl Eq for FormulaExpr {}

impl Hash for FormulaExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inputs.hash(state);
        self.output.hash(state);
    }
}

impl fmt::Display for FormulaExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("formula")
    }
}

impl PhysicalExpr for FormulaExpr {
    fn data_type(&self, _input_schema: &Schema) -> Result<DataType> {
        Ok(self.output.clone())
    }

    fn nullable(&self, _input_schema: &Schema) -> Result<bool> {
        Ok(true)
    }

    /// `now()` and `today()` are those of the moment when the batch is computed.
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let columns = self.columns(batch)?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let mut output = Output::new(&self.output)?;
        let mut cells = Vec::with_capacity(columns.len());
        for row in 0..batch.num_rows() {
            cells.clear();
            cells.extend(columns.iter().zip(&self.kinds).map(|(column, kind)| cell(column, *kind, row)));
            output.append(self.formula.evaluate(&cells, now_ms).ok())?;
        }
        Ok(ColumnarValue::Array(output.finish()))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.inputs.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, inputs: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        if inputs.len() != self.inputs.len() {
            return internal_err!("a formula has {} inputs, not {}", self.inputs.len(), inputs.len());
        }
        Ok(Arc::new(Self { inputs, ..self.as_ref().clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("formula")
    }
}
