//! The Flight SQL door: speaks Arrow Flight to clients and [`querygate_query_api`] to the engine; and a client of such a door.
//! Knows no plan and no source.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod actions;
mod bind;
mod client;
mod command;
mod config;
mod door;
mod encode;
mod get;
mod handshake;
mod info;
mod ingest;
mod merge;
mod metadata;
mod observe;
mod options;
mod own_queries;
mod progress;
mod puts;
mod running;
mod seal;
mod service;
mod session;
mod sessions;
mod shared;
mod statement;
mod status;
mod stream;
mod ticket;
mod transport;
mod wire;

pub use client::{ClientOptions, ClientTls, FlightClient, RemoteResult};
pub use config::FlightConfig;
pub use door::FlightDoor;
