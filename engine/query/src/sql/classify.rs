//! The closed list of statements. What is not on it is refused here, before any name is looked up.

mod changes;
mod cursors;
mod refusals;
mod settings;

pub(crate) use cursors::{Walk, refuse_current_of};
pub(crate) use refusals::{MADE_ELSEWHERE, refused_words};

use crate::sql::asking::Asking;
use crate::sql::copy_from::{CopyFrom, Forced, table_query};
use datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion::sql::sqlparser::ast::{
    CloseCursor, DataType, DiscardObject, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    LockType, NonBlock, ObjectName, ObjectType, Query, Reset, SetExpr, Statement as Ast, UnaryOperator, UtilityOption,
    Value,
};
use querygate_driver_api::write::{Lock, LockStrength, LockWait};
use querygate_query_api::outcome::CopyOptions;
use querygate_telemetry_api::system::Cell;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// A statement of a known kind.
#[derive(Debug, Clone)]
pub(crate) enum Classified {
    Query(Box<Query>),
    /// What is asked beside SQL. It has no text.
    Question(Arc<Asking>),
    /// A change of one record beside SQL. It has no text.
    RecordChange,
    /// A query, without its clause FOR UPDATE or FOR SHARE; refused where changes are not enabled.
    Locking {
        query: Box<Query>,
        lock: Lock,
        /// The table whose rows are locked, where the query says which.
        of: Option<ObjectName>,
    },
    /// INSERT, UPDATE, DELETE, MERGE or TRUNCATE; refused where changes are not enabled.
    Write(Box<Ast>),
    /// Of a query, or of EXECUTE.
    Explain {
        style: ExplainStyle,
        statement: Box<Ast>,
    },
    /// CREATE TEMPORARY TABLE or VIEW, DROP TABLE or VIEW: what a session makes for itself.
    Temporary(Box<Ast>),
    /// Rows of the client's; refused where changes are not enabled.
    CopyIn(Box<CopyFrom>),
    CopyOut {
        query: Box<Query>,
        options: CopyOptions,
        /// Columns whose values are quoted, as the statement names them.
        force_quote: Forced,
    },
    Set {
        name: String,
        values: Vec<Expr>,
        local: bool,
    },
    Reset(Option<String>),
    Show(String),
    /// `start`: written START TRANSACTION, which the command tag repeats.
    Begin {
        start: bool,
        modes: Modes,
    },
    /// `session`: of the transactions to come.
    SetTransaction {
        modes: Modes,
        session: bool,
    },
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    Declare {
        name: String,
        query: Box<Query>,
        hold: bool,
        scroll: bool,
    },
    Fetch {
        name: String,
        walk: Walk,
    },
    Move {
        name: String,
        walk: Walk,
    },
    Close(Option<String>),
    Prepare {
        name: String,
        types: Vec<DataType>,
        statement: Box<Ast>,
    },
    Execute {
        name: String,
        arguments: Vec<Expr>,
    },
    Deallocate(Option<String>),
    Discard(DiscardObject),
    Listen(String),
    /// `None`: of everything.
    Unlisten(Option<String>),
    Call {
        name: String,
        arguments: Vec<Cell>,
    },
    /// As a reader locks, each read whole.
    #[expect(clippy::vec_box, reason = "as the parser holds them")]
    Lock(Vec<Box<Query>>),
}

/// What is said of a transaction. Every statement reads one consistent snapshot of the metadata, sources keep their own
/// isolation: a level is remembered and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Modes {
    pub(crate) isolation: Option<&'static str>,
    pub(crate) read_only: Option<bool>,
}

/// What EXPLAIN shows, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExplainStyle {
    pub(crate) analyze: bool,
    pub(crate) verbose: bool,
    /// FORMAT JSON; else lines of text.
    pub(crate) json: bool,
    /// Whether ANALYZE tells the times of nodes.
    pub(crate) timing: bool,
}

