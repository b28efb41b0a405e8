//! The words every crate shares: error codes, principals, Postgres types and limits; reading and printing JSON. Knows no
//! engine, no door and no source.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod bits;
pub mod bytes;
pub mod code;
mod error;
pub mod json;
pub mod limits;
pub mod network;
pub mod numeric;
mod pg_type;
mod planner;
pub mod principal;
mod referential;
mod shown;
pub mod uuid;
pub mod vendor;
pub mod wire_rows;

pub use code::ErrorCode;
pub use error::{Error, Result, SourceRule};
pub use pg_type::{PgType, TypeCategory};
pub use planner::PlannerSetting;
pub use referential::ReferentialAction;
pub use shown::harmless;
