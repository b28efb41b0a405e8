//! Transactions that change several sources, through the real binary and the Postgres door: two databases of PostgreSQL, and one beside each
//! other kind of source. What is stored is asked of the sources themselves. Crashes at each step: `crashes.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests panic, and print a table"
)]

#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "distributed/outages.rs"]
mod outages;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "distributed/refusals.rs"]
mod refusals;
#[path = "distributed/scenario.rs"]
mod scenario;
#[path = "distributed/world.rs"]
mod world;
