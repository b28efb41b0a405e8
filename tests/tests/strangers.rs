//! What somebody without a login, and one user with many connections, can take of a gate's memory and time, door by door: connections
//! are held in every state that they can be brought into, and the process stays within what all strangers together, or one user, may
//! have. Users log in and work meanwhile.
//!
//! The same list of attacks is run against each door that speaks the protocol; a gate with a door that no attack knows fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic and tell figures"
)]

#[path = "strangers/crowd.rs"]
mod crowd;
#[path = "strangers/flight.rs"]
mod flight;
#[path = "strangers/http.rs"]
mod http;
#[path = "strangers/http2.rs"]
mod http2;
#[path = "strangers/postgres.rs"]
mod postgres;
#[path = "strangers/users.rs"]
mod users;
#[path = "strangers/world.rs"]
mod world;
