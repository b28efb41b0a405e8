//! SQLite's refusals of changes as our codes. Its own texts name columns, so that they go to the log only.

use crate::error::from_sqlx;
use querygate_driver_api::write::Violation;
use querygate_types::Error;

/// Extended result codes of <https://sqlite.org/rescode.html>.
pub(super) fn from_change(error: &sqlx::Error) -> Error {
    let sqlx::Error::Database(database) = error else { return from_sqlx(error) };
    let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(1);
    let message = database.message();
    let violation = match (code & 0xff, code) {
        (19, 787) => Violation::ForeignKey,
        (19, 1_299) => Violation::NotNull,
        (19, 1_555 | 2_067 | 2_579) => Violation::Unique,
        (19, 3_091) | (20, _) => Violation::Value,
        // A check, a trigger's own words, or a rule of a kind that we do not know.
        (19, _) => Violation::Check,
        (5 | 6, _) => Violation::Locked,
        (1, _) if message.contains("generated column") => Violation::Generated,
        _ => return from_sqlx(error),
    };
    violation.error().with_cause(error)
}
