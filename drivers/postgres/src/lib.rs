//! The PostgreSQL driver: fragments down, Arrow batches up. Knows no DataFusion, no metadata and no policy.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod advice;
mod bind;
mod bulk;
mod capabilities;
mod cells;
mod collations;
mod connection;
mod copied;
mod declared;
mod decode;
mod dialect;
mod driver;
mod error;
mod execute;
mod frames;
mod functions;
mod introspect;
mod line;
mod lines;
mod lookups;
mod moment;
mod numeric;
mod options;
mod planner;
mod pool;
mod socket;
mod statements;
mod tls;
mod traffic;
mod whole;

pub use driver::PostgresDriver;
pub use introspect::NumericSample;
pub use options::{PostgresOptions, PostgresTls};
