//! A `files` source: in which folder or bucket its files are. Knows no format and no driver.

use super::{SourceKind, secret};
use crate::config::Config;
use crate::config::syntax::diagnostic::Diagnostic;
use crate::config::syntax::secret::{Environment, Secret};
use crate::config::syntax::table::{At, Table};
use std::path::PathBuf;

/// Where files live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileStore {
    Local(PathBuf),
    S3(S3Store),
}

/// An S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Store {
    pub(crate) bucket: String,
    /// Without slashes at either end; empty for the whole bucket.
    pub(crate) prefix: String,
    pub(crate) region: Option<String>,
    /// `http://` or `https://` address of a store that is not Amazon's.
    pub(crate) endpoint: Option<String>,
    /// Both or neither.
    pub(crate) credentials: Option<(Secret, Secret)>,
    /// Of temporary credentials.
    pub(crate) session_token: Option<Secret>,
}

/// Reads the keys of a `files` source. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: &Table<'_>, environment: &Environment) -> Option<SourceKind> {
    let writes = table.boolean("writes");
    let store = file_store(table, environment)?;
    match (&store, &writes) {
        (FileStore::S3(_), Some(given)) if given.value => {
            table.error(given.span.clone(), "`writes` of files is for a local folder only");
            None
        }
        _ => Some(SourceKind::Files { store, writes: writes.is_some_and(|writes| writes.value) }),
    }
}

fn file_store(table: &Table<'_>, environment: &Environment) -> Option<FileStore> {
    let path = table.text("path");
    let url = table.text("url");
    let options = table.table("options", "[sources.options]");
    match (path, url) {
        (Some(path), None) => {
            if let Some(options) = options {
                options.finish();
            }
            Some(FileStore::Local(Config::resolve_path(environment.folder(), &path.value)))
        }
        (None, Some(url)) => store_of(table, &url, options, environment),
        (Some(_), Some(url)) => {
            table.error(url.span, "a files source has either `path` or `url`, not both");
            None
        }
        (None, None) => {
            table.error(table.span.clone(), "a files source needs `path` (a folder) or `url` (s3://bucket/prefix)");
            None
        }
    }
}

fn store_of(
    table: &Table<'_>,
    url: &At<String>,
    options: Option<Table<'_>>,
    environment: &Environment,
) -> Option<FileStore> {
    if let Some(path) = url.value.strip_prefix("file://") {
        if let Some(options) = options {
            options.finish();
        }
        return Some(FileStore::Local(PathBuf::from(path)));
    }
    let Some(rest) = url.value.strip_prefix("s3://") else {
        table.push(
            Diagnostic::error(Some(url.span.clone()), "a files source knows s3:// and file:// addresses")
                .help("give a folder with `path` instead"),
        );
        return None;
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        table.error(url.span.clone(), "the address names no bucket");
        return None;
    }
    let mut store = S3Store {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        region: None,
        endpoint: None,
        credentials: None,
        session_token: None,
    };
    let Some(options) = options else { return Some(FileStore::S3(store)) };
    store.region = options.text("region").map(|r| r.value);
    store.endpoint = options.text("endpoint").map(|r| r.value);
    let key = secret(&options, "access_key_id", environment);
    let secret_key = secret(&options, "secret_access_key", environment);
    if key.is_some() != secret_key.is_some() {
        options.error(options.span.clone(), "`access_key_id` and `secret_access_key` belong together");
    }
    store.credentials = key.zip(secret_key);
    store.session_token = secret(&options, "session_token", environment);
    options.finish();
    Some(FileStore::S3(store))
}
