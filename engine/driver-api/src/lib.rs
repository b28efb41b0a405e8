//! What every driver speaks: typed values, the push-down vocabulary with written semantics, capabilities, the driver trait. Knows neither DataFusion nor any source.
//!
//! - [`relation`], [`scalar`], [`function`], [`aggregate`]: the closed algebra;
//! - [`fragment`]: a checked part of a plan for one source; [`columns`]: types of its columns;
//! - [`capability`]: what may be pushed and why not; [`driver`], [`remote`]: the source itself; [`Ask`], [`Answer`]: its runs;
//! - [`advice`]: its indexes, and what others would change; [`layout`]: how rows lie in files; [`lossless`]: casts that keep each value; [`snapshot`]: one state of it for several executions;
//!   [`planning`]: settings for its planner;
//! - [`builder`], [`ending`], [`pool`]: what drivers of servers are made of;
//! - [`write`]: changes, and the transactions in which they happen;
//! - `testkit` (feature): the conformance suite and the fault layer.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod advice;
pub mod aggregate;
mod answer;
mod breaker;
mod budget;
pub mod builder;
pub mod capability;
pub mod columns;
mod delivery;
pub mod driver;
pub mod ending;
pub mod fragment;
pub mod function;
mod identifier;
pub mod layout;
pub mod lossless;
mod notice;
pub mod planning;
pub mod pool;
pub mod relation;
pub mod remote;
pub mod scalar;
pub mod snapshot;
mod statement;
#[cfg(feature = "testkit")]
pub mod testkit;
mod value;
mod value_array;
pub mod write;

pub use answer::{Answer, Ask, DeclineReason, LookUp, Wanted};
pub use budget::{Budget, Place, Resting};
pub use capability::{Capabilities, Refusal, RefusalReason, of_one_scale};
pub use columns::{ColumnInfo, ColumnTypes};
pub use delivery::{Delivery, delivery};
pub use driver::{BatchStream, Driver, ExecuteContext, NativeStatement};
pub use fragment::{Fragment, OutputColumn};
pub use identifier::{ColumnId, Identifier, TableRef};
pub use notice::SchemaNotice;
pub use relation::Relation;
pub use scalar::ScalarExpr;
pub use value::{ItemType, Value, ValueType};
