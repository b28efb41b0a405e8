//! The Postgres door: speaks protocol 3 to clients and [`querygate_query_api`] to the engine. Knows no plan and no source.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod auth;
mod calendar;
mod cancel;
mod config;
mod connection;
mod copy;
mod copy_in;
mod decode;
mod digits;
mod door;
mod encode;
mod extended;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod halt;
mod idle;
mod lookup;
mod observe;
mod random;
mod report;
mod shared;
mod simple;
mod startup;
mod startup_packet;
mod stream;
mod transport;
mod width;
mod wire;
mod written;

pub use config::{DoorConfig, TlsSettings};
pub use door::PostgresDoor;
