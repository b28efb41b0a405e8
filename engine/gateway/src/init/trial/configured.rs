//! The trial of a gate that is configured: its own metadata and sources, read by a reader of all of it.

use super::tables::{TriedTable, try_tables};
use crate::cli::file_error;
use crate::config::{Config, MetadataWebhooks, Source};
use crate::introspect::Unreadable;
use crate::metadata;
use crate::naming::sql_names;
use crate::serve::Threads;
use querygate_metadata::model::{Object, Snapshot};
use querygate_types::principal::{Posture, Principal};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

const SET: &str = "querygate_trial";

/// What was found of a gate's tables.
#[derive(Debug, Default)]
pub(crate) struct ConfiguredTrial {
    /// Tables that were read, at least in part.
    pub(crate) tables: usize,
    /// Source and what of it cannot be read. Tables are called `source.table`.
    pub(crate) unreadable: Vec<(String, Unreadable)>,
    /// Tables that there was no time for.
    pub(crate) untried: Vec<String>,
}

/// Reads the first rows of each table that a configuration serves, past its policies: the reader is of this process alone. In an isolated
/// deployment rows of organizations are not read. What keeps a source or a table away is another check's.
///
/// # Errors
/// Metadata or a source that cannot be loaded; a folder for temporary files that cannot be written.
pub(crate) fn of_configuration(config: &Config) -> Result<ConfiguredTrial> {
    let snapshot = snapshot(config)?;
    let folder = tempfile::tempdir().map_err(|e| file_error("write", &std::env::temp_dir(), &e))?;
    // What a gate that runs keeps beside its files is that one's.
    let sources = config.sources.iter().map(|source| Source { apply_layouts: false, ..source.clone() }).collect();
    let trial = Config {
        sources,
        metadata: crate::config::Metadata { path: with_reader(config, folder.path())?, ..config.metadata.clone() },
        learning: None,
        writes: false,
        numbers: None,
        transactions: None,
        events: None,
        metadata_webhooks: MetadataWebhooks::Declined,
        history: None,
        workers: None,
        ..config.clone()
    };
    let names = sql_names(&snapshot);
    let served = |object: &&Arc<Object>| config.sources.iter().any(|source| source.name == object.datasource);
    let objects: Vec<&Arc<Object>> = snapshot.objects.values().filter(served).collect();
    let tables = objects.iter().map(|object| TriedTable {
        remote: object.name.clone(),
        sql_name: names.get(object.name.as_str()).map(|name| (*name).to_owned()),
        columns: object.fields.keys().map(|field| (field.clone(), field.clone())).collect(),
    });
    let tables: Vec<TriedTable> = tables.collect();
    let principal = Principal::builder("trial").permission_set(SET).posture(Posture::PlatformAdmin).build();
    let threads = Threads::start(&trial)?;
    let gate = threads.build(&trial)?;
    let (principal, database) = (Arc::new(principal), &config.server.database);
    let found = threads.block_on(try_tables(&gate.service, &principal, database, &tables, |_| Ok(())));
    (gate.close)();
    let found = found?;
    let source_of = |object: &str| snapshot.object(object).map(|object| object.datasource.clone()).unwrap_or_default();
    let unreadable = found.unreadable.into_iter().filter(is_of_rows);
    Ok(ConfiguredTrial {
        tables: tables.len() - found.untried.len(),
        unreadable: unreadable.map(|found| (source_of(&found.table), found)).collect(),
        untried: found.untried,
    })
}

fn snapshot(config: &Config) -> Result<Snapshot> {
    let loaded = metadata::load_configured(config);
    let loaded = loaded.map_err(|_| Error::new(ErrorCode::ConfigInvalid, "the metadata cannot be loaded"))?;
    Ok(loaded.snapshot)
}

/// The configured metadata, and beside it a set of rights that reads all of it.
fn with_reader(config: &Config, folder: &std::path::Path) -> Result<PathBuf> {
    let path = &config.metadata.path;
    let there = path.canonicalize().map_err(|e| file_error("read", path, &e))?;
    let beside = folder.join(there.file_name().unwrap_or("metadata".as_ref()));
    symlink(&there, &beside).map_err(|e| file_error("write", &beside, &e))?;
    let rights = json!({"allowRead": true, "viewAllRecords": true});
    let package = json!({"manifest": {
        "id": "local.querygate_trial", "namespace": SET, "version": "1.0.0", "type": "app", "name": "Trial",
        "engines": {"protocol": "^17"}, "objects": [],
        "permissions": [{"name": SET, "label": "Trial", "objects": {"*": rights}}],
    }});
    let file = folder.join("querygate_trial.json");
    std::fs::write(&file, json!({"packages": [package]}).to_string()).map_err(|e| file_error("write", &file, &e))?;
    Ok(folder.to_path_buf())
}

/// Whether it says something of a table's rows, and nothing of the way to them, or of what is or is not there. By PostgreSQL's classes: 08
/// is of connections, 42 of names and rights, 58 of what lies outside, such as a table that is gone.
fn is_of_rows(found: &Unreadable) -> bool {
    let code = found.code.sqlstate();
    !(code.starts_with("08") || code.starts_with("42") || code.starts_with("58") && found.column.is_none())
}
