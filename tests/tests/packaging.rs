//! What ships beside the binary, kept true: metrics that dashboards and alerts ask for exist, alerts have tests and runbooks, files are
//! what their programs want. Programs that are not installed are said to be missing.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

#[path = "packaging/doctor.rs"]
mod doctor;
#[path = "packaging/files.rs"]
mod files;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb;
#[path = "packaging/metrics.rs"]
mod metrics;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongo;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres;
#[path = "packaging/release.rs"]
mod release;
#[path = "packaging/workers.rs"]
mod workers;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn packaging() -> PathBuf {
    root().join("engine/gateway/packaging")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of a folder with one of these endings, not of folders in it.
fn files_in(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.is_file() && path.to_str().is_some_and(|path| path.ends_with(ending))).collect();
    files.sort();
    files
}
