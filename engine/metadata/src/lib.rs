//! The ObjectStack 17.4 metadata: load, validate, resolve, snapshot, registry. Evaluates no policy and opens no source.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod cell;
mod diagnostic;
mod facts_rows;
pub mod load;
pub mod model;
mod read;
mod registry;
mod summary;
mod syntax;

pub use cell::{Reloaded, SnapshotCell};
pub use diagnostic::{Diagnostic, Severity};
pub use read::nearest;
pub use registry::{Registry, UninstallError};
pub use summary::Summary;
