//! Clients' sessions over sessions of the engine: found, bounded, with their statements and bound values. Knows no call.

pub(crate) mod bind;
pub(crate) mod let_in;
pub(crate) mod own_queries;
pub(crate) mod registry;
pub(crate) mod session;
pub(crate) mod statement;
