//! Reads the public data sets that models are judged on. Used by tests and by the examples that print the tables.
#![allow(dead_code, reason = "each test and example uses a part")]
#![allow(unreachable_pub, reason = "a module of several programs")]

pub mod csv;
pub mod subplans;

use std::path::{Path, PathBuf};

/// The shared data: `QUERYGATE_SHARED`, or a folder `shared` beside the repository.
pub fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("QUERYGATE_SHARED").map_or(beside, PathBuf::from).join("data");
    folder.is_dir().then_some(folder)
}

/// The p50, p95 and p99 of q-errors given as logarithms of truth over estimate.
pub fn q_errors(logs: &[f64]) -> [f64; 3] {
    let mut sizes: Vec<f64> = logs.iter().map(|v| v.abs()).collect();
    querygate_models::numeric::sort(&mut sizes);
    [0.5, 0.95, 0.99].map(|level| querygate_models::numeric::quantile(&sizes, level).exp())
}
