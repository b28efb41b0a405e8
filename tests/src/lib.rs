//! What the end-to-end tests share. Holds no test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

pub mod doors;
pub mod harness;
pub mod questions;
pub mod rest;
pub mod server;
