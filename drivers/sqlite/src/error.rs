//! SQLite's failures as our codes. The source's own text goes to the log, never to a client: it may quote names.

use querygate_types::{Error, ErrorCode};

/// `SQLITE_READONLY_RECOVERY`, `SQLITE_READONLY_ROLLBACK`: a connection that must not write finds what a killed writer had begun.
const UNRECOVERED: [i32; 2] = [264, 776];

/// Whether a connection that may write has to make the file whole first.
pub(crate) fn is_unrecovered(error: &sqlx::Error) -> bool {
    extended(error).is_some_and(|code| UNRECOVERED.contains(&code))
}

fn extended(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// Maps a failure of sqlx or SQLite.
pub(crate) fn from_sqlx(error: &sqlx::Error) -> Error {
    let failure = |code, message: &str| Error::new(code, message).with_cause(error);
    match error {
        sqlx::Error::Database(_) if is_unrecovered(error) => {
            failure(ErrorCode::SourceUnavailable, "source was left in the middle of a change")
        }
        sqlx::Error::Database(database) => {
            let primary = extended(error).map_or(1, |code| code & 0xff);
            from_code(primary, database.message()).with_cause(error)
        }
        sqlx::Error::Io(_) => failure(ErrorCode::SourceLost, "source failed to read its storage"),
        sqlx::Error::WorkerCrashed => failure(ErrorCode::SourceLost, "source broke the connection"),
        sqlx::Error::Configuration(_) => failure(ErrorCode::SourceUnavailable, "source cannot be opened"),
        _ => failure(ErrorCode::SourceError, "source failed"),
    }
}

/// Primary result codes of <https://sqlite.org/rescode.html>.
fn from_code(primary: i32, message: &str) -> Error {
    let (code, text) = match primary {
        1 if message == "integer overflow" => (ErrorCode::NumericOutOfRange, "integer out of range"),
        1 if message.starts_with("no such table") || message.starts_with("no such column") => {
            (ErrorCode::SourceSchemaChanged, "source no longer has a table or column that the statement needs")
        }
        5 | 6 => (ErrorCode::SourceUnavailable, "source is busy"),
        7 => (ErrorCode::OutOfMemory, "source is out of memory"),
        8 => (ErrorCode::ReadOnlyTransaction, "source is read-only"),
        9 => (ErrorCode::QueryCanceled, "canceling statement due to user request"),
        10 | 11 | 26 => (ErrorCode::SourceLost, "source failed to read its storage"),
        13 => (ErrorCode::DiskFull, "source is out of disk space"),
        14 => (ErrorCode::SourceUnavailable, "source cannot be opened"),
        17 => (ErrorCode::SourceSchemaChanged, "source schema changed"),
        18 => (ErrorCode::ProgramLimitExceeded, "value is too large for the source"),
        _ => (ErrorCode::SourceError, "source failed"),
    };
    Error::new(code, text)
}
