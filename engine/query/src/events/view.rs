//! Raw rows as one reader sees them: columns of a governed table, masked as a SELECT masks them. Decides nothing.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use querygate_catalog::VisibleObject;
use querygate_query_api::requests::question::{AnswerColumn, ObjectDescription};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// Prints rows as objects of JSON.
pub(crate) type Print = fn(&Arc<[AnswerColumn]>, &RecordBatch, &mut String) -> Result<()>;

/// The key of a record, printed as its reader sees it.
pub(crate) type KeyText = String;

/// Rows as their reader sees them.
#[derive(Debug)]
pub(crate) struct View {
    columns: Arc<[AnswerColumn]>,
    batch: RecordBatch,
    /// Columns of the key.
    key_columns: Arc<[AnswerColumn]>,
    key: RecordBatch,
    /// Columns whose values are the row's own and no formula's.
    stored: Vec<bool>,
}

/// Rows in the order of the provider's columns. What the object has gained since is NULL.
///
/// # Errors
/// Internal: no batch can be made.
pub(crate) fn aligned(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let count = rows.num_rows();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        let values = rows.column_by_name(field.name()).map(Arc::clone);
        let values = values.unwrap_or_else(|| new_null_array(field.data_type(), count));
        fields.push(field.as_ref().clone().with_data_type(values.data_type().clone()).with_nullable(true));
        columns.push(values);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(Error::internal)
}

impl View {
    /// # Errors
    /// Internal: no batch can be made.
    pub(crate) fn of(
        visible: &VisibleObject,
        description: &ObjectDescription,
        key: &[String],
        raw: &RecordBatch,
    ) -> Result<Self> {
        let (mut columns, mut arrays, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        for column in visible.table.columns() {
            let Some(field) = description.field(column.field.name()) else { continue };
            // A value that cannot be shown as a SELECT would show it is not shown.
            let Ok(Some(values)) = column.view(raw) else { continue };
            let Ok(values) = cast(&values, column.field.data_type()) else { continue };
            columns.push(AnswerColumn { name: field.name.clone(), form: field.form, field: Some(Arc::clone(field)) });
            arrays.push(values);
            stored.push(column.is_stored());
        }
        let of_key: Vec<usize> =
            key.iter().filter_map(|name| columns.iter().position(|column| column.name == *name)).collect();
        let own = |place: &usize| Some((columns.get(*place)?.clone(), Arc::clone(arrays.get(*place)?)));
        let (key_columns, key_arrays): (Vec<_>, Vec<_>) = of_key.iter().filter_map(own).unzip();
        Ok(Self {
            batch: batch(&columns, arrays, raw.num_rows())?,
            columns: columns.into(),
            key: batch(&key_columns, key_arrays, raw.num_rows())?,
            key_columns: key_columns.into(),
            stored,
        })
    }

    /// # Errors
    /// A value that cannot be printed.
    pub(crate) fn record(&self, print: Print, row: usize) -> Result<String> {
        printed(print, &self.columns, &self.batch, row)
    }

    /// # Errors
    /// A value that cannot be printed.
    pub(super) fn key(&self, print: Print, row: usize) -> Result<KeyText> {
        printed(print, &self.key_columns, &self.key, row)
    }

    /// Names of the columns in which a row of this view and of another differ.
    pub(super) fn changed(&self, row: usize, other: &Self) -> Vec<String> {
        let columns = self.columns.iter().zip(self.batch.columns()).zip(&self.stored);
        let differs = |(column, values): (&AnswerColumn, &ArrayRef)| {
            let place = other.columns.iter().position(|theirs| theirs.name == column.name);
            let theirs = place.and_then(|place| other.batch.columns().get(place));
            theirs.is_none_or(|theirs| values.slice(row, 1).to_data() != theirs.slice(row, 1).to_data())
        };
        columns
            .filter(|((column, values), stored)| **stored && differs((*column, *values)))
            .map(|((column, _), _)| column.name.clone())
            .collect()
    }
}

fn batch(columns: &[AnswerColumn], arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let fields = columns.iter().zip(&arrays);
    let fields =
        fields.map(|(column, values)| arrow::datatypes::Field::new(&column.name, values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(Error::internal)
}

fn printed(print: Print, columns: &Arc<[AnswerColumn]>, batch: &RecordBatch, row: usize) -> Result<String> {
    let mut text = String::new();
    print(columns, &batch.slice(row, 1), &mut text)?;
    Ok(text)
}
