//! The error of a refused statement, under the name that PostgreSQL has for it.

use crate::sql::tokens::is_word;
use datafusion::sql::sqlparser::ast::{Lock, LockTableMode, ObjectName, Statement as Ast};
use datafusion::sql::sqlparser::tokenizer::Token;
use querygate_types::{Error, ErrorCode, Result};

/// Statements of PostgreSQL that the grammar does not know, or only in another system's form: the word that they begin with, and their
/// name.
const UNREAD: [(&str, &str); 11] = [
    ("analyse", "ANALYZE"),
    ("analyze", "ANALYZE"),
    ("checkpoint", "CHECKPOINT"),
    ("cluster", "CLUSTER"),
    ("do", "DO"),
    ("import", "IMPORT FOREIGN SCHEMA"),
    ("load", "LOAD"),
    ("reassign", "REASSIGN OWNED"),
    ("refresh", "REFRESH MATERIALIZED VIEW"),
    ("reindex", "REINDEX"),
    ("vacuum", "VACUUM"),
];

/// What can be made, changed and dropped, and its name in the tags of such statements. A name that another one begins with comes after
/// it.
const KINDS: [(&str, &str); 33] = [
    ("ACCESS METHOD", "ACCESS METHOD"),
    ("AGGREGATE", "AGGREGATE"),
    ("CAST", "CAST"),
    ("COLLATION", "COLLATION"),
    ("CONVERSION", "CONVERSION"),
    ("DATABASE", "DATABASE"),
    ("DEFAULT PRIVILEGES", "DEFAULT PRIVILEGES"),
    ("DOMAIN", "DOMAIN"),
    ("EVENT TRIGGER", "EVENT TRIGGER"),
    ("EXTENSION", "EXTENSION"),
    ("FOREIGN DATA WRAPPER", "FOREIGN DATA WRAPPER"),
    ("FOREIGN TABLE", "FOREIGN TABLE"),
    ("FUNCTION", "FUNCTION"),
    ("GROUP", "ROLE"),
    ("INDEX", "INDEX"),
    ("LANGUAGE", "LANGUAGE"),
    ("MATERIALIZED VIEW", "MATERIALIZED VIEW"),
    ("OPERATOR", "OPERATOR"),
    ("POLICY", "POLICY"),
    ("PROCEDURE", "PROCEDURE"),
    ("PUBLICATION", "PUBLICATION"),
    ("ROLE", "ROLE"),
    ("RULE", "RULE"),
    ("SCHEMA", "SCHEMA"),
    ("SEQUENCE", "SEQUENCE"),
    ("SERVER", "SERVER"),
    ("STATISTICS", "STATISTICS"),
    ("TABLE", "TABLE"),
    ("TRIGGER", "TRIGGER"),
    ("TYPE", "TYPE"),
    ("USER MAPPING", "USER MAPPING"),
    ("USER", "ROLE"),
    ("VIEW", "VIEW"),
];

/// Words between the verb and the kind of thing.
const BETWEEN: [&str; 13] = [
    "OR",
    "REPLACE",
    "ALTER",
    "GLOBAL",
    "LOCAL",
    "TEMP",
    "TEMPORARY",
    "UNLOGGED",
    "UNIQUE",
    "RECURSIVE",
    "TRUSTED",
    "PROCEDURAL",
    "CONSTRAINT",
];

/// The refusal of a statement by its first three words, which the grammar does not know or takes for something else.
pub(crate) fn refused_words(first: &Token, further: [&Token; 2]) -> Option<Error> {
    unread(first).or_else(|| two_phase(first, further)).or_else(|| listing(first, further))
}

/// The refusal of a statement that begins so, whatever follows.
fn unread(first: &Token) -> Option<Error> {
    UNREAD.iter().find(|(word, _)| is_word(first, word)).map(|(_, tag)| refused(tag))
}

