//! What a session adds to its principal's catalog: process id, settings, search path. Rides in DataFusion's configuration.

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Put it into the session's `ConfigOptions` (`config.options_mut().extensions.insert(vars)`); functions such as
/// `pg_backend_pid`, `current_setting`, `current_schemas` and the relations `pg_settings` and `pg_stat_activity` read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionVars {
    pub backend_pid: i32,
    /// Current values of settings, names in lower case. They replace the image's.
    pub settings: BTreeMap<String, String>,
    /// Schemas of the session's search path; `None` for the image's.
    pub search_path: Option<Vec<String>>,
    /// Microseconds since 1970 UTC when the session began.
    pub started_micros: i64,
    pub client_address: Option<String>,
    pub client_port: Option<i32>,
    /// Open cursors, for `pg_cursors`.
    pub cursors: Vec<OpenCursor>,
    /// Prepared statements that have a name, for `pg_prepared_statements`.
    pub prepared: Vec<NamedStatement>,
    /// For `pg_stat_progress_copy`, also those of other sessions of the same user.
    pub copies: Vec<RunningCopy>,
    /// Where `set_config` goes; without one it is refused.
    pub writer: Option<SettingsWriter>,
}

/// A cursor of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCursor {
    pub name: String,
    pub statement: String,
    pub holdable: bool,
    pub scrollable: bool,
    /// Microseconds since 1970 UTC.
    pub created_micros: i64,
}

/// A prepared statement of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedStatement {
    pub name: String,
    pub statement: Arc<str>,
    /// Microseconds since 1970 UTC.
    pub prepared_micros: i64,
    /// Object ids of the types of its parameters.
    pub parameter_types: Vec<u32>,
    /// Prepared by PREPARE, not by a message of the protocol.
    pub from_sql: bool,
}

/// A COPY FROM that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningCopy {
    pub backend_pid: i32,
    /// A table of schema `public`.
    pub table: String,
    /// Bytes of its data so far.
    pub bytes: u64,
    /// Rows so far, without those that were skipped.
    pub rows: u64,
    pub skipped: u64,
}

/// What functions do on behalf of a session: `set_config` by the rules of SET, `pg_cancel_backend`.
pub trait SetSetting: Send + Sync + std::fmt::Debug {
    /// Sets a setting (`None`: to its default; `local`: until the transaction ends) and gives its new value back.
    fn set(&self, name: &str, value: Option<&str>, local: bool) -> querygate_types::Result<String>;

    /// Ends what the session with this process id runs, if the caller may. Whether there is such a session.
    fn cancel(&self, process_id: i64) -> bool;
}

/// A shared [`SetSetting`]; equal when it is the same one.
#[derive(Debug, Clone)]
pub struct SettingsWriter(pub Arc<dyn SetSetting>);

impl PartialEq for SettingsWriter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for SettingsWriter {}

impl ConfigExtension for SessionVars {
    const PREFIX: &'static str = "querygate_session";
}

impl ExtensionOptions for SessionVars {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }
    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        config_err!("{key} cannot be set here")
    }
    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}
