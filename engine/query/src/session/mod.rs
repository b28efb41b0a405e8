//! A session: settings, transaction, cursors, prepared statements, and the life of each statement in it.

mod commands;
mod follow;
mod gate_session;
mod held;
mod hook_records;
mod rights;
mod seen_records;
mod service;
mod statements;
mod temporary;
mod transaction;
mod transaction_end;
mod workspace;

pub(crate) use gate_session::GateSession;
pub use service::GateService;
pub(crate) use statements::prepared::PreparedStatement;
