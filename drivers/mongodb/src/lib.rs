//! The MongoDB driver: fragments down as aggregation pipelines, BSON up as Arrow batches, changes in transactions. Knows no DataFusion, no metadata and no policy.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod advice;
mod compile;
mod connect;
mod documents;
mod driver;
mod error;
mod execute;
mod tree;
mod write;

pub use connect::options::{MongoOptions, MongoTls};
pub use driver::MongoDriver;
