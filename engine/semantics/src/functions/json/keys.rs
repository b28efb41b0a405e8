//! What values of jsonb are compared by. A text that hides a value is no JSON, and stays one.

use crate::json::order;
use crate::json::print::text;
use crate::json::tree::{Json, parse, weight};
use datafusion::common::Result;
use querygate_resources::work;

/// The bytes of a value, in order as a string where it is hidden.
pub(in crate::functions) fn order_key(value: &str) -> Result<Vec<u8>> {
    work(weight(value))?;
    order::key(parse(value).unwrap_or_else(|| Json::String(value.to_owned()).node()))
}

/// The one text of all values that are equal.
pub(super) fn shortest(value: &str) -> Result<String> {
    work(weight(value))?;
    Ok(parse(value).map_or_else(|| value.to_owned(), |node| text(&order::shortest(node))))
}
