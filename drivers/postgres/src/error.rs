//! PostgreSQL's failures as our codes. The server's own text goes to the log, never to a client: it may quote names and values.

use crate::wire::frames::Failure;
use querygate_types::{Error, ErrorCode};
use std::time::Duration;

/// Maps a failure of a statement.
pub(crate) fn from_postgres(source: &str, error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(db) => {
            from_state(source, db.code().code()).with_cause(format_args!("{}: {}", db.code().code(), db.message()))
        }
        None if is_lost(error) => lost(source).with_cause(chain(error)),
        None => failed(source).with_cause(chain(error)),
    }
}

/// Maps a failure that was read off a connection without the client library.
pub(crate) fn from_failure(source: &str, failure: &Failure) -> Error {
    from_state(source, &failure.state).with_cause(format_args!("{}: {}", failure.state, failure.message))
}

/// Maps a failure to connect.
pub(crate) fn cannot_connect(source: &str, error: &tokio_postgres::Error) -> Error {
    let state = error.as_db_error().map(|db| db.code().code());
    let (what, hint) = match state {
        Some("28P01" | "28000") => {
            ("refuses the gate's credentials", "Ask an operator to look at the source's user and password.")
        }
        Some("3D000") => ("has no such database", "Ask an operator to look at the source's configuration."),
        Some("53300") => ("has no free connection", "Try again later, or lower the source's pool_size."),
        Some("57P03" | "57P01" | "57P02") => ("is starting or stopping", RETRY),
        // The library's own word, for which it has no kind.
        None if chain(error).contains("password missing") => {
            ("asks for a password", "Give the source's user a password; to introspect: --password env:NAME.")
        }
        Some(_) | None => ("cannot be reached", RETRY),
    };
    Error::new(ErrorCode::SourceUnavailable, format!("source \"{source}\" {what}"))
        .with_hint(hint)
        .with_cause(chain(error))
}

/// Maps a failure to reach the server, or to encrypt what is said to it.
pub(crate) fn no_stream(source: &str, error: &std::io::Error) -> Error {
    let told = if error.to_string().contains("certificate") {
        unavailable(source, "shows a certificate that the gate does not trust")
            .with_hint("Ask an operator to look at the source's tls and tls_ca.")
    } else {
        unavailable(source, "cannot be reached")
    };
    told.with_cause(error)
}

const RETRY: &str = "Other sources answer; try again later.";

/// Whether the connection is gone.
pub(crate) fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        // The server says goodbye before it closes.
        Some(db) => matches!(db.code().code(), "57P01" | "57P02" | "57P03" | "57P05" | "08000" | "08003" | "08006"),
        None => error.is_closed() || std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>()),
    }
}

/// The error with what lies below it, which tokio-postgres does not print itself.
fn chain(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Codes of <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn from_state(source: &str, state: &str) -> Error {
    let plain = |code, message: &str| Error::new(code, message);
    let named = |code, what: &str| Error::new(code, format!("source \"{source}\" {what}"));
    match state {
        "22003" => plain(ErrorCode::NumericOutOfRange, "value is out of range"),
        "22012" => plain(ErrorCode::DivisionByZero, "division by zero"),
        "22P02" => plain(ErrorCode::InvalidTextRepresentation, "invalid input syntax"),
        "22007" => plain(ErrorCode::InvalidDatetimeFormat, "invalid input syntax for a date or time"),
        "22008" => plain(ErrorCode::DatetimeOverflow, "date or time is out of range"),
        "22015" => plain(ErrorCode::IntervalFieldOverflow, "interval field value out of range"),
        "2202E" => plain(ErrorCode::ArraySubscriptError, "array subscript out of range"),
        "22004" => plain(ErrorCode::NullValueNotAllowed, "null value not allowed"),
        "22011" => plain(ErrorCode::NegativeSubstringLength, "negative substring length not allowed"),
        "2201E" => plain(ErrorCode::InvalidLogarithmArgument, "cannot take logarithm of this number"),
        "2201F" => plain(ErrorCode::InvalidPowerArgument, "the power or root of these numbers does not exist"),
        "2201G" => plain(ErrorCode::InvalidWidthBucketArgument, "bounds or count do not fit"),
        "2201W" => plain(ErrorCode::InvalidLimit, "LIMIT must not be negative"),
        "2201X" => plain(ErrorCode::InvalidOffset, "OFFSET must not be negative"),
        "22014" | "22016" => plain(ErrorCode::InvalidParameterValue, "argument of a window function is out of range"),
        "2201B" => plain(ErrorCode::InvalidRegularExpression, "invalid regular expression"),
        "22021" => plain(ErrorCode::CharacterNotInRepertoire, "invalid byte sequence for encoding"),
        "22P05" => plain(ErrorCode::UntranslatableCharacter, "character has no equivalent in the source's encoding"),
        "22001" => plain(ErrorCode::StringDataTooLong, "text is too long"),
        "21000" => {
            plain(ErrorCode::CardinalityViolation, "more than one row returned by a subquery used as an expression")
        }
        "57014" => plain(ErrorCode::QueryCanceled, "canceling statement due to user request"),
        "57P01" | "57P02" | "57P05" => lost(source),
        "57P03" => unavailable(source, "is starting or stopping"),
        "53300" => unavailable(source, "has no free connection"),
        "53200" => named(ErrorCode::OutOfMemory, "is out of memory"),
        "53100" => named(ErrorCode::DiskFull, "is out of disk space"),
        "53400" | "54000" | "54011" | "54023" => named(ErrorCode::ProgramLimitExceeded, "is at a limit of its own"),
        "54001" => named(ErrorCode::StatementTooComplex, "finds the statement too complex"),
        "42501" => named(ErrorCode::SourceError, "does not let the gate read this")
            .with_hint("Ask an operator to grant SELECT to the gate's user in the source."),
        "42P01" | "42703" | "3F000" | "42704" | "42883" | "42804" | "42846" | "42725" | "42809" | "0A000" => {
            schema_changed(source)
        }
        "25006" => named(ErrorCode::ReadOnlyTransaction, "is read-only"),
        _ if state.starts_with("22") => plain(ErrorCode::DataException, "data exception"),
        _ if state.starts_with("08") => lost(source),
        // A replica that had to choose between the query and the rows that came in.
        _ if state.starts_with("40") => unavailable(source, "broke the statement off").with_hint("Run it again."),
        _ => failed(source),
    }
}

/// Its tables are not what they were.
pub(crate) fn schema_changed(source: &str) -> Error {
    let message = format!("source \"{source}\" no longer has a table or column that the statement needs");
    Error::new(ErrorCode::SourceSchemaChanged, message)
        .with_hint("Ask an operator to compare the metadata with the source.")
}

fn failed(source: &str) -> Error {
    Error::new(ErrorCode::SourceError, format!("source \"{source}\" failed"))
}

/// Nothing can be asked of it now.
pub(crate) fn unavailable(source: &str, what: &str) -> Error {
    Error::new(ErrorCode::SourceUnavailable, format!("source \"{source}\" {what}")).with_hint(RETRY)
}

/// It went away in the middle.
pub(crate) fn lost(source: &str) -> Error {
    Error::new(ErrorCode::SourceLost, format!("connection to source \"{source}\" was lost")).with_hint(RETRY)
}

/// No connection in time.
pub(crate) fn timed_out_connecting(source: &str, limit: Duration) -> Error {
    unavailable(source, "cannot be reached").with_cause(format_args!("no connection after {limit:?}"))
}
