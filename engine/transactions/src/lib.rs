//! Transactions across sources, whole or not at all: two-phase commit with a durable decision log, recovery, and what operators see and
//! decide. Knows drivers and their transactions; no table, no user, no session.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod coordinator;
mod log;

pub use coordinator::{Coordinator, Part, Unsettled};
