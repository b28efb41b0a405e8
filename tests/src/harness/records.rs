//! The answer to a question as JSON records, as a door of ObjectStack's interface writes them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use querygate_query_api::outcome::Rows;
use querygate_query_api::requests::question::{AnswerColumn, JsonForm};
use querygate_query_api::values::wide_numeric::nearest_doubles;
use querygate_types::Result;
use serde_json::{Map, Value, json};

/// Records of an answer.
pub type Records = Vec<Map<String, Value>>;

pub(super) async fn records(columns: &[AnswerColumn], mut rows: Rows) -> Result<Records> {
    let mut records = Vec::new();
    while let Some(batch) = rows.batches.next().await {
        records.extend(records_of(columns, &batch?));
    }
    Ok(records)
}

/// The records of a batch.
#[must_use]
pub fn records_of(columns: &[AnswerColumn], batch: &RecordBatch) -> Records {
    assert_eq!(batch.num_columns(), columns.len(), "columns as described");
    let record = |at: usize| {
        let cells = columns.iter().zip(batch.columns());
        cells.map(|(column, array)| (column.name.clone(), cell(array, at, column.form))).collect()
    };
    (0..batch.num_rows()).map(record).collect()
}

fn cell(array: &ArrayRef, at: usize, form: JsonForm) -> Value {
    if array.is_null(at) {
        return Value::Null;
    }
    let text = |array: &ArrayRef, at: usize| {
        ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default()).unwrap().value(at).to_string()
    };
    match form {
        JsonForm::Number => {
            let float = match array.as_binary_opt::<i64>() {
                Some(cells) => nearest_doubles(cells).unwrap().value(at),
                None => text(array, at).parse().unwrap(),
            };
            if float.fract() == 0.0 && float.abs() < 9e15 { json!(float as i64) } else { json!(float) }
        }
        JsonForm::Boolean => json!(array.as_boolean().value(at)),
        JsonForm::List => {
            let members = array.as_list::<i32>().value(at);
            (0..members.len()).map(|at| cell(&members, at, JsonForm::Text)).collect()
        }
        JsonForm::Json => serde_json::from_str(&text(array, at)).unwrap(),
        JsonForm::Bytes => json!(querygate_types::bytes::text(array.as_binary::<i32>().value(at))),
        JsonForm::Text | JsonForm::Date | JsonForm::Instant | JsonForm::Time => json!(text(array, at)),
    }
}