/// The refusal of a transaction that a client would commit in two phases, by its first three words: PREPARE TRANSACTION needs a text, for
/// a prepared statement may have that name.
fn two_phase(first: &Token, further: [&Token; 2]) -> Option<Error> {
    let [second, third] = further;
    let is_text = matches!(third, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
    let tag = if is_word(first, "prepare") && is_word(second, "transaction") && is_text {
        "PREPARE TRANSACTION"
    } else if is_word(first, "commit") && is_word(second, "prepared") {
        "COMMIT PREPARED"
    } else if is_word(first, "rollback") && is_word(second, "prepared") {
        "ROLLBACK PREPARED"
    } else {
        return None;
    };
    Some(super::unsupported(tag).with_hint("COMMIT commits in all sources; the gate itself does it in two phases."))
}

const TABLES: &str = "SELECT table_name FROM information_schema.tables lists tables; in psql, \\dt does.";
const COLUMNS: &str = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '…' \
     lists columns; in psql, \\d and the table's name do.";
const INDEXES: &str =
    "SELECT * FROM pg_indexes WHERE tablename = '…' lists indexes; in psql, \\d and the table's name do.";

/// What other databases list by SHOW and one more word, and what lists it here.
const LISTED: [(&str, &str); 12] = [
    ("columns", COLUMNS),
    ("create", COLUMNS),
    ("databases", "A gate has one database; SELECT current_database() names it, and in psql, \\l does."),
    ("fields", COLUMNS),
    ("index", INDEXES),
    ("indexes", INDEXES),
    ("keys", INDEXES),
    ("processlist", "SELECT * FROM querygate.sessions lists sessions."),
    ("schemas", "SELECT schema_name FROM information_schema.schemata lists schemas; in psql, \\dn does."),
    ("tables", TABLES),
    ("variables", "SHOW ALL lists the settings of a session."),
    ("views", "SELECT table_name FROM information_schema.views lists views; in psql, \\dv does."),
];

/// The refusal of another database's SHOW, by its first three words. A name with a dot is a setting of the client's own.
fn listing(first: &Token, further: [&Token; 2]) -> Option<Error> {
    let [second, third] = further;
    if !is_word(first, "show") || *third == Token::Period {
        return None;
    }
    let is_wordy = is_word(second, "full") || is_word(second, "extended");
    let asked = if is_wordy { third } else { second };
    let (word, hint) = LISTED.iter().find(|(word, _)| is_word(asked, word))?;
    Some(super::unsupported(&format!("SHOW {}", word.to_uppercase())).with_hint(*hint))
}

/// What PostgreSQL calls a statement: CREATE, ALTER and DROP with what they are about, others by their verb.
pub(super) fn tag(ast: &Ast) -> String {
    let text = ast.to_string();
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default().to_uppercase();
    if !matches!(verb.as_str(), "CREATE" | "ALTER" | "DROP") {
        return verb;
    }
    let words = words.map(str::to_uppercase).skip_while(|word| BETWEEN.contains(&word.as_str()));
    let about: Vec<String> = words.take(3).collect();
    let is_kind = |name: &str| name.split(' ').zip(&about).filter(|(one, other)| one == other).count();
    let kind = KINDS.iter().find(|(name, _)| is_kind(name) == name.split(' ').count());
    match (kind, ast) {
        (_, Ast::CreateTable(table)) if table.query.is_some() => "CREATE TABLE AS".to_owned(),
        (Some((_, kind)), _) => format!("{verb} {kind}"),
        (None, _) => verb,
    }
}

/// Where tables and views are made instead; also said of SELECT INTO, which is no statement of its own.
pub(crate) const MADE_ELSEWHERE: &str =
    "Tables are made and changed in the source itself, views in the gate's configuration.";
const IN_THE_SOURCE: &str = "Do it in the source itself.";
const IN_METADATA: &str = "Who may read what is written in the gate's metadata.";

/// The refusal of a statement of this name.
pub(super) fn refused(tag: &str) -> Error {
    let (verb, kind) = tag.split_once(' ').unwrap_or((tag, ""));
    let hint = match verb {
        "CREATE" | "ALTER" | "DROP" => made(kind),
        "COMMENT" | "IMPORT" => MADE_ELSEWHERE,
        "GRANT" | "REVOKE" | "DENY" | "REASSIGN" => IN_METADATA,
        "DESC" | "DESCRIBE" => COLUMNS,
        "USE" => "A session stays in the database that it connected to; SET search_path chooses among schemas.",
        "DO" => "This gate runs no procedural code; run it in the source itself.",
        "ANALYZE" | "ANALYSE" | "VACUUM" | "CLUSTER" | "REINDEX" | "REFRESH" | "CHECKPOINT" => IN_THE_SOURCE,
        _ => return super::unsupported(tag),
    };
    super::unsupported(tag).with_hint(hint)
}

/// Where things of a kind are made, changed and dropped.
fn made(kind: &str) -> &'static str {
    match kind {
        "ROLE" => "Users are written in [[users]] of the gate's configuration, what they may read in its metadata.",
        "POLICY" | "DEFAULT PRIVILEGES" => IN_METADATA,
        "VIEW" => "Views are written in [[views]] of the gate's configuration.",
        "DATABASE" | "SCHEMA" | "SERVER" | "USER MAPPING" | "FOREIGN DATA WRAPPER" => {
            "What is read is written in [[sources]] of the gate's configuration and in its metadata."
        }
        "AGGREGATE" | "EXTENSION" | "FUNCTION" | "LANGUAGE" | "OPERATOR" | "PROCEDURE" => {
            "The gate's functions are fixed; run code of your own in the source itself."
        }
        "EVENT TRIGGER" | "RULE" | "TRIGGER" => {
            "What happens with a change is written in the source itself, or in the gate's metadata."
        }
        "" | "FOREIGN TABLE" | "TABLE" | "TABLE AS" => MADE_ELSEWHERE,
        // Of the rest, indexes, sequences and types among them, the gate keeps none.
        _ => IN_THE_SOURCE,
    }
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
                .with_hint(
                    "LOCK TABLE takes IN ACCESS SHARE MODE alone; FOR UPDATE locks rows where changes are enabled.",
                ))
        }
    }
}
