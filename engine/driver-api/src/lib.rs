//! What every driver speaks: typed values, the push-down vocabulary with written semantics, capabilities, the driver trait. Knows neither DataFusion nor any source.
//!
//! - [`relation`], [`scalar`], [`function`], [`aggregate`]: the closed algebra;
//! - [`fragment`]: a checked part of a plan for one source; [`columns`]: types of its columns;
//! - [`identifier`], [`value`]: names and values, which never become text;
//! - [`capability`]: what may be pushed and why not; [`driver`], [`remote`]: the source itself; [`execution`]: its runs;
//! - [`advice`]: its indexes, and what others would change; [`layout`]: how rows lie in files; [`lossless`]: what casts keep of values;
//!   [`planning`]: settings for its planner;
//! - [`builder`], [`pool`]: what drivers of servers are made of;
//! - [`write`]: changes, and the transactions in which they happen;
//! - `testkit` (feature): the conformance suite and the fault layer.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod advice;
pub mod aggregate;
mod boxed_scan;
pub mod builder;
pub mod capability;
pub mod columns;
pub mod driver;
pub mod execution;
pub mod fragment;
pub mod function;
pub mod identifier;
pub mod layout;
pub mod lossless;
pub mod planning;
pub mod pool;
pub mod relation;
pub mod remote;
pub mod scalar;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod value;
mod value_array;
pub mod write;
