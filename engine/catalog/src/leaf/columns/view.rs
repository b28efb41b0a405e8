//! Stored rows as their reader sees them, column by column, outside of a scan. Decides nothing: the columns are those of a governed
//! table.

use super::formula::{FormulaColumn, FormulaExpr};
use super::reading::ReadingExpr;
use crate::leaf::table::{ColumnOrigin, GovernedColumn};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::PhysicalExpr;
use querygate_types::{Error, Result};
use std::sync::Arc;

impl GovernedColumn {
    /// Whether its source has it, in whatever form.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.origin, ColumnOrigin::Raw(_) | ColumnOrigin::Text(..))
    }

    /// Its values in rows that have the raw provider's first columns, as the reader sees them. `None`: a column that they are made
    /// of is not there, or a mask is over values that are not texts.
    ///
    /// # Errors
    /// A mask that cannot be applied, a text that cannot be read.
    pub fn view(&self, raw: &RecordBatch) -> Result<Option<ArrayRef>> {
        let made = match (&self.origin, &self.mask) {
            (ColumnOrigin::Raw(index), None) => return Ok(raw.columns().get(*index).map(Arc::clone)),
            (ColumnOrigin::Raw(index), Some(mask)) => {
                let texts = raw.columns().get(*index).filter(|values| *values.data_type() == DataType::Utf8);
                return texts.map(|values| mask.apply(values).map_err(own_error)).transpose();
            }
            (ColumnOrigin::Text(index, reading), None) => column_of(raw, *index)
                .map(|column| Arc::new(ReadingExpr::new(column, *reading)) as Arc<dyn PhysicalExpr>),
            (ColumnOrigin::Formula(formula), None) => self.formula_over(formula, raw),
            (ColumnOrigin::Text(..) | ColumnOrigin::Formula(_), Some(_)) => None,
        };
        let Some(made) = made else { return Ok(None) };
        let values = made.evaluate(raw).and_then(|values| values.into_array(raw.num_rows()));
        values.map(Some).map_err(own_error)
    }

    fn formula_over(&self, formula: &FormulaColumn, raw: &RecordBatch) -> Option<Arc<dyn PhysicalExpr>> {
        let inputs = formula.inputs.iter().map(|(index, _)| column_of(raw, *index)).collect::<Option<_>>()?;
        Some(Arc::new(FormulaExpr::new(formula, inputs, self.field.data_type().clone())))
    }

    /// Whether [`view`](Self::view) has its values of every row, and the same ones again of the same row. A formula may ask for the
    /// time, and a text may be one that cannot be read: it must not stand in the way of a change that does not look at it.
    #[must_use]
    pub fn is_viewed(&self) -> bool {
        match (&self.origin, &self.mask) {
            (ColumnOrigin::Raw(_), None) => true,
            (ColumnOrigin::Raw(_), Some(_)) => *self.field.data_type() == DataType::Utf8,
            (ColumnOrigin::Text(..) | ColumnOrigin::Formula(_), _) => false,
        }
    }

    /// Whether [`view`](Self::view) has its values.
    #[must_use]
    pub fn is_given_back(&self) -> bool {
        match (&self.origin, &self.mask) {
            (ColumnOrigin::Raw(_), _) => self.is_viewed(),
            (ColumnOrigin::Text(..) | ColumnOrigin::Formula(_), mask) => mask.is_none(),
        }
    }
}

fn column_of(raw: &RecordBatch, index: usize) -> Option<Arc<dyn PhysicalExpr>> {
    let schema = raw.schema_ref();
    schema.fields().get(index).map(|field| Arc::new(Column::new(field.name(), index)) as Arc<dyn PhysicalExpr>)
}

/// The gate's own error, where it is one.
fn own_error(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(cause) => match cause.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::internal(other),
        },
        other => Error::internal(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::TextReading;
    use crate::testing::{deployed, stack, visible};
    use arrow::array::{Array as _, AsArray as _};
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    /// A column's name, whether it is stored, and its texts.
    type Shown = (String, bool, Option<Vec<Option<String>>>);

    /// What a reader is shown of the team's stored people.
    async fn shown(reader: &str) -> Vec<Shown> {
        let deployment = deployed(&stack(), 1);
        let raw = Arc::clone(&deployment.tables["team_people"].provider);
        let stored = SessionContext::new().read_table(raw).unwrap().collect().await.unwrap();
        let people =
            visible(&deployment, reader).into_iter().find(|visible| visible.object.name == "team_people").unwrap();
        let column = |column: &super::GovernedColumn| {
            let view = column.view(&stored[0]).unwrap();
            assert_eq!(view.is_some(), column.is_given_back(), "{column:?}");
            let texts = view.map(|view| match view.as_string_opt::<i32>() {
                Some(texts) => texts.iter().map(|text| text.map(str::to_owned)).collect(),
                None => vec![None; view.len()],
            });
            (column.field.name().clone(), column.is_stored(), texts)
        };
        people.table.columns().iter().map(column).collect()
    }

    #[test]
    fn texts_are_read_as_a_scan_reads_them() {
        let texts: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["1.50", "2"]));
        let raw = RecordBatch::try_from_iter([("n", texts)]).unwrap();
        let reading = TextReading::Numeric;
        let column = GovernedColumn {
            field: arrow::datatypes::Field::new("n", reading.arrow(), true),
            origin: ColumnOrigin::Text(0, reading),
            mask: None,
        };
        assert!(column.is_given_back() && !column.is_viewed());
        assert_eq!(column.view(&raw).unwrap().unwrap().data_type(), &reading.arrow());
        let wrong: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["one"]));
        let refused = column.view(&RecordBatch::try_from_iter([("n", wrong)]).unwrap()).unwrap_err();
        assert_eq!(refused.code(), querygate_types::ErrorCode::DataException);
        let none = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
        assert!(column.view(&none).unwrap().is_none());
    }

    fn of<'a>(shown: &'a [Shown], name: &str) -> Option<&'a Shown> {
        shown.iter().find(|(column, ..)| column == name)
    }

    #[tokio::test]
    async fn stored_rows_are_shown_as_their_reader_sees_them() {
        let (chief, clerk) = (shown("chief").await, shown("clerk").await);
        let phones = |phones: [Option<&str>; 3]| Some(phones.map(|phone| phone.map(str::to_owned)).to_vec());
        assert_eq!(of(&chief, "phone").unwrap().2, phones([Some("5551771"), None, Some("5553993")]));
        assert_eq!(of(&clerk, "phone").unwrap().2, phones([Some("*****71"), None, Some("*****93")]));
        assert!(of(&chief, "zone").is_some() && of(&clerk, "zone").is_none(), "a hidden field has no column");
        let (_, stored, loud) = of(&clerk, "loud").unwrap();
        assert!(!stored);
        assert_eq!(loud, &Some(["Ann!", "Bob!", "Cid!"].map(|text| Some(text.to_owned())).to_vec()));
        assert!(of(&clerk, "shown").is_none(), "a formula over a masked field would tell it");
    }
}
