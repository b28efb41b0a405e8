//! Fragments into statements: what is refused, and the text of the rest. Asks no server.

pub(crate) mod capabilities;
pub(crate) mod collations;
pub(crate) mod dialect;
pub(crate) mod functions;
pub(crate) mod index_equality;
pub(crate) mod order_keys;
pub(crate) mod planner;
pub(crate) mod unreadable;
