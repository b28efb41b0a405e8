//! The server's failures as our codes. Its own texts quote values and names: they go to the log, never to a client.

use mongodb::error::ErrorKind;
use querygate_types::{Error, ErrorCode};

/// Maps a failure of the client or the server.
pub(crate) fn from_mongo(error: &mongodb::error::Error) -> Error {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => from_code(command.code),
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::InvalidResponse { .. } => lost(),
        ErrorKind::Authentication { .. } => refused_login(),
        // A login that fails while a server is looked for is told in words only.
        ErrorKind::ServerSelection { message, .. } if message.contains("uthentication") => refused_login(),
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => unreachable("source cannot be reached"),
        ErrorKind::InvalidTlsConfig { .. } => unreachable("source has no TLS as it is asked for")
            .with_hint("Give the source's certificate authority with tls_ca, or set tls."),
        ErrorKind::IncompatibleServer { .. } | ErrorKind::SessionsNotSupported => {
            unreachable("source is older than MongoDB 6.0")
        }
        _ => Error::new(ErrorCode::SourceError, "source failed"),
    }
    .with_cause(error)
}

/// Error codes of the server (its `error_codes.yml`).
pub(crate) fn from_code(code: i32) -> Error {
    let (code, text) = match code {
        11601 | 237 | 43 => (ErrorCode::QueryCanceled, "canceling statement due to user request"),
        50 | 262 => (ErrorCode::StatementTimeout, "canceling statement due to statement timeout"),
        13 | 8000 => {
            return Error::new(ErrorCode::SourceError, "source refuses to let its collections be read")
                .with_hint("An operator can grant the role read to the source's user.");
        }
        167 => {
            return Error::new(ErrorCode::SourceError, "source has a view that compares texts in its own way")
                .with_hint("An operator can make it anew with the collation { locale: \"simple\" }.");
        }
        18 | 11 => return refused_login(),
        6 | 7 | 89 | 91 | 189 | 202 | 9001 | 10058 | 10107 | 11600 | 11602 | 13435 | 13436 => return lost(),
        // The only conversions that we let fail are of numbers.
        241 => (ErrorCode::NumericOutOfRange, "value out of range"),
        // By one engine and the other: arithmetic with what is no number.
        14 | 16555 | 7_157_721 => (ErrorCode::DataException, "source holds a value that is not of its column's type"),
        16610 => (ErrorCode::DivisionByZero, "division by zero"),
        26 | 166 => (ErrorCode::SourceSchemaChanged, "source no longer has a collection that the statement needs"),
        146 | 292 | 16819 | 16945 => (ErrorCode::OutOfMemory, "source is out of memory"),
        14031 => (ErrorCode::DiskFull, "source is out of disk space"),
        10334 | 15 | 17419 | 17420 => (ErrorCode::ProgramLimitExceeded, "statement is too large for the source"),
        _ => (ErrorCode::SourceError, "source failed"),
    };
    Error::new(code, text)
}

fn refused_login() -> Error {
    unreachable("source refuses the login").with_hint("An operator can check the source's user and password.")
}

/// The source cannot be reached (08001).
pub(crate) fn unreachable(text: &str) -> Error {
    Error::new(ErrorCode::SourceUnavailable, text.to_owned())
}

/// The connection broke (08006).
pub(crate) fn lost() -> Error {
    Error::new(ErrorCode::SourceLost, "source broke the connection")
}

/// A value that is not of its column's type.
pub(crate) fn wrong_value(name: &str) -> Error {
    Error::new(ErrorCode::DataException, format!("source holds a value that is no {name}"))
}

/// A number that its column's type cannot hold.
pub(crate) fn out_of_range(name: &str) -> Error {
    Error::new(ErrorCode::NumericOutOfRange, format!("source holds a value that {name} cannot hold"))
}

/// BSON that is none.
pub(crate) fn unreadable() -> Error {
    Error::new(ErrorCode::SourceError, "source sent a document that cannot be read")
}
