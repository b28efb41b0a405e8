//! The `querygate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    querygate::run(std::env::args_os(), &mut querygate::Output::standard())
}
