//! The binary's parts: configuration, command line, demo, wiring, signals. The only crate that knows all others.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod auth;
mod cli;
mod config;
mod demo;
mod embed;
mod extract;
mod gate;
mod governance;
mod init;
mod introspect;
mod logging;
mod metadata;
mod naming;
mod output;
mod password;
mod platform;
mod private_file;
mod process;
mod serve;
mod shell;
mod tls;
mod users;
mod verifier;
mod wiring;

pub use cli::run;
pub use embed::{Addresses, run_with, serve};
pub use output::{Captured, Output};
pub use wiring::deployment_of;
