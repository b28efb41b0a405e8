//! JSON texts as Postgres reads, compares and prints them. Numbers keep their digits. Knows no array of rows.

pub(super) mod edit;
pub(super) mod jsonpath;
pub(super) mod of_value;
pub(super) mod order;
pub(super) mod path;

pub(super) use querygate_types::json::{print, tree};

use super::fault::external;
use datafusion::common::DataFusionError;
use querygate_types::{Error, ErrorCode};

/// The error for a text that is no JSON, without the text.
pub(super) fn invalid() -> DataFusionError {
    external(Error::new(ErrorCode::InvalidTextRepresentation, "invalid input syntax for type json"))
}
