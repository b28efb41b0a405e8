//! Queries of the door's own, on the principal's session: values are bound, results come as texts.

use crate::sessions::statement::{Ran, describe, run};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use futures::StreamExt as _;
use querygate_query_api::service::Session;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// Rows of one catalog query that the door takes; a larger catalog is refused rather than cut.
const ROWS_MAX: usize = 1_000_000;

/// Runs a query of the door's own on the principal's session; every value as text.
pub(crate) async fn ask(
    engine: &Arc<dyn Session>,
    sql: &'static str,
    values: &[&str],
) -> Result<Vec<Vec<Option<String>>>> {
    let described = describe(engine, sql, &vec![Some(PgType::Text); values.len()]).await?;
    let values: Vec<ArrayRef> =
        values.iter().map(|value| Arc::new(StringArray::from(vec![*value])) as ArrayRef).collect();
    let Ran::Rows(mut batches) = run(engine, &described.prepared, &values).await? else {
        return Err(Error::internal("a query of the door's own gave no rows"));
    };
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.inspect_err(|_| engine.fail_transaction())?;
        if rows.len() + batch.num_rows() > ROWS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "the catalog has too many rows for this command"));
        }
        append(&batch, &mut rows)?;
    }
    Ok(rows)
}

fn append(batch: &RecordBatch, rows: &mut Vec<Vec<Option<String>>>) -> Result<()> {
    let texts: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|column| cast(column, &DataType::Utf8))
        .collect::<std::result::Result<_, _>>()
        .map_err(Error::internal)?;
    for row in 0..batch.num_rows() {
        let value = |column: &ArrayRef| {
            let texts = column.as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row).to_owned())
        };
        rows.push(texts.iter().map(value).collect());
    }
    Ok(())
}

/// Sets a setting of an engine session, with the value bound, not written.
pub(crate) async fn set_config(engine: &Arc<dyn Session>, name: &str, value: &str) -> Result<()> {
    ask(engine, "SELECT set_config($1, $2, false)", &[name, value]).await.map(drop)
}
