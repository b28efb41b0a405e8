//! The MariaDB and MySQL driver: fragments down, Arrow batches up. Knows no DataFusion, no metadata and no policy.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod advice;
mod bind;
mod capabilities;
mod codec;
mod columns;
mod declared;
mod decode;
mod dialect;
mod driver;
mod error;
mod exact;
mod execute;
mod explained;
mod functions;
mod introspect;
mod lineage;
mod names;
mod options;
mod placeholders;
mod planner;
mod pool;
mod session;
mod what_if;
mod wire;

pub use driver::MysqlDriver;
pub use introspect::enum_values;
pub use options::{MysqlOptions, MysqlTls};
