//! What readers learn of a table that its source cannot serve.

use querygate_types::{Error, ErrorCode};

/// Readers learn the source's name and state, not its paths.
pub(super) fn refusal(source: &str, error: &Error) -> Error {
    match error.code() {
        ErrorCode::UndefinedTable => {
            Error::new(ErrorCode::SourceError, format!("source \"{source}\" has no such table"))
                .with_hint("Ask an operator to compare the metadata with the source.")
        }
        ErrorCode::SourceSchemaChanged => error.clone(),
        code if !may_pass(code) => {
            Error::new(ErrorCode::SourceError, format!("source \"{source}\" cannot serve this table as it is"))
                .with_hint(
                    "Trying again does not help: an operator finds the reason with `querygate check` and in the log.",
                )
                .with_cause(error)
        }
        _ => Error::new(ErrorCode::SourceUnavailable, format!("source \"{source}\" is not available"))
            .with_hint("Other sources answer; try again later.")
            .with_cause(error),
    }
}

/// Whether what failed so may succeed later, with nothing changed: connections, resources, time, the source's own faults.
fn may_pass(code: ErrorCode) -> bool {
    matches!(code.sqlstate().get(..2), Some("08" | "53" | "57" | "58" | "XX"))
}
