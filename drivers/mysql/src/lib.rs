//! The MariaDB and MySQL driver: fragments down, Arrow batches up. Knows no DataFusion, no metadata and no policy.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod advice;
mod compile;
mod connect;
mod driver;
mod error;
mod execute;
mod introspect;
mod wire;
mod write;

pub use connect::options::{MysqlOptions, MysqlTls};
pub use driver::MysqlDriver;
pub use introspect::enum_values;
