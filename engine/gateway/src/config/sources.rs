//! `[[sources]]`: which backends there are and where. Knows no driver.

use super::diagnostic::Diagnostic;
use super::secret::{Environment, Secret};
use super::table::{At, Table};
use super::{Config, FileStore, S3Store, SchemaChange, Source, SourceKind};
use std::path::PathBuf;

/// What a word of `kind` stands for.
#[derive(Clone, Copy)]
struct Kind {
    read: fn(&Table<'_>, &Environment) -> Option<SourceKind>,
    /// Whether it is a database: with indexes, and a schema that may change.
    is_database: bool,
}

impl Kind {
    const fn database(read: fn(&Table<'_>, &Environment) -> Option<SourceKind>) -> Self {
        Self { read, is_database: true }
    }
}

const KINDS: &[(&str, Kind)] = &[
    ("sqlite", Kind::database(sqlite)),
    ("mongodb", Kind::database(|table, at| super::mongodb::resolve(table, at).map(SourceKind::Mongodb))),
    ("mysql", Kind::database(|table, at| super::mysql::resolve(table, at).map(SourceKind::Mysql))),
    ("postgres", Kind::database(|table, at| super::postgres::resolve(table, at).map(SourceKind::Postgres))),
    ("files", Kind { read: |table, at| files(table, at), is_database: false }),
    ("memory", Kind { read: |table, _| Some(memory(table)), is_database: false }),
];
/// A kind of an extension: what it speaks to counts as a database.
const NATIVE: Kind = Kind::database(|_, _| None);
const POOL_SIZE_DEFAULT: u32 = 4;

/// Reads one source. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: Table<'_>, environment: &Environment) -> Option<Source> {
    let name = table.required("name");
    let kind_at = table.required("kind");
    let native = kind_at.as_ref().and_then(super::native::name);
    let (chosen, kind) = match (kind_at, native) {
        (Some(_), Some(name)) => (Some(NATIVE), super::native::resolve(&table, name, environment)),
        (Some(_), None) => {
            let chosen = table.choice("kind", KINDS).map(|kind| kind.value);
            (chosen, chosen.and_then(|kind| (kind.read)(&table, environment)))
        }
        (None, _) => (None, None),
    };
    let name = name.and_then(|name| check_name(&table, name));
    let apply_indexes = apply_indexes(&table, chosen);
    let apply_layouts = apply_layouts(&table, kind.as_ref());
    let has_schema = chosen.is_none_or(|kind| kind.is_database);
    let schema_change = SchemaChange::resolve(&table, has_schema);
    let outbox = outbox(&table, chosen);
    table.finish();
    Some(Source { name: name?.value, kind: kind?, apply_indexes, apply_layouts, schema_change, outbox })
}

/// Refused where no index can be made: whoever sets it must not believe that it does something.
fn apply_indexes(table: &Table<'_>, kind: Option<Kind>) -> Option<bool> {
    let given = table.boolean("apply_indexes")?;
    if kind?.is_database {
        return Some(given.value);
    }
    table.error(given.span, "`apply_indexes` is for sources that are databases only");
    None
}

/// A table of a database, which its transactions write to.
fn outbox(table: &Table<'_>, kind: Option<Kind>) -> Option<String> {
    let given = table.text("outbox")?;
    if kind?.is_database {
        return Some(given.value);
    }
    table.error(given.span, "`outbox` is for sources that are databases only");
    None
}

/// Off unless it is said at the source itself, which has to be a folder: files are replaced in one step of its file system.
fn apply_layouts(table: &Table<'_>, kind: Option<&SourceKind>) -> bool {
    let Some(given) = table.boolean("apply_layouts") else { return false };
    match kind {
        Some(SourceKind::Files { store: FileStore::Local(_), .. }) | None => given.value,
        Some(_) => {
            table.error(given.span, "`apply_layouts` is for files in a local folder only");
            false
        }
    }
}

/// Names are ObjectStack identifiers, so that `datasource` can say them.
pub(super) fn check_name(table: &Table<'_>, name: At<String>) -> Option<At<String>> {
    let mut chars = name.value.chars();
    let head = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    if head && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Some(name);
    }
    table.push(
        Diagnostic::error(Some(name.span), format!("`{}` is not a valid name", name.value))
            .help("use lower-case letters, digits and underscores, starting with a letter"),
    );
    None
}

fn memory(table: &Table<'_>) -> SourceKind {
    SourceKind::Memory { writes: table.boolean("writes").is_some_and(|writes| writes.value) }
}

fn sqlite(table: &Table<'_>, environment: &Environment) -> Option<SourceKind> {
    let pool_size = table.number("pool_size", 1..=256).map_or(Some(POOL_SIZE_DEFAULT), |n| u32::try_from(n.value).ok());
    let fixed_text = table.boolean("fixed_text").is_some_and(|fixed| fixed.value);
    let writes = table.boolean("writes").is_some_and(|writes| writes.value);
    let distributed = table.boolean("distributed").filter(|given| given.value);
    if let (Some(given), false) = (&distributed, writes) {
        table.error(given.span.clone(), "`distributed` needs `writes = true`");
    }
    let distributed = distributed.is_some();
    let path = table.required("path")?;
    let path = Config::resolve_path(environment.folder(), &path.value);
    Some(SourceKind::Sqlite { path, pool_size: pool_size?, fixed_text, writes, distributed })
}

fn files(table: &Table<'_>, environment: &Environment) -> Option<SourceKind> {
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

/// A secret by reference, as `env:NAME` or `file:PATH`.
pub(super) fn secret(table: &Table<'_>, key: &'static str, environment: &Environment) -> Option<Secret> {
    let reference = table.text(key)?;
    match environment.secret(&reference.value) {
        Ok(secret) => Some(secret),
        Err(message) => {
            table.error(reference.span, format!("`{key}`: {message}"));
            None
        }
    }
}
