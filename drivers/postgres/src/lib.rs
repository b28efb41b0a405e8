//! The PostgreSQL driver: fragments down, Arrow batches up. Knows no DataFusion, no metadata and no policy.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod advice;
mod compile;
mod connect;
mod decode;
mod driver;
mod error;
mod introspect;
mod run;
mod wire;
mod write;

pub use connect::options::{PostgresOptions, PostgresTls};
pub use driver::PostgresDriver;
pub use introspect::NumericSample;
