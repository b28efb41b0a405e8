//! The `querygate` command.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// The C library's keeps what a burst of work has left free; this one returns it within ten seconds.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    querygate::run(std::env::args_os(), &mut querygate::Output::standard())
}
