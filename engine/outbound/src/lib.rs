//! What the gate sends by HTTP to addresses that operators gave: bounded, without redirects, signed, and where it is wanted to no
//! address of a private network. Knows not what it sends.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod client;
mod public;
mod signature;

pub use client::{HttpClient, TIMEOUT};
pub use public::is_public;
pub use signature::signature;
