//! What the end-to-end tests share. Holds no test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "says what was skipped, and causes where they are asked for"
)]

use tikv_jemallocator::Jemalloc;

/// The gate's own: what tests say of memory is true of it, and the C library's takes a tenth of their time.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

pub mod browser;
pub mod doors;
pub mod harness;
pub mod questions;
pub mod rest;
pub mod server;
