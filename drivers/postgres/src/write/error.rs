//! The server's refusals of changes as our codes. Its own texts name constraints and columns, and its details quote keys: they go to the log at most.

use crate::error::{from_postgres, is_lost};
use querygate_driver_api::write::Violation;
use querygate_types::{Error, ErrorCode, SourceRule};
use tokio_postgres::error::DbError;

/// Codes of <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
pub(super) fn from_change(source: &str, error: &tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error().filter(|_| !is_lost(error)) else { return from_postgres(source, error) };
    let state = db.code().code();
    let violation = match state {
        // Rows that exclude each other do so by what others hold, as unique keys do.
        "23505" | "23P01" => Violation::Unique,
        "23502" => Violation::NotNull,
        "23503" | "23001" => Violation::ForeignKey,
        // The second: of a load.
        "428C9" | "42P10" => Violation::Generated,
        "40001" => Violation::Serialization,
        "40P01" => Violation::Deadlock,
        "55P03" => Violation::Locked,
        "42501" => {
            return Error::new(
                ErrorCode::SourceError,
                format!("source \"{source}\" does not let the gate change this"),
            )
            .with_hint("Ask an operator to grant the change to the gate's writing user in the source.")
            .with_source_rule(rule(db))
            .with_cause(format_args!("{state}: {}", db.message()));
        }
        // A check, a view's check option, and whatever a trigger raises.
        _ if state.starts_with("23") || state.starts_with("44") || state.starts_with("P0") => Violation::Check,
        _ => return from_postgres(source, error),
    };
    violation.error().with_source_rule(rule(db)).with_cause(format_args!("{state}: {}", db.message()))
}

/// The rule as the server names it; `permission denied for table t` names a table in its text alone.
fn rule(error: &DbError) -> SourceRule {
    let denied = error.message().strip_prefix("permission denied for table ");
    SourceRule {
        table: error.table().or(denied).map(str::to_owned),
        constraint: error.constraint().map(str::to_owned),
        columns: error.column().map(str::to_owned).into_iter().collect(),
        is_referred_to: error.message().starts_with("update or delete "),
    }
}
