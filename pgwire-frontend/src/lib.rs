//! The Postgres door: speaks protocol 3 to clients and [`querygate_query_api`] to the engine. Knows no plan and no source.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod calendar;
mod cancel;
mod config;
mod connection;
mod decode;
mod digits;
mod door;
mod door_state;
mod encode;
#[doc(hidden)]
pub mod fuzzing;
mod observe;
mod random;
mod report;
mod startup;
mod transport;
mod wire;

pub use config::{DoorConfig, TlsSettings};
pub use door::PostgresDoor;
pub use encode::TextCells;
