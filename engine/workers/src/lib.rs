//! Governed leaves over files, read by other processes: the gate seals what a leaf is planned from, a worker verifies the seal, plans
//! the same leaf and gives its rows. A worker has no users, no metadata and no statement.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod gate;
pub mod part;
mod pieces;
mod status;
pub mod worker;

/// The action that asks a worker for which process parts are to be sealed.
const START_ACTION: &str = "start";
