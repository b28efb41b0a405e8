//! The one path of every query: parse, classify, bind, govern, optimize, verify, execute, observe. Knows no wire and no
//! driver.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod admission;
mod argument_types;
mod asks;
mod audit;
mod below;
mod bind;
mod checks;
mod compare;
mod dialect;
mod engine;
mod error_words;
mod errors;
mod execute;
mod explain;
mod functions;
mod gate;
mod guard;
mod memory;
mod named;
mod nulls;
mod observe;
mod origin;
mod output_types;
mod parameters;
mod part_name;
mod parts;
mod plan;
mod plan_bytes;
mod receipts;
mod recording;
mod rules;
mod semantics;
mod session;
mod sql;
mod steps;
mod system;
mod telling;
mod variant;
mod verify;
mod waiting;

pub use gate::{Gate, GateOptions, GateService};
#[doc(hidden)]
pub use sql::fuzzing;
