//! Statements of a client before they run: bound, described, charged to their session.

use super::prepared::{Kind, PreparedStatement};
use crate::dialect::parameters::Declared;
use crate::run::start_time::StartTime;
use crate::session::gate_session::GateSession;
use crate::sql::classify::Classified;
use crate::sql::copy_from::quoted;
use crate::sql::parse::Parsed;
use crate::sql::trace_comment::trace_context;
use querygate_query_api::outcome::CopyOptions;
use querygate_telemetry_api::trace::StageTime;
use querygate_types::Result;
use std::sync::{Arc, Mutex};

impl GateSession {
    /// Binds one statement, or looks at what a command needs, and says what its parameters and columns are.
    ///
    /// # Errors
    /// Those of binding; 53200 where the session may not hold what is prepared.
    pub(in crate::session) async fn prepare_parsed(
        &self,
        parsed: Arc<Parsed>,
        declared: &[Option<Declared>],
    ) -> Result<PreparedStatement> {
        let _planning = self.planning(parsed.bytes())?;
        let mut change_types = Vec::new();
        let mut constants = None;
        let (kind, columns) = match parsed.class() {
            Classified::Query(query) => {
                let (bound, found) = self.bind_prepared(&parsed, query, declared).await?;
                constants = found;
                let columns = Arc::clone(bound.columns());
                (Kind::Query(bound), Some(columns))
            }
            Classified::Locking { query, .. } => {
                let bound = self.bind_query(query, declared, None).await?;
                self.admits_locking(parsed.class(), &bound)?;
                let columns = Arc::clone(bound.columns());
                (Kind::Locking(bound), Some(columns))
            }
            Classified::Temporary(ast) => return self.prepare_temporary(&parsed, ast, declared).await,
            Classified::Write(ast) => {
                if let Some(prepared) = self.prepare_temporary_change(&parsed, ast, declared).await? {
                    return Ok(prepared);
                }
                let described = self.prepare_write(ast, declared).await?;
                return Ok(PreparedStatement {
                    parsed: Arc::clone(&parsed),
                    declared: declared.to_vec(),
                    kind: Kind::Write(described.schema),
                    constants: None,
                    parameter_types: described.types,
                    columns: described.columns,
                    look_up: Mutex::default(),
                    write: Mutex::new(described.cached),
                    _plan: None,
                });
            }
            Classified::CopyIn(copy) => return self.prepare_copy(Arc::clone(&parsed), copy).await,
            Classified::CopyOut { query, options, force_quote } => {
                let bound = self.bind_query(query, declared, None).await?;
                let names: Vec<&str> = bound.columns().iter().map(|column| column.name.as_str()).collect();
                let options = CopyOptions { force_quote: quoted(force_quote, &names)?, ..options.clone() };
                (Kind::Copy(bound, options), None)
            }
            Classified::Declare { query, .. } => (Kind::Declare(self.bind_query(query, declared, None).await?), None),
            Classified::Explain { style, statement } => {
                let nested = Arc::new(parsed.nested(statement.as_ref().clone())?);
                let columns = Some(crate::session::commands::explain::columns(*style));
                match nested.class() {
                    Classified::Query(query) => {
                        let bound = self.bind_query(query, declared, None).await?;
                        (Kind::Explain(bound, *style, Arc::clone(&nested)), columns)
                    }
                    Classified::Write(ast) => {
                        change_types = self.prepare_write(ast, declared).await?.types;
                        (Kind::ExplainWrite(*style, Arc::clone(&nested)), columns)
                    }
                    // The statement that has this name is looked up when it is explained.
                    Classified::Execute { .. } => (Kind::Command, columns),
                    _ => return Err(crate::session::commands::explain::unexplained()),
                }
            }
            command => (Kind::Command, self.command_columns(command)?),
        };
        let (parameter_types, plan) = match &kind {
            Kind::Query(bound)
            | Kind::Locking(bound)
            | Kind::Copy(bound, _)
            | Kind::Declare(bound)
            | Kind::Explain(bound, ..) => {
                // What stands for a constant is no parameter of the client's.
                let types = if constants.is_some() { Vec::new() } else { bound.parameter_types() };
                (types, Some(bound.charge(&self.prepared_memory)?))
            }
            Kind::Write(_) | Kind::Temporary(_) | Kind::Ingest(_) | Kind::ExplainWrite(..) | Kind::Command => {
                (change_types, None)
            }
        };
        Ok(PreparedStatement {
            parsed,
            declared: declared.to_vec(),
            kind,
            constants,
            parameter_types,
            columns,
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: plan,
        })
    }
}

/// Notes for the trace of each statement how its text was parsed, and the client's span: of the statement's own text where it has
/// several.
pub(in crate::session) fn trace_parsing(sql: &str, statements: &[Arc<Parsed>], began: StartTime) {
    let parse = StageTime { began: began.at, took: began.started.elapsed() };
    for (number, parsed) in statements.iter().enumerate() {
        let text = if statements.len() == 1 { sql } else { parsed.shared_text() };
        parsed.trace_parsing(trace_context(text), (number == 0).then_some(parse));
    }
}
