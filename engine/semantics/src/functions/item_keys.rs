//! What items of arrays are told apart by, where values are equal that are stored otherwise.

use super::Row;
use super::json::order_key;
use crate::numbers::wide;
use crate::times::interval_length::{self, INTERVAL};
use arrow::array::{ArrayRef, AsArray, BinaryBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::utils::normalize_float_zero;
use querygate_resources::proceed;
use std::sync::Arc;

/// Whether an argument is jsonb, or an array of it, as its field says: to the engine these are texts.
pub(super) fn is_jsonb(row: &Row<'_>, arg: usize) -> bool {
    matches!(row.pg_type(arg), Some("jsonb" | "_jsonb"))
}

/// The keys of items: of numerics of any width, of intervals, and of jsonb. A zero has no sign.
pub(super) fn of(items: &ArrayRef, is_jsonb: bool) -> Result<ArrayRef> {
    Ok(match items.data_type() {
        DataType::Utf8 if is_jsonb => {
            let mut keys = BinaryBuilder::new();
            for text in items.as_string::<i32>() {
                proceed()?;
                keys.append_option(text.map(order_key).transpose()?);
            }
            Arc::new(keys.finish())
        }
        interval if *interval == INTERVAL => interval_length::lengths(items),
        _ => normalize_float_zero(&wide::keys(items)),
    })
}
