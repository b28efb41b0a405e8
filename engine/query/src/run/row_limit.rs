//! The limit on the rows of one result.

use querygate_types::{Error, ErrorCode};

/// The error of a result with this number of rows, if that is more than it may have. `max`: `None` for any number.
pub(crate) fn exceeded(max: Option<u64>, rows: u64) -> Option<Error> {
    let max = max.filter(|max| rows > *max)?;
    let error = Error::new(ErrorCode::ProgramLimitExceeded, "the result has too many rows");
    Some(error.with_detail(format!("The limit is {max} rows.")))
}
