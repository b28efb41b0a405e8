//! Data, statements, gates and a client that benches share. Measures nothing itself.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

#[cfg(feature = "engine")]
pub mod choices;
pub mod crm;
#[cfg(feature = "door")]
pub mod door;
#[cfg(feature = "engine")]
pub mod extract;
#[cfg(feature = "engine")]
pub mod federated;
#[cfg(feature = "engine")]
pub mod gate;
pub mod process;
#[cfg(feature = "engine")]
pub mod rows;
#[cfg(feature = "engine")]
pub mod tpch;
#[cfg(feature = "door")]
pub mod wide;
#[cfg(feature = "door")]
pub mod wire;
