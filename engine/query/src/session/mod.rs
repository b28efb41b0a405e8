//! A session: settings, transaction, cursors, prepared statements, and the life of each statement in it.

mod advised;
mod armed;
mod call;
mod check;
mod commands;
mod cursors;
mod durations;
pub(crate) mod explain;
mod listen;
mod parts;
mod prepared;
mod reading;
mod records;
mod refreshed;
mod rights;
pub(crate) mod settings;
mod statement;
pub(crate) mod text;
mod transaction;
mod workspace;
mod written;
mod zone;

pub(crate) use prepared::PreparedStatement;
pub(crate) use statement::GateSession;
