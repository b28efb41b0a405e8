//! A check of a worker's file. Opens nothing that it names.

use super::{Check, CheckFinding, count};
use crate::config::worker::{WorkerConfig, load};
use querygate_types::Result;
use std::path::Path;

/// The file as a worker would read it, and what was found in it.
pub(in crate::cli) fn examine(path: &Path) -> (Option<WorkerConfig>, Vec<CheckFinding>) {
    let (config, report) = load(path);
    let findings = report.diagnostics.iter().map(|finding| CheckFinding::of_configuration(finding, &report));
    (config, findings.collect())
}

impl Check<'_> {
    pub(super) fn worker(&mut self, path: &Path) -> Result<()> {
        let (config, report) = load(path);
        self.report(report)?;
        let Some(config) = config else { return Ok(()) };
        self.line(&format!("worker: {} of its own, called {}", count(config.folders.len(), "folder"), config.address))
    }
}