/// FOR UPDATE and FOR SHARE of the one table that a query reads, or names in OF.
fn locking(mut query: Box<Query>) -> Result<Classified> {
    let mut clauses = std::mem::take(&mut query.locks);
    let (Some(clause), true) = (clauses.pop(), clauses.is_empty()) else {
        return Err(unsupported("more than one FOR UPDATE or FOR SHARE"));
    };
    let strength = match clause.lock_type {
        LockType::Update => LockStrength::Update,
        LockType::Share => LockStrength::Share,
    };
    let wait = match clause.nonblock {
        None => LockWait::Wait,
        Some(NonBlock::Nowait) => LockWait::NoWait,
        Some(NonBlock::SkipLocked) => LockWait::SkipLocked,
    };
    Ok(Classified::Locking { query, lock: Lock { strength, wait }, of: clause.of })
}

/// Finds the class of a statement, or refuses it.
pub(crate) fn classify(ast: Ast) -> Result<Classified> {
    match ast {
        Ast::Query(mut query) if makes_temporary(&query) => {
            let name = temporary_name(&mut query)?;
            let create = CreateTableBuilder::new(name).temporary(true).query(Some(query)).build();
            Ok(Classified::Temporary(Box::new(Ast::CreateTable(create))))
        }
        Ast::CreateTable(ref create) if create.temporary => Ok(Classified::Temporary(Box::new(ast))),
        Ast::CreateView(ref create) if create.temporary => Ok(Classified::Temporary(Box::new(ast))),
        Ast::Drop { object_type: ObjectType::Table | ObjectType::View, .. } => Ok(Classified::Temporary(Box::new(ast))),
        Ast::Query(query) if changes::is_one(&query) => classify(changes::change(*query)?),
        Ast::Query(query) if query.locks.is_empty() => Ok(Classified::Query(query)),
        Ast::Query(query) => locking(query),
        Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) | Ast::Merge(_) | Ast::Truncate(_) => {
            Ok(Classified::Write(Box::new(ast)))
        }
        Ast::Explain { analyze, verbose, statement, options, format, .. } => {
            if format.is_some() {
                return Err(unsupported("EXPLAIN with a FORMAT"));
            }
            explain(analyze, verbose, statement, options.unwrap_or_default())
        }
        // As a statement it is read before this.
        Ast::Copy { .. } => Err(Error::new(
            ErrorCode::SyntaxError,
            "COPY is no part of another statement, and COPY FROM takes no query",
        )),
        Ast::Set(set) => settings::classify_set(set),
        Ast::Reset(reset) => Ok(Classified::Reset(match reset.reset {
            Reset::ALL => None,
            Reset::ConfigurationParameter(name) => Some(name.to_string()),
        })),
        Ast::ShowVariable { variable } => {
            let words: Vec<String> = variable.iter().map(|ident| ident.value.clone()).collect();
            Ok(Classified::Show(setting_name(&words)))
        }
        Ast::StartTransaction { modes, begin, statements, exception, .. } => {
            if !statements.is_empty() || exception.is_some() {
                return Err(unsupported("a procedural block"));
            }
            Ok(Classified::Begin { start: !begin, modes: settings::transaction_modes(&modes)? })
        }
        Ast::Commit { chain, .. } => refuse_chain(chain, Classified::Commit),
        Ast::Rollback { chain, savepoint } => {
            refuse_chain(chain, savepoint.map_or(Classified::Rollback, |name| Classified::RollbackTo(name.value)))
        }
        Ast::Savepoint { name } => Ok(Classified::Savepoint(name.value)),
        Ast::ReleaseSavepoint { name } => Ok(Classified::Release(name.value)),
        Ast::Declare { stmts } => cursors::declare(stmts),
        Ast::Fetch { name, direction, into, .. } => {
            if into.is_some() {
                return Err(unsupported("FETCH INTO"));
            }
            Ok(Classified::Fetch { name: name.value, walk: cursors::walk(&direction)? })
        }
        Ast::Close { cursor } => Ok(Classified::Close(match cursor {
            CloseCursor::All => None,
            CloseCursor::Specific { name } => Some(name.value),
        })),
        Ast::Prepare { name, data_types, statement } => {
            Ok(Classified::Prepare { name: name.value, types: data_types, statement })
        }
        Ast::Execute { name: Some(name), parameters, immediate: false, into, using, .. }
            if into.is_empty() && using.is_empty() =>
        {
            Ok(Classified::Execute { name: unquoted(&name.to_string()), arguments: parameters })
        }
        Ast::Deallocate { name, .. } => {
            let all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Ok(Classified::Deallocate((!all).then_some(name.value)))
        }
        Ast::Discard { object_type } => Ok(Classified::Discard(object_type)),
        Ast::LISTEN { channel } => Ok(Classified::Listen(folded(channel))),
        Ast::UNLISTEN { channel } => {
            let all = channel.quote_style.is_none() && channel.value == "*";
            Ok(Classified::Unlisten((!all).then(|| folded(channel))))
        }
        Ast::Call(function) => call(&function),
        Ast::Lock(lock) => {
            let tables = refusals::lock(lock)?;
            Ok(Classified::Lock(
                tables.iter().map(|name| table_query(name.clone(), Vec::new())).collect::<Result<_>>()?,
            ))
        }
        other => Err(refused(&other)),
    }
}

