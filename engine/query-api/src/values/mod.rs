//! Values whose meaning is PostgreSQL's and whose bytes are ours: doors that show them and engines that compute with them mean the same.
//! Knows no session.

pub mod interval;
pub mod network;
pub mod timetz;
pub mod wide_numeric;
pub mod zone;
mod zone_rules;

use querygate_types::{Error, ErrorCode, Result};

/// Bytes of the text of a value within a row or an array at most. Quotes around it double those that are in it, at each level anew, so
/// that a short statement could ask for texts without end.
const NESTED_TEXT_BYTES_MAX: usize = 64 << 20;

/// Admits a text that is to stand in quotes within a row or an array, by its length in bytes.
///
/// # Errors
/// 54000: it is too long for that.
pub fn admit_nested_text(bytes: usize) -> Result<()> {
    if bytes > NESTED_TEXT_BYTES_MAX {
        let message = "a value within a row or an array is longer than 64 MiB as a text";
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, message));
    }
    Ok(())
}
