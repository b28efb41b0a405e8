//! Stored rows as their reader sees them, column by column, outside of a scan. Decides nothing: the columns are those of a governed
//! table.

use super::table::{ColumnOrigin, GovernedColumn};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use querygate_types::{Error, Result};
use std::sync::Arc;

impl GovernedColumn {
    /// Whether its source has it, in whatever form.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.origin, ColumnOrigin::Raw(_) | ColumnOrigin::Text(..))
    }

    /// Its values in rows that have the raw provider's first columns, as the reader sees them. `None`: they are not made of that
    /// column alone, or not of texts where a mask is over them.
    ///
    /// # Errors
    /// A mask that cannot be applied.
    pub fn view(&self, raw: &RecordBatch) -> Result<Option<ArrayRef>> {
        let ColumnOrigin::Raw(index) = &self.origin else { return Ok(None) };
        let Some(values) = raw.columns().get(*index) else { return Ok(None) };
        match &self.mask {
            None => Ok(Some(Arc::clone(values))),
            Some(mask) if *values.data_type() == DataType::Utf8 => {
                mask.apply(values).map(Some).map_err(Error::internal)
            }
            Some(_) => Ok(None),
        }
    }

    /// Whether [`view`](Self::view) has its values.
    #[must_use]
    pub fn is_viewed(&self) -> bool {
        self.is_open() || (matches!(self.origin, ColumnOrigin::Raw(_)) && *self.field.data_type() == DataType::Utf8)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{deployed, stack, visible};
    use arrow::array::{Array as _, AsArray as _};
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    /// A column's name, whether it is stored, and its texts; `None`: they are not made of a stored column alone.
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
            assert!(view.is_none() || column.is_viewed(), "{column:?}");
            let texts = view.map(|view| match view.as_string_opt::<i32>() {
                Some(texts) => texts.iter().map(|text| text.map(str::to_owned)).collect(),
                None => vec![None; view.len()],
            });
            (column.field.name().clone(), column.is_stored(), texts)
        };
        people.table.columns().iter().map(column).collect()
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
        let (_, stored, view) = of(&clerk, "loud").unwrap();
        assert!(!stored && view.is_none(), "a formula is computed where all its inputs are");
        assert!(of(&clerk, "shown").is_none(), "a formula over a masked field would tell it");
    }
}
