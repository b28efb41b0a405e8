//! Reads what a description offers before it is written. What cannot be read is left out.

mod configured;
mod tables;

pub(crate) use configured::{ConfiguredTrial, of_configuration};
pub(crate) use tables::{ROWS, UntriedTable};

use crate::cli::{file_error, user_entry};
use crate::config::Config;
use crate::introspect::{Described, pretty};
use crate::metadata;
use crate::naming::sql_names;
use crate::output::Output;
use crate::private_file;
use crate::serve::Threads;
use crate::verifier;
use querygate_types::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::{TrialResult, TriedTable, try_tables};

/// How often what is left is described anew: with a column as text, then without it, then without what depended on it.
const ROUNDS: usize = 4;
const USER: &str = "trial";

/// What of a description can be read, and the tables that were not tried.
///
/// # Errors
/// Nothing is left; a gate over the source cannot be built; files beside the configuration that cannot be written.
pub(super) fn readable(
    mut described: Described,
    config: &Path,
    output: &mut Output,
) -> Result<(Described, Vec<UntriedTable>)> {
    let mut untried = Vec::new();
    for _ in 0..ROUNDS {
        let found = try_all(&described, config, output)?;
        untried = found.untried;
        if found.unreadable.is_empty() {
            break;
        }
        described = described.without(&found.unreadable)?;
    }
    Ok((described, untried))
}

/// A configuration beside the real one, where the same relative paths lead to the same places. Gone when it is dropped.
struct TrialFiles {
    config: PathBuf,
    /// Its metadata, which is removed with it.
    _metadata: tempfile::TempDir,
}

impl Drop for TrialFiles {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.config) {
            tracing::debug!(%error, "the configuration of a trial is left");
        }
    }
}

impl TrialFiles {
    fn write(described: &Described, config: &Path) -> Result<Self> {
        let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let metadata = tempfile::tempdir().map_err(|e| file_error("write", &std::env::temp_dir(), &e))?;
        for (value, ending) in described.files.iter().zip(["json", "querygate.json"]) {
            let file = metadata.path().join(format!("{}.{ending}", described.namespace));
            std::fs::write(&file, pretty(value)?).map_err(|e| file_error("write", &file, &e))?;
        }
        let user = user_entry(USER, &verifier::print(&verifier::create(&verifier::generate_password()?)?))?;
        let text = format!(
            "[metadata]\npath = {}\n\n{}\n\n{user}permission_sets = [\"{}_reader\"]\n",
            toml::Value::from(metadata.path().to_string_lossy().into_owned()),
            described.entry,
            described.namespace
        );
        let config = folder.join(format!(".querygate-trial-{}.toml", std::process::id()));
        private_file::replace(&config, &text).map_err(|e| file_error("write", &config, &e))?;
        Ok(Self { config, _metadata: metadata })
    }
}

fn try_all(described: &Described, config: &Path, output: &mut Output) -> Result<TrialResult> {
    let files = TrialFiles::write(described, config)?;
    let loaded = crate::cli::load(&files.config, output)?;
    let names = table_names(&loaded);
    let threads = Threads::start(&loaded)?;
    let gate = threads.build(&Config { learning: None, ..loaded.clone() })?;
    let principal = loaded.user(USER).map(|user| Arc::clone(&user.principal));
    let principal = principal.ok_or_else(|| Error::internal("a trial has no user"))?;
    let tables = described.tables.iter().map(|table| {
        let (remote, columns) = (table.remote.clone(), table.fields.iter().cloned().zip(table.columns.iter().cloned()));
        TriedTable { remote, sql_name: names.get(&table.object).cloned(), columns: columns.collect() }
    });
    let tables: Vec<TriedTable> = tables.collect();
    let shows = output.shows_progress();
    let database = &loaded.server.database;
    let found = threads.block_on(try_tables(&gate.service, &principal, database, &tables, |count| {
        if !shows {
            return Ok(());
        }
        output.prompt(&format!("\rtried {count} of {} tables", tables.len())).map_err(crate::cli::written)
    }));
    if shows {
        output.note("").map_err(crate::cli::written)?;
    }
    (gate.close)();
    found
}

/// SQL names of tables by their objects. None where what was described cannot be loaded: the check of what is written says why.
fn table_names(config: &Config) -> BTreeMap<String, String> {
    let Ok(loaded) = metadata::load_configured(config) else { return BTreeMap::new() };
    let names = sql_names(&loaded.snapshot);
    names.into_iter().map(|(object, name)| (object.to_owned(), name.to_owned())).collect()
}
