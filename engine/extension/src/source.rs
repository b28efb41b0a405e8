//! Kinds of sources in Rust: what makes a driver of the settings of a `[[sources]]`.

use super::panic_guard::catch_panic;
use super::registration::Registration;
use querygate_driver_api::driver::Driver;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What the configuration says of a source.
#[derive(Clone, Default)]
pub struct SourceSettings {
    /// As metadata names it (`datasource`).
    pub name: String,
    /// `[sources.options]`.
    pub options: BTreeMap<String, String>,
    /// `[sources.secrets]`, read from where they are. They do not print.
    pub secrets: BTreeMap<String, String>,
    /// Whether its tables may be changed at all.
    pub writes: bool,
    /// The folder of the configuration, from which its relative paths are seen.
    pub folder: PathBuf,
}

impl fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A kind of sources.
pub trait NativeSource: Send + Sync {
    /// The driver of one source. Connects to nothing: drivers do when they are first asked.
    ///
    /// # Errors
    /// Settings that are missing, unknown or wrong. The gate does not start.
    fn open(&self, settings: &SourceSettings) -> Result<Arc<dyn Driver>>;
}

impl Registration<dyn NativeSource> {
    /// The driver of one source.
    ///
    /// # Errors
    /// As of [`NativeSource::open`]; the kind panicked.
    pub fn open(&self, settings: &SourceSettings) -> Result<Arc<dyn Driver>> {
        catch_panic(|| self.code.open(settings)).unwrap_or_else(|_| {
            let text = format!("source \"{}\" cannot be opened: its kind {self:?} panicked", settings.name);
            Err(Error::new(ErrorCode::ConfigInvalid, text))
        })
    }
}
