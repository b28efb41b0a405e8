//! The documents that a new user follows: each command, statement and program in them is run as it stands, and its answer compared as a
//! whole. `BLESS=1` writes into a page what was answered.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

#[path = "documents/first_data.rs"]
mod first_data;
#[path = "documents/guide.rs"]
mod guide;
#[path = "documents/listing.rs"]
mod listing;
#[path = "documents/page.rs"]
mod page;
#[path = "documents/paths.rs"]
mod paths;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres;
#[path = "documents/serving.rs"]
mod serving;
#[path = "documents/sessions.rs"]
mod sessions;

use std::path::{Path, PathBuf};

/// Where a document is.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/docs").join(name)
}

fn document(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}
