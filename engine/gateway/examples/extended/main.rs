//! The gate with an extension: all commands of `querygate`, and a hook, a validation, a mask and a kind of sources in Rust.
//!
//! `cargo run --example extended -- check querygate.toml` lists them. `tests/extended.rs` asks such a gate by both doors.

mod payments;
#[path = "../../../driver-api/examples/smallest_driver.rs"]
#[allow(dead_code, reason = "it is a program, too")]
mod smallest_driver;

use std::process::ExitCode;

fn main() -> ExitCode {
    querygate::run_with(vec![payments::extension()], std::env::args_os(), querygate::Output::standard())
}
