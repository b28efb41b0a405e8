//! Keys of spans of dates, as texts, in the session's time zone.

use super::refusal::query;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, lit};
use querygate_query_api::requests::question::{Bucket, JsonForm};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// The key of a value's span. `form`: of the field.
///
/// # Errors
/// `INVALID_QUERY` of a field that holds no dates.
pub(super) fn key(state: &SessionState, name: &str, column: Expr, form: JsonForm, bucket: Bucket) -> Result<Expr> {
    match form {
        JsonForm::Date | JsonForm::Instant => {}
        JsonForm::Text
        | JsonForm::Bytes
        | JsonForm::Number
        | JsonForm::Boolean
        | JsonForm::Time
        | JsonForm::List
        | JsonForm::Json => {
            return Err(query(format!("'{name}' holds no dates: it has no {}", bucket.name())));
        }
    }
    let function = state.scalar_functions().get("to_char").ok_or_else(|| Error::internal("to_char is gone"))?;
    Ok(Arc::clone(function).call(vec![column, lit(pattern(bucket))]))
}

const fn pattern(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Day => "YYYY-MM-DD",
        Bucket::Week => "IYYY\"-W\"IW",
        Bucket::Month => "YYYY-MM",
        Bucket::Quarter => "YYYY\"-Q\"Q",
        Bucket::Year => "YYYY",
    }
}
