//! The server's failures as our codes. Its own texts quote values and names: they go to the log, never to a client.

use querygate_types::{Error, ErrorCode};
use sqlx::mysql::MySqlDatabaseError;

/// Maps a failure of sqlx or the server.
pub(crate) fn from_sqlx(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(_) => from_number(error_number(error).unwrap_or(0)).with_cause(error),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => lost().with_cause(error),
        sqlx::Error::Tls(_) => unreachable("source has no TLS as it is asked for")
            .with_hint("Give the source's certificate authority with tls_ca, or set tls.")
            .with_cause(error),
        sqlx::Error::Configuration(_) => unreachable("source cannot be reached").with_cause(error),
        _ => Error::new(ErrorCode::SourceError, "source failed").with_cause(error),
    }
}

/// Maps a failure to log in; what else keeps a connection from being opened is a source that cannot be reached.
pub(crate) fn from_login(error: &sqlx::Error) -> Error {
    if let Some(1045 | 1698 | 1251 | 1130) = error_number(error) {
        return unreachable("source refuses the login")
            .with_hint("An operator can check the source's user and password.")
            .with_cause(error);
    }
    let mapped = from_sqlx(error);
    match mapped.code() {
        ErrorCode::SourceUnavailable => mapped,
        _ => unreachable("source cannot be reached").with_cause(error),
    }
}

/// The server's number of a failure.
pub(crate) fn error_number(error: &sqlx::Error) -> Option<u16> {
    let sqlx::Error::Database(database) = error else { return None };
    database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Whether a statement may run if it is prepared anew: its tables were altered, or forgotten and opened again.
pub(crate) fn is_outdated(error: &sqlx::Error) -> bool {
    matches!(error_number(error), Some(1412 | 1615))
}

/// Error numbers that MariaDB and MySQL share (MariaDB's `errmsg-utf8.txt`, MySQL's error reference).
fn from_number(number: u16) -> Error {
    let (code, text) = match number {
        1317 => (ErrorCode::QueryCanceled, "canceling statement due to user request"),
        1969 | 3024 => (ErrorCode::StatementTimeout, "canceling statement due to statement timeout"),
        1690 => (ErrorCode::NumericOutOfRange, "value out of range"),
        1365 => (ErrorCode::DivisionByZero, "division by zero"),
        1242 => (ErrorCode::CardinalityViolation, "more than one row returned by a subquery used as an expression"),
        1054 | 1146 | 1049 | 1051 | 1356 | 1615 | 1412 => {
            (ErrorCode::SourceSchemaChanged, "source no longer has a table or column that the statement needs")
        }
        1044 | 1142 | 1143 | 1227 | 1370 => {
            return Error::new(ErrorCode::SourceError, "source refuses to let its tables be read")
                .with_hint("An operator can grant SELECT to the source's user.");
        }
        // The second to users who may not hear of the server's other users. A login is refused by it too: `from_login`.
        1449 | 1045 => {
            return Error::new(ErrorCode::SourceError, "source has a view whose definer is gone")
                .with_hint("An operator can define the view anew.");
        }
        1040 | 1203 | 1226 | 1461 => (ErrorCode::SourceUnavailable, "source takes no more connections"),
        1205 | 1213 => (ErrorCode::SourceUnavailable, "source is busy"),
        1053 | 1152 | 1158..=1161 | 1184 | 1927 => (ErrorCode::SourceLost, "source broke the connection"),
        1037 | 1038 | 1041 => (ErrorCode::OutOfMemory, "source is out of memory"),
        3 | 28 | 1021 | 1114 => (ErrorCode::DiskFull, "source is out of disk space"),
        1104 | 1116 | 1117 | 1118 | 1153 | 1390 | 1436 | 4031 => {
            (ErrorCode::ProgramLimitExceeded, "statement is too large for the source")
        }
        1290 | 1792 => (ErrorCode::ReadOnlyTransaction, "source is read-only"),
        _ => (ErrorCode::SourceError, "source failed"),
    };
    Error::new(code, text)
}

/// The source cannot be reached (08001).
pub(crate) fn unreachable(text: &str) -> Error {
    Error::new(ErrorCode::SourceUnavailable, text.to_owned())
}

/// The connection broke (08006).
pub(crate) fn lost() -> Error {
    Error::new(ErrorCode::SourceLost, "source broke the connection")
}
