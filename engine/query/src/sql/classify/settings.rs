//! SET in all its forms, and what is said of transactions.

use super::{Classified, Modes, unquoted, unsupported};
use datafusion::sql::sqlparser::ast::{
    ContextModifier, Expr, Ident, Set, SetSessionAuthorizationParamKind, TransactionAccessMode,
    TransactionIsolationLevel, TransactionMode, Value,
};
use querygate_types::{Error, ErrorCode, Result};

pub(super) fn classify_set(set: Set) -> Result<Classified> {
    let role = || {
        Error::new(ErrorCode::InsufficientPrivilege, "permission denied to set role")
            .with_detail("The principal of a session is fixed when it connects.")
    };
    match set {
        Set::SingleAssignment { scope, hivevar: false, variable, values } => {
            let name = unquoted(&variable.to_string());
            match name.to_lowercase().as_str() {
                "role" if names_nobody(&values) => return Ok(to_default("role")),
                "role" | "session_authorization" => return Err(role()),
                // They end with their transaction, however they are set.
                "transaction_isolation" | "transaction_deferrable" => {
                    return Ok(Classified::Set { name, values, local: true });
                }
                _ => {}
            }
            if name.eq_ignore_ascii_case("transaction_read_only")
                || name.eq_ignore_ascii_case("default_transaction_read_only")
            {
                return Ok(Classified::Set { name, values, local: matches!(scope, Some(ContextModifier::Local)) });
            }
            match scope {
                Some(ContextModifier::Global) => Err(unsupported("SET GLOBAL")),
                Some(ContextModifier::Local) => Ok(Classified::Set { name, values, local: true }),
                Some(ContextModifier::Session) | None => Ok(Classified::Set { name, values, local: false }),
            }
        }
        Set::SetTimeZone { local, value } => {
            let of_server = matches!(&value, Expr::Identifier(ident) if is_bare(ident, "local"));
            let value = if of_server { default() } else { value };
            Ok(Classified::Set { name: "TimeZone".to_owned(), values: vec![value], local })
        }
        Set::SetNames { charset_name, collation_name: None } => Ok(Classified::Set {
            name: "client_encoding".to_owned(),
            values: vec![Expr::Value(Value::SingleQuotedString(charset_name.value).into())],
            local: false,
        }),
        Set::SetNamesDefault {} => Ok(Classified::Reset(Some("client_encoding".to_owned()))),
        Set::SetTransaction { modes, snapshot: None, session } => {
            Ok(Classified::SetTransaction { modes: transaction_modes(&modes)?, session })
        }
        // Back to whom the session is, who never was anybody else.
        Set::SetRole { role_name: None, .. } => Ok(to_default("role")),
        Set::SetSessionAuthorization(to) if to.kind == SetSessionAuthorizationParamKind::Default => {
            Ok(to_default("session_authorization"))
        }
        Set::SetRole { role_name: Some(_), .. } | Set::SetSessionAuthorization(_) => Err(role()),
        other => Err(unsupported(&other.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" "))),
    }
}

fn is_bare(ident: &Ident, word: &str) -> bool {
    ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case(word)
}

/// The value that SET takes for what RESET goes back to.
fn default() -> Expr {
    Expr::Identifier(Ident::new("DEFAULT"))
}

fn to_default(name: &str) -> Classified {
    Classified::Set { name: name.to_owned(), values: vec![default()], local: false }
}

/// `SET role TO NONE`, and to what RESET goes back to.
fn names_nobody(values: &[Expr]) -> bool {
    match values {
        [Expr::Identifier(ident)] => is_bare(ident, "none") || is_bare(ident, "default"),
        [Expr::Value(value)] => matches!(&value.value, Value::SingleQuotedString(text) if text == "none"),
        _ => false,
    }
}

/// The last of each kind counts.
pub(super) fn transaction_modes(written: &[TransactionMode]) -> Result<Modes> {
    let mut modes = Modes { isolation: None, read_only: None };
    for mode in written {
        match mode {
            TransactionMode::AccessMode(TransactionAccessMode::ReadOnly) => modes.read_only = Some(true),
            TransactionMode::AccessMode(TransactionAccessMode::ReadWrite) => modes.read_only = Some(false),
            TransactionMode::IsolationLevel(level) => {
                modes.isolation = Some(match level {
                    TransactionIsolationLevel::ReadUncommitted => "read uncommitted",
                    TransactionIsolationLevel::ReadCommitted => "read committed",
                    TransactionIsolationLevel::RepeatableRead => "repeatable read",
                    TransactionIsolationLevel::Serializable => "serializable",
                    TransactionIsolationLevel::Snapshot => return Err(unsupported("isolation level SNAPSHOT")),
                });
            }
        }
    }
    Ok(modes)
}
