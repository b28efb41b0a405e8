//! The REST door: ObjectStack's interface below `/api/v1`. Knows no engine: records are asked for and changed through a
//! `Session`, people, keys and metadata through `Platform`.

#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]
#![cfg_attr(test, allow(clippy::print_stdout, reason = "says what was measured"))]

mod analytics;
mod answer;
mod auth;
mod call;
mod callers;
mod code;
mod config;
mod data;
mod discovery;
mod docs;
mod door;
pub mod fuzzing;
mod metadata;
mod openapi;
mod presence;
mod realtime;
mod refusal;
mod routes;
mod site;
mod texts;
mod unread;
mod values;
mod verdict;
mod work;

pub use config::RestConfig;
pub use door::RestDoor;
pub use values::print_rows;
