//! Changes under load while the gate or the source is killed, and while clients cancel and leave: nothing is stored by half, nothing
//! that was acknowledged is lost, and nothing is left open at the source. `STORM_ROUNDS` makes it
//! longer, and `QUERYGATE_CHAOS` says for how many seconds sources of one gate fail in turn.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "storms/cancels.rs"]
mod cancels;
#[path = "storms/chaos.rs"]
mod chaos;
#[path = "storms/chaos_load.rs"]
mod chaos_load;
#[path = "storms/kills.rs"]
mod kills;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "storms/place.rs"]
mod place;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;

/// Rounds of each test.
fn rounds(usual: usize) -> usize {
    std::env::var("STORM_ROUNDS").map_or(usual, |text| text.parse().unwrap())
}
