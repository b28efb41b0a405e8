//! Scripts of hooks in a sandbox: JavaScript without I/O, timers, modules or a clock of its own, in bounded time and memory. Each
//! call has a context of its own, so that nothing of one is left for another. Knows no object, no principal and no source.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod answer;
mod call;
mod context;
mod native;
mod sandbox;
mod watch;

pub use answer::{Fault, Made, Thrown};
pub use call::{Call, Host, LogLevel, LogLine, Report};
pub use sandbox::Sandbox;
