//! Advisory locks, and the functions that take them.

mod functions;
mod locks;

pub(crate) use functions::{LocksInConfig, functions};
pub(crate) use locks::{AdvisoryLocks, LockKey, SessionLocks};
