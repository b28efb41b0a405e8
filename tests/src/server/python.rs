//! Python as its users have it: an environment of its own with packages of the registry.

use super::binary;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// One test makes an environment; others that ask for it wait.
static MAKING: Mutex<()> = Mutex::new(());

/// Clients of Flight SQL, and what the documents draw with.
pub const FLIGHT_PACKAGES: [&str; 7] =
    ["adbc-driver-flightsql", "adbc-driver-manager", "pyarrow", "pandas", "polars", "duckdb", "matplotlib"];

/// A Python with the clients of Flight SQL, made once beside the binary. `None` where it cannot be had, which must not be so in CI.
pub fn flight_python() -> Option<&'static Path> {
    static PYTHON: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| Some(python_environment("flight-python", &FLIGHT_PACKAGES)?.join("bin/python")));
    PYTHON.as_deref()
}

/// An environment with these packages, made once beside the binary: its folder. `None` where Python or the packages cannot be had,
/// which must not be so in CI.
pub fn python_environment(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let folder = binary().parent()?.join(format!("querygate-test-{name}"));
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = folder.join("ready");
    let installed = packages.join("\n");
    if std::fs::read_to_string(&ready).is_ok_and(|packages| packages == installed) {
        return Some(folder);
    }
    let succeeded = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = succeeded(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        && succeeded(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet"]).args(packages));
    if made {
        std::fs::write(ready, installed).unwrap();
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "python3 with venv and pip must be there in CI");
    eprintln!("SKIPPED: {} cannot be installed from PyPI", packages.join(", "));
    None
}
