//! What a binary's author adds to the gate in Rust: hooks, validations, masks and kinds of sources, which metadata and configuration
//! name as `native:NAME`. Declares and resolves; the gate decides when they run. Nothing registers itself: the composition root is
//! given a list, so that gates of one process may have different ones.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod extension;
pub mod harness;
pub mod hook;
mod manifest;
pub mod mask;
mod panic_guard;
mod registration;
mod resolve;
pub mod source;
pub mod validation;

pub use extension::{Extension, Extensions};
pub use manifest::{Dependency, Kind, Manifest, Version};
pub use registration::Registration;

/// A record: values by the names of their fields.
pub type Row = serde_json::Map<String, serde_json::Value>;
