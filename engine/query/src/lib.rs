//! The one path of every query: parse, classify, bind, govern, optimize, verify, execute, observe. Knows no wire and no
//! driver.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod admission;
mod argument_types;
mod asks;
mod audit;
mod below;
mod bind;
mod breadth;
mod checks;
mod classify;
mod clauses;
mod compare;
mod dialect;
mod distinct_from;
mod doubted;
mod engine;
mod error_words;
mod errors;
mod execute;
mod explain;
mod functions;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod guard;
mod heeding;
mod locate;
mod lost_orders;
mod memory;
mod metering;
mod named;
mod nulls;
mod observe;
mod one_row;
mod origin;
mod output_types;
mod parameters;
mod parse;
mod part_name;
mod parts;
mod plan;
mod plan_bytes;
mod receipts;
mod recording;
mod refuse;
mod same_names;
mod semantics;
mod session;
mod spellings;
mod steps;
mod system;
mod telling;
mod template;
mod tokens;
mod topk;
mod unfolding;
mod variant;
mod verify;
mod waiting;
mod walk;
mod weight;
mod yielding;

pub use gate::{Gate, GateOptions, GateService};
