//! Tokens of OpenID Connect issuers: which hold, and what they say of whom. Fetches and keeps the keys of issuers; knows no door and
//! no user of the gate.

#![warn(missing_docs, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod address;
mod algorithm;
mod claims;
mod config;
mod fetch;
mod issuer;
mod issuers;
mod key_set;
mod keys;
mod refusal;
#[cfg(test)]
mod tests;
mod times;
mod token;

pub use address::checked_address;
pub use claims::Claimed;
pub use config::{Algorithms, ClaimNames, IssuerConfig, KeySource};
pub use issuers::Issuers;
pub use key_set::tenure::KeyTenure;
pub use refusal::Refusal;
