//! The Flight SQL door: speaks Arrow Flight to clients and [`querygate_query_api`] to the engine; and a client of such a door.
//! Knows no plan and no source.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod calls;
mod client;
mod command;
mod config;
mod door;
mod door_state;
mod entrance;
mod messages;
mod metadata;
mod observe;
mod service;
mod sessions;
mod status;
mod tickets;
mod transport;

pub use client::{ClientOptions, ClientTls, FlightClient, RemoteResult};
pub use config::FlightConfig;
pub use door::FlightDoor;