/// Whether it is SELECT INTO TEMPORARY.
fn makes_temporary(query: &Query) -> bool {
    query.body.as_select().is_some_and(|select| select.into.as_ref().is_some_and(|into| into.temporary))
}

/// The name of the table that SELECT INTO TEMPORARY makes, which is taken out of the query.
fn temporary_name(query: &mut Query) -> Result<ObjectName> {
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(unsupported("this form of SELECT INTO")) };
    let into = select.into.take().ok_or_else(|| unsupported("this form of SELECT INTO"))?;
    Ok(into.name)
}

/// The refusal of a statement about what is made and dropped elsewhere.
pub(crate) fn refused_elsewhere(ast: &Ast) -> Error {
    refused(ast)
}

/// A name as PostgreSQL reads it: in small letters unless it is quoted.
fn folded(name: Ident) -> String {
    if name.quote_style.is_none() { name.value.to_lowercase() } else { name.value }
}

/// `CALL name(constants)`.
fn call(function: &Function) -> Result<Classified> {
    let plain = function.filter.is_none() && function.over.is_none() && function.within_group.is_empty();
    let list = match &function.args {
        FunctionArguments::List(list) if plain && list.clauses.is_empty() && list.duplicate_treatment.is_none() => list,
        FunctionArguments::None | FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
            return Err(unsupported("this form of CALL"));
        }
    };
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => constant(expr),
        _ => Err(unsupported("this kind of argument in CALL")),
    };
    let arguments = list.args.iter().map(argument).collect::<Result<_>>()?;
    Ok(Classified::Call { name: unquoted(&function.name.to_string()).to_lowercase(), arguments })
}

fn constant(expr: &Expr) -> Result<Cell> {
    let number = |text: &str| {
        let whole = text.parse().map(Cell::Integer);
        whole.or_else(|_| text.parse().map(Cell::Float)).map_err(|_| unsupported("this number in CALL"))
    };
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Ok(Cell::text(text)),
            Value::Number(text, _) => number(text),
            Value::Boolean(flag) => Ok(Cell::Flag(*flag)),
            Value::Null => Ok(Cell::Null),
            _ => Err(unsupported("this constant in CALL")),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match constant(expr)? {
            Cell::Integer(value) => Ok(Cell::Integer(-value)),
            Cell::Float(value) => Ok(Cell::Float(-value)),
            Cell::Null | Cell::Text(_) | Cell::Flag(_) | Cell::Time(_) => Err(unsupported("this constant in CALL")),
        },
        _ => Err(unsupported("an argument of CALL that is no constant")),
    }
}

/// Refuses changes and locks, where changes are not enabled.
///
/// # Errors
/// 0A000.
pub(crate) fn refuse_changes(class: &Classified) -> Result<()> {
    if let Classified::Write(ast) = class {
        return Err(refused_write(ast));
    }
    if let Classified::CopyIn(_) = class {
        return Err(disabled_copy());
    }
    if let Classified::Locking { .. } = class {
        return Err(unsupported("FOR UPDATE or FOR SHARE"));
    }
    Ok(())
}

