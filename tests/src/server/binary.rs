//! Where the binary under test is. Builds nothing.

use std::path::PathBuf;

/// `QUERYGATE_BIN`, or `querygate` beside this test's target folder.
///
/// # Panics
/// When there is none: a test of nothing must not pass.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("QUERYGATE_BIN") {
        return path.into();
    }
    let this = std::env::current_exe().unwrap();
    let target = this.ancestors().nth(2).unwrap();
    let path = target.join(format!("querygate{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is absent: run `cargo build -p querygate` first, or set QUERYGATE_BIN", path.display());
    path
}
