//! The server's refusals of changes as our codes. Its own texts quote keys and name fields: they go to the log only.

use crate::error::{from_code, from_mongo};
use mongodb::bson::{Bson, Document};
use mongodb::error::{ErrorKind, TRANSIENT_TRANSACTION_ERROR};
use querygate_driver_api::write::Violation;
use querygate_types::{Error, ErrorCode, Result, SourceRule};

/// Documents that a command met, and those of them that it made others of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) met: u64,
    pub(super) modified: u64,
}

/// A deployment without transactions.
pub(super) fn no_transactions() -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "the deployment has no transactions")
        .with_hint("An operator can make its server a replica set, of one member too.")
}

/// Maps a failure of a change, or of a transaction's begin or end.
pub(super) fn from_change(error: &mongodb::error::Error) -> Error {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => {
            let refusal = from_number(command.code);
            let refusal =
                if refusal.code() == ErrorCode::SourceError { ended(error).unwrap_or(refusal) } else { refusal };
            refusal.with_source_rule(rule(&command.message)).with_cause(error)
        }
        ErrorKind::Transaction { .. } => no_transactions().with_cause(error),
        _ => from_mongo(error),
    }
}

/// `E11000 duplicate key error collection: shop.t index: name_1 dup key: { … }`. The name of the index is before any value.
fn rule(message: &str) -> SourceRule {
    let word = |before: &str| {
        let (_, rest) = message.split_once(before)?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let collection = word(" collection: ").and_then(|path| path.split_once('.').map(|(_, name)| name.to_owned()));
    SourceRule { table: collection, constraint: word(" index: "), ..SourceRule::default() }
}

/// Maps a failure of a read in a transaction.
pub(super) fn from_read(error: &mongodb::error::Error) -> Error {
    let known = match error.kind.as_ref() {
        ErrorKind::Command(command) if command.code == 263 => Some(
            Error::new(ErrorCode::FeatureNotSupported, "source does not answer this in a transaction")
                .with_hint("Ask outside of the transaction, or ask for the parts of a UNION one after the other."),
        ),
        ErrorKind::Command(command) => because_of_others(command.code).map(Violation::error),
        _ => None,
    };
    let refusal = known.unwrap_or_else(|| from_mongo(error));
    let refusal = if refusal.code() == ErrorCode::SourceError { ended(error).unwrap_or(refusal) } else { refusal };
    refusal.with_cause(error)
}

/// Whatever else it is, the server has ended the transaction because of others.
fn ended(error: &mongodb::error::Error) -> Option<Error> {
    error.contains_label(TRANSIENT_TRANSACTION_ERROR).then(|| Violation::Serialization.error())
}

fn because_of_others(code: i32) -> Option<Violation> {
    match code {
        // Another writer, a transaction that the server has ended, and a moment that it no longer has.
        112 | 225 | 239 | 246 | 251 => Some(Violation::Serialization),
        // Somebody else makes an index, say.
        24 | 46 => Some(Violation::Locked),
        _ => None,
    }
}

/// Error codes of the server (its `error_codes.yml`).
fn from_number(code: i32) -> Error {
    if let Some(violation) = because_of_others(code) {
        return violation.error();
    }
    let violation = match code {
        11000 | 11001 | 12582 => Violation::Unique,
        121 => Violation::Check,
        // A path through an array or a value, a key that is changed, a document that is too deep.
        2 | 14 | 28 | 40 | 52 | 56 | 57 | 66 => Violation::Value,
        13 | 8000 => {
            return Error::new(ErrorCode::SourceError, "source refuses to let its collections be changed")
                .with_hint("An operator can grant the role readWrite to the source's writing user.");
        }
        20 => return no_transactions(),
        263 => return Error::new(ErrorCode::FeatureNotSupported, "source does not change this in a transaction"),
        10058 | 10107 | 13435 | 13436 => return Error::new(ErrorCode::ReadOnlyTransaction, "source is read-only"),
        other => return from_code(other),
    };
    violation.error()
}

/// What a command of changes says that it did.
///
/// # Errors
/// What the server says of its first change that it refused.
pub(super) fn counted(reply: &Document) -> Result<Counts> {
    if let Ok([first, ..]) = reply.get_array("writeErrors").map(Vec::as_slice) {
        let code = first.as_document().and_then(|error| error.get_i32("code").ok());
        let refusal = code.map_or_else(|| Error::new(ErrorCode::SourceError, "source failed"), from_number);
        let message = first.as_document().and_then(|error| error.get_str("errmsg").ok()).unwrap_or_default();
        return Err(refusal.with_source_rule(rule(message)).with_cause(first));
    }
    if let Some(error) = reply.get("writeConcernError") {
        return Err(Error::new(ErrorCode::SourceError, "source failed").with_cause(error));
    }
    let number = |name: &str| match reply.get(name) {
        Some(Bson::Int32(number)) => u64::try_from(*number).ok(),
        Some(Bson::Int64(number)) => u64::try_from(*number).ok(),
        _ => None,
    };
    let met = number("n").ok_or_else(|| Error::new(ErrorCode::SourceError, "source does not say what it did"))?;
    Ok(Counts { met, modified: number("nModified").unwrap_or(met) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    #[test]
    fn replies_are_counted_and_refusals_name_nothing() {
        assert_eq!(counted(&doc! { "n": 2, "nModified": 1 }).unwrap(), Counts { met: 2, modified: 1 });
        assert_eq!(counted(&doc! { "n": 2_i64 }).unwrap(), Counts { met: 2, modified: 2 });
        for (code, refusal) in [
            (11000, ErrorCode::UniqueViolation),
            (121, ErrorCode::CheckViolation),
            (112, ErrorCode::SerializationFailure),
            (28, ErrorCode::DataException),
            (10107, ErrorCode::ReadOnlyTransaction),
            (20, ErrorCode::FeatureNotSupported),
            (99_999, ErrorCode::SourceError),
        ] {
            let reply =
                doc! { "n": 0, "writeErrors": [{ "index": 0, "code": code, "errmsg": "dup key { secret: 1 }" }] };
            let error = counted(&reply).unwrap_err();
            assert_eq!(error.code(), refusal, "{code}");
            assert!(!format!("{error} {:?} {:?}", error.detail(), error.hint()).contains("secret"), "{code}");
        }
        assert!(counted(&doc! { "ok": 1 }).is_err());
        assert!(counted(&doc! { "n": 1, "writeConcernError": { "code": 64 } }).is_err());
    }
}
