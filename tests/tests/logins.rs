//! Logins of programs: API keys and tokens of issuers at the Postgres port, over Flight SQL and over REST, through the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic and report"
)]

#[path = "logins/adbc.rs"]
mod adbc;
#[path = "logins/flight.rs"]
mod flight;
#[path = "logins/issued.rs"]
mod issued;
#[path = "logins/keys.rs"]
mod keys;
#[path = "logins/provider.rs"]
mod provider;
#[path = "logins/real.rs"]
mod real;
#[path = "logins/world.rs"]
mod world;