/// What a client does who wants to change rows where none may be changed.
const ENABLE: &str = "This gate reads; an operator enables changes with `enabled = true` in [writes].";

/// The error of a change where changes are not enabled.
pub(crate) fn refused_write(ast: &Ast) -> Error {
    refused(ast).with_hint(ENABLE)
}

/// COPY FROM, whose rows a client sends.
pub(crate) fn disabled_copy() -> Error {
    unsupported("COPY FROM").with_hint(ENABLE)
}

fn refused(ast: &Ast) -> Error {
    refusals::refused(&refusals::tag(ast))
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))
}

fn refuse_chain(chain: bool, class: Classified) -> Result<Classified> {
    if chain { Err(unsupported("AND CHAIN")) } else { Ok(class) }
}

fn explain(analyze: bool, verbose: bool, statement: Box<Ast>, options: Vec<UtilityOption>) -> Result<Classified> {
    let mut style = ExplainStyle { analyze, verbose, json: false, timing: true };
    for option in options {
        let argument = option.arg.as_ref().map(|a| a.to_string().to_lowercase());
        let argument = argument.as_deref().map(|text| text.trim_matches('\''));
        let on = argument.is_none_or(|text| matches!(text, "true" | "on" | "1"));
        match (option.name.value.to_lowercase().as_str(), argument) {
            ("analyze", _) => style.analyze = on,
            ("verbose", _) => style.verbose = on,
            ("timing", _) => style.timing = on,
            ("format", Some("json")) => style.json = true,
            ("format", Some("text")) => style.json = false,
            // They change only what Postgres prints beside the plan.
            ("costs" | "summary" | "buffers" | "settings" | "wal", _) => {}
            ("format", Some(format @ ("xml" | "yaml"))) => {
                let refusal = unsupported(&format!("EXPLAIN with FORMAT {format}"));
                return Err(refusal.with_hint("Plans are shown as text and as json."));
            }
            ("format", Some(other)) => {
                let text = format!("unrecognized value for EXPLAIN option \"format\": \"{other}\"");
                return Err(Error::new(ErrorCode::InvalidParameterValue, text));
            }
            ("format", None) => return Err(Error::new(ErrorCode::SyntaxError, "format requires a parameter")),
            (other, _) => {
                let text = format!("unrecognized EXPLAIN option \"{other}\"");
                return Err(Error::new(ErrorCode::SyntaxError, text));
            }
        }
    }
    let statement = match *statement {
        Ast::Query(query) if changes::is_one(&query) => Box::new(changes::change(*query)?),
        other => Box::new(other),
    };
    match statement.as_ref() {
        Ast::Query(_) | Ast::Execute { .. } => Ok(Classified::Explain { style, statement }),
        Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) if style.analyze => {
            Err(unsupported("EXPLAIN ANALYZE of a change").with_hint("EXPLAIN without ANALYZE says what it would do."))
        }
        Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) => Ok(Classified::Explain { style, statement }),
        other => Err(refused(other)),
    }
}

pub(crate) fn is_utf8(name: &str) -> bool {
    matches!(name.trim_matches(['\'', '"']).to_lowercase().replace(['-', '_'], "").as_str(), "utf8" | "unicode")
}

/// `SHOW TRANSACTION ISOLATION LEVEL` and `SHOW TIME ZONE` are spelled in words.
fn setting_name(words: &[String]) -> String {
    match words.iter().map(|w| w.to_lowercase()).collect::<Vec<_>>().join(" ").as_str() {
        "transaction isolation level" => "transaction_isolation".to_owned(),
        "time zone" => "TimeZone".to_owned(),
        "session authorization" => "session_authorization".to_owned(),
        _ => words.join("."),
    }
}

fn unquoted(name: &str) -> String {
    name.replace('"', "")
}

#[cfg(test)]
mod tests;
