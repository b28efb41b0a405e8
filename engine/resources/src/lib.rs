//! What a statement may take: memory for what its expressions make, time until it is over, connections of sources. Knows no
//! table and no policy.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod aside;
mod asking_expr;
pub mod bytes;
mod charge;
pub mod measured;
pub mod memory;
mod metered_exec;
mod multiplied;
mod pace;
mod shares;
mod snapshot_quota;
mod stop;
mod transaction_block;

pub use aside::aside;
pub use charge::{CHARGE_LEAST, Metered, Working, charge, work};
pub use metered_exec::MeteredExec;
pub use shares::{Holder, Resting, ShareBounds, SourceShares};
pub use snapshot_quota::HeldSnapshot;
pub use stop::{Stop, proceed};
pub use transaction_block::{BlockLimits, Branches, TransactionBlock};

/// What is measured is what this allocator counts.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
