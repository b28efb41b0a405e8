//! Transactions across sources, whole or not at all: two-phase commit with a durable decision log, recovery, and what operators see and
//! decide. Knows drivers and their transactions; no table, no user, no session.

mod coordinator;
mod log;

pub use coordinator::{Coordinator, Part, Unsettled};
