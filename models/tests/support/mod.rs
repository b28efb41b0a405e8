//! Reads the public data sets that models are judged on. Used by tests and by the examples that print the tables.
#![allow(dead_code, reason = "each test and example uses a part")]
#![allow(unreachable_pub, reason = "a module of several programs")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

pub mod csv;
pub mod fragments;
pub mod subplans;
pub mod validation;

use std::path::{Path, PathBuf};

/// The shared data: `QUERYGATE_SHARED`, or a folder `shared` beside the repository.
pub fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("QUERYGATE_SHARED").map(PathBuf::from);
    // Two crates of different depth read it.
    let beside =
        || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("shared")).find(|one| one.is_dir());
    named.or_else(beside).map(|folder| folder.join("data")).filter(|folder| folder.is_dir())
}

/// The folder of a data set below the shared data, or `None` with a line; a failure where `QUERYGATE_SHARED` is set.
pub fn data_set(name: &str) -> Option<PathBuf> {
    let folder = shared().map(|shared| shared.join(name)).filter(|folder| folder.is_dir());
    if folder.is_none() {
        assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no data set {name}");
        eprintln!("SKIPPED: the data set {name} is absent (set QUERYGATE_SHARED)");
    }
    folder
}
