//! Crashes within transactions of two sources, at each step of their commit: of the process that commits, of the one that settles what it left,
//! and of the servers. `QUERYGATE_CRASHES=12 cargo test -p querygate-tests --test crashes -- --nocapture` tries each step so often, and
//! prints tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests panic, and print a table"
)]

#[path = "crashes/aborting.rs"]
mod aborting;
#[path = "crashes/child.rs"]
mod child;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "crashes/processes.rs"]
mod processes;
#[path = "crashes/servers.rs"]
mod servers;
#[path = "distributed/world.rs"]
#[allow(dead_code, reason = "shared with the tests of transactions")]
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Servers that end are everybody's.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
