//! The error of a refused statement, by its first word.

use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::ast::{Lock, LockTableMode, ObjectName};
use datafusion::sql::sqlparser::tokenizer::Token;
use querygate_types::{Error, ErrorCode, Result};

/// Statements of PostgreSQL that the grammar does not know, or only in another system's form.
const UNREAD: [&str; 11] =
    ["analyse", "analyze", "checkpoint", "cluster", "do", "import", "load", "reassign", "refresh", "reindex", "vacuum"];

/// The refusal of a statement that begins so, whatever follows.
pub(crate) fn unread(first: &Token) -> Option<Error> {
    UNREAD.iter().find(|word| is_word(first, word)).map(|word| by_verb(&word.to_uppercase()))
}

pub(super) fn by_verb(verb: &str) -> Error {
    let hint = match verb {
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" => "This gate reads; write to the source itself.",
        "CREATE" | "ALTER" | "DROP" | "COMMENT" | "IMPORT" => {
            "Tables are made and changed in the source itself, views in the gate's configuration."
        }
        "GRANT" | "REVOKE" | "DENY" | "REASSIGN" => "Who may read what is written in the gate's metadata.",
        "DO" => "This gate runs no procedural code; run it in the source itself.",
        "ANALYZE" | "ANALYSE" | "VACUUM" | "CLUSTER" | "REINDEX" | "REFRESH" | "CHECKPOINT" => {
            "Do it in the source itself."
        }
        _ => return super::unsupported(verb),
    };
    super::unsupported(verb).with_hint(hint)
}

/// What a reader locks is there for as long as the transaction lasts, which is so here for every table without a lock. Anything
/// stronger would be a promise about other writers.
pub(super) fn lock(lock: Lock) -> Result<Vec<ObjectName>> {
    match lock.lock_mode.unwrap_or(LockTableMode::AccessExclusive) {
        LockTableMode::AccessShare => Ok(lock.tables.into_iter().map(|table| table.name).collect()),
        mode @ (LockTableMode::RowShare
        | LockTableMode::RowExclusive
        | LockTableMode::ShareUpdateExclusive
        | LockTableMode::Share
        | LockTableMode::ShareRowExclusive
        | LockTableMode::Exclusive
        | LockTableMode::AccessExclusive) => {
            Err(Error::new(ErrorCode::FeatureNotSupported, format!("LOCK TABLE in {mode} mode is not supported"))
                .with_hint("This gate reads; a reader locks IN ACCESS SHARE MODE."))
        }
    }
}
