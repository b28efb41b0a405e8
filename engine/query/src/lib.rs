//! The one path of every query: parse, classify, bind, govern, optimize, verify, execute, observe. Knows no wire and no
//! driver.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod advisory;
mod bind;
mod books;
mod dialect;
mod engine;
mod errors;
mod events;
mod history;
mod plan;
mod question;
mod rules;
mod run;
mod session;
mod settings;
mod sql;
mod temporary;
mod temporary_rows;
#[cfg(test)]
mod testing;
mod write;

pub use bind::workspace::check_view;
pub use engine::{Engine, EngineOptions, EngineWorkers, EventFeed};
pub use errors::translate_part;
pub use session::GateService;
#[doc(hidden)]
pub use sql::fuzzing;
