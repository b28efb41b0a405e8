//! Rows of text that the gate makes itself: SHOW, EXPLAIN.

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use querygate_query_api::column::Column;
use querygate_query_api::outcome::{CommandTag, Outcome, Rows};
use querygate_types::{Error, PgType, Result};
use std::sync::Arc;

pub(crate) fn text_column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        pg_type: PgType::Text,
        enum_oid: None,
        type_modifier: -1,
        table_oid: 0,
        attribute: 0,
    }
}

/// Rows of text columns.
pub(crate) fn text_rows(names: &[&str], values: Vec<Vec<String>>, tag: &'static str) -> Result<Outcome> {
    let schema = Arc::new(Schema::new(names.iter().map(|n| Field::new(*n, DataType::Utf8, true)).collect::<Vec<_>>()));
    let arrays = values.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(Error::internal)?;
    let columns: Vec<Column> = names.iter().map(|n| text_column(n)).collect();
    let batches = futures::stream::iter([Ok(batch)]).boxed();
    let tag = if matches!(tag, "SHOW" | "CALL") { CommandTag::Fixed(tag.to_owned()) } else { CommandTag::Counted(tag) };
    Ok(Outcome::Rows(Rows { columns: columns.into(), schema, batches, tag }))
}
