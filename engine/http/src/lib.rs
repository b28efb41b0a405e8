//! The HTTP door: liveness, readiness, metrics, and pages for people who log in. Knows no engine and no exporter: what it shows
//! is handed in or read through `QueryService`.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod door;
mod pages;
mod probes;

pub use door::{HttpConfig, HttpDoor};
pub use pages::Pages;
pub use probes::{Probes, Readiness};
