//! The server's refusals of changes as our codes. Its own texts quote keys and name columns: they go to the log only.

use crate::error::{error_number, from_sqlx};
use querygate_driver_api::write::Violation;
use querygate_types::{Error, ErrorCode};

/// Error numbers that MariaDB and MySQL share, and those that only one of them has.
pub(super) fn from_change(error: &sqlx::Error) -> Error {
    let violation = match error_number(error) {
        Some(1062 | 1586) => Violation::Unique,
        Some(1048 | 1364) => Violation::NotNull,
        Some(1216 | 1217 | 1451 | 1452) => Violation::ForeignKey,
        // A check, and what a trigger signals.
        Some(3819 | 4025 | 1369 | 1644) => Violation::Check,
        Some(1906 | 3105) => Violation::Generated,
        Some(1020) => Violation::Serialization,
        Some(1213) => Violation::Deadlock,
        Some(1205 | 3572) => Violation::Locked,
        Some(1265 | 1292 | 1366 | 1411 | 3140 | 4078) => Violation::Value,
        Some(1264) => return Error::new(ErrorCode::NumericOutOfRange, "value is out of range").with_cause(error),
        Some(1406) => return Error::new(ErrorCode::StringDataTooLong, "text is too long").with_cause(error),
        Some(1044 | 1142 | 1143 | 1227 | 1370) => {
            return Error::new(ErrorCode::SourceError, "source refuses to let its tables be changed")
                .with_hint("An operator can grant the change to the source's writing user.")
                .with_cause(error);
        }
        _ => return from_sqlx(error),
    };
    violation.error().with_cause(error)
}
