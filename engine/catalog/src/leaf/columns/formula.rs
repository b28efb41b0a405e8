//! Formula fields as physical expressions: computed inside the leaf, on rows that policy let through, from stored columns
//! that the reader sees unmasked.

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Float64Builder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Schema, TimeUnit, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;
use querygate_policy::formula::{Cell, Formula};
use querygate_types::{Error, ErrorCode};
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
pub(in crate::leaf) struct FormulaExpr {
    formula: Arc<Formula>,
    inputs: Vec<Arc<dyn PhysicalExpr>>,
    kinds: Vec<InputKind>,
    output: DataType,
}

impl FormulaExpr {
    /// `inputs`: the columns of the formula in their order; `output`: Utf8, Float64, Boolean or Date32.
    pub(in crate::leaf) fn new(column: &FormulaColumn, inputs: Vec<Arc<dyn PhysicalExpr>>, output: DataType) -> Self {
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
                    let text = format!("a formula makes more than {BATCH_TEXT_BYTES_MAX} bytes of text in one batch");
                    return Err(DataFusionError::External(Box::new(Error::new(ErrorCode::ProgramLimitExceeded, text))));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deployed, stack};
    use arrow::array::{Int32Array, StringArray};
    use datafusion::physical_expr::expressions::Column;
    use serde_json::json;

    /// A formula of the team's people, over their names and grades.
    fn formula(source: &str, output: DataType) -> FormulaExpr {
        let kind = match output {
            DataType::Float64 => "number",
            DataType::Boolean => "boolean",
            DataType::Date32 => "date",
            _ => "text",
        };
        let mut stack = stack();
        stack["objects"][0]["fields"]["made"] = json!({"type": "formula", "label": "f", "returnType": kind,
            "expression": {"dialect": "cel", "source": source}});
        let formula = Arc::clone(deployed(&stack, 1).policies.formula("team_people", "made").unwrap());
        let place = |name: &str| usize::from(name != "name");
        let kinds = [InputKind::Text, InputKind::Number];
        let inputs: Vec<_> = formula.inputs().iter().map(|name| (place(name), kinds[place(name)])).collect();
        let read =
            formula.inputs().iter().map(|name| Arc::new(Column::new(name, place(name))) as Arc<dyn PhysicalExpr>);
        FormulaExpr::new(&FormulaColumn { inputs, formula: Arc::clone(&formula) }, read.collect(), output)
    }

    fn people(names: Vec<Option<&str>>, grades: Vec<Option<i32>>) -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from(names));
        RecordBatch::try_from_iter_with_nullable([
            ("name", names, true),
            ("grade", Arc::new(Int32Array::from(grades)) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn made(source: &str, output: DataType) -> ArrayRef {
        let rows = people(vec![Some("Ann"), None, Some("Cid")], vec![Some(3), Some(9), None]);
        let expr = formula(source, output.clone());
        let made = expr.evaluate(&rows).unwrap().into_array(3).unwrap();
        assert_eq!((made.data_type(), expr.data_type(&rows.schema()).unwrap()), (&output, output.clone()));
        made
    }

    #[test]
    fn a_row_without_a_value_reads_null_and_the_others_theirs() {
        let texts = made("record.name + '!'", DataType::Utf8);
        assert_eq!(texts.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("Ann!"), None, Some("Cid!")]);
        let numbers = made("record.grade * 2", DataType::Float64);
        assert_eq!(numbers.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(6.0), Some(18.0), None]);
        let truths = made("record.grade > 3", DataType::Boolean);
        assert_eq!(truths.as_boolean().iter().collect::<Vec<_>>(), [Some(false), Some(true), None]);
    }

    #[test]
    fn a_value_of_another_type_than_the_declared_one_is_null() {
        for output in [DataType::Float64, DataType::Boolean, DataType::Date32] {
            assert_eq!(made("record.name + '!'", output.clone()).null_count(), 3, "{output}");
        }
        // Every value has a text.
        assert_eq!(made("record.grade > 3", DataType::Utf8).as_string::<i32>().value(1), "true");
        let none = formula("record.name", DataType::Utf8);
        let odd = FormulaExpr { output: DataType::Int16, ..none };
        assert!(odd.evaluate(&people(vec![Some("Ann")], vec![None])).is_err());
    }

    #[test]
    fn the_text_of_one_batch_is_bounded() {
        let name = "x".repeat(1_000_000);
        let rows = |count: usize| people(vec![Some(name.as_str()); count], vec![None; count]);
        let expr = formula("record.name + '!'", DataType::Utf8);
        assert!(expr.evaluate(&rows(2)).is_ok());
        let error = expr.evaluate(&rows(BATCH_TEXT_BYTES_MAX / name.len() + 1)).unwrap_err().to_string();
        assert!(error.contains("bytes of text in one batch") && !error.contains("xx"), "{error}");
    }

    #[test]
    fn a_formula_keeps_its_inputs() {
        let expr = Arc::new(formula("record.name + '!'", DataType::Utf8));
        let inputs: Vec<_> = expr.children().into_iter().cloned().collect();
        let again = Arc::clone(&expr).with_new_children(inputs).unwrap();
        assert!(again.downcast_ref::<FormulaExpr>().is_some_and(|again| *again == *expr));
        assert!(expr.with_new_children(Vec::new()).is_err());
    }
}
