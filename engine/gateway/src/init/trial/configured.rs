//! The trial of a gate that is configured: its own metadata and sources, read by a reader of all of it.

use super::tables::{TriedTable, UntriedTable, try_tables};
use crate::cli::file_error;
use crate::config::{Config, FileStore, MetadataWebhooks, Source, SourceKind};
use crate::introspect::Unreadable;
use crate::naming::sql_names;
use crate::serve::Threads;
use querygate_metadata::model::{Object, Snapshot};
use querygate_types::Result;
use querygate_types::principal::{Posture, Principal};
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SET: &str = "querygate_trial";

/// What was found of a gate's tables.
#[derive(Debug, Default)]
pub(crate) struct ConfiguredTrial {
    /// How many tables were read, at least in part.
    pub(crate) tables: usize,
    /// Source and what of it cannot be read. Tables have the names of their objects, columns those of their fields.
    pub(crate) unreadable: Vec<(String, Unreadable)>,
    /// Source of files and table that has none there, or none that can be read. Its folder is there.
    pub(crate) fileless: Vec<(String, Unreadable)>,
    /// By the names of their objects.
    pub(crate) untried: Vec<UntriedTable>,
}

/// Reads the first rows of each table that a configuration serves, past its policies: the reader is of this process alone. In an isolated
/// deployment rows of organizations are not read.
///
/// # Errors
/// A source that cannot be opened; a folder for temporary files that cannot be written.
pub(crate) fn of_configuration(config: &Config, snapshot: &Snapshot) -> Result<ConfiguredTrial> {
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
    let names = sql_names(snapshot);
    let served = |object: &&Arc<Object>| config.sources.iter().any(|source| source.name == object.datasource);
    let objects: Vec<&Arc<Object>> = snapshot.objects.values().filter(served).collect();
    let tables = objects.iter().map(|object| TriedTable {
        remote: object.name.clone(),
        sql_name: names.get(object.name.as_str()).map(|name| (*name).to_owned()),
        columns: object
            .fields
            .iter()
            .filter(|(_, field)| !field.phantom)
            .map(|(name, _)| (name.clone(), name.clone()))
            .collect(),
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
    let (unreadable, away): (Vec<_>, Vec<_>) = found.unreadable.into_iter().partition(is_of_rows);
    let lost: BTreeSet<&str> = away.iter().map(|found| found.table.as_str()).collect();
    let tables = tables.len().saturating_sub(found.untried.len() + lost.len());
    let placed = |found: Unreadable| (source_of(&found.table), found);
    Ok(ConfiguredTrial {
        tables,
        unreadable: unreadable.into_iter().map(placed).collect(),
        fileless: away.into_iter().map(placed).filter(|(source, found)| is_fileless(config, source, found)).collect(),
        untried: found.untried,
    })
}

/// Whether a table is away for want of its files, and not for want of their folder or store, which is said of the source.
fn is_fileless(config: &Config, source: &str, found: &Unreadable) -> bool {
    let source = config.sources.iter().find(|own| own.name == source);
    let has_place = source.is_some_and(|source| match &source.kind {
        SourceKind::Files { store: FileStore::Local(folder), .. } => std::fs::read_dir(folder).is_ok(),
        SourceKind::Files { store: FileStore::S3(_), .. } => true,
        SourceKind::Sqlite { .. }
        | SourceKind::Mysql(_)
        | SourceKind::Mongodb(_)
        | SourceKind::Postgres(_)
        | SourceKind::Memory { .. }
        | SourceKind::Native(_) => false,
    });
    has_place && !found.code.sqlstate().starts_with("08")
}

/// The configured metadata, and beside it a set of rights that reads all of it.
fn with_reader(config: &Config, folder: &Path) -> Result<PathBuf> {
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
