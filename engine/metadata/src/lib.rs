//! The ObjectStack 17.4 metadata: load, validate, resolve, snapshot, registry. Evaluates no policy and opens no source.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod diagnostic;
mod facts_rows;
pub mod model;

pub use diagnostic::{Diagnostic, Severity};
pub use model::{Facts, Field, FieldType, Object, PermissionSet, Snapshot, TenancyPosture, ValueType};
