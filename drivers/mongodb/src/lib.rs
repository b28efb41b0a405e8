//! The MongoDB driver: fragments down as aggregation pipelines, BSON up as Arrow batches. Knows no DataFusion, no metadata and no policy.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod advice;
mod aggregate;
mod arithmetic;
mod bind;
mod capabilities;
mod cells;
mod compile;
mod decimal;
mod decode;
mod driver;
mod error;
mod execute;
mod expression;
mod fetch;
mod functions;
mod introspect;
mod json;
mod kinds;
mod matching;
mod node;
mod options;
mod order;
mod parse;
mod paths;
mod pattern;
mod place;
mod pool;
mod sample;
mod walk;

pub use driver::MongoDriver;
pub use options::{MongoOptions, MongoTls};
