//! `[[sources]]`: which backends there are and where. Knows no driver.

mod files;
pub(crate) mod mongodb;
pub(crate) mod mysql;
pub(super) mod native;
pub(super) mod per_object;
mod pool;
pub(crate) mod postgres;
pub(crate) mod tls;
mod write_user;

pub(crate) use files::{FileStore, S3Store};

use super::Config;
use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::{Environment, Secret, remedy};
use super::syntax::table::{At, Table};
use per_object::{BadValues, OnChange, PerObject};
use std::ops::Range;
use std::path::PathBuf;

/// One `[[sources]]`. Objects name it with `datasource`; an object's table in it is `external.remoteName`, or the
/// object's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// Its place in the file; for messages.
    pub(crate) span: Range<usize>,
    pub(crate) kind: SourceKind,
    /// Whether operators may make and drop suggested indexes there; `None`: as `[learning]` says.
    pub(crate) apply_indexes: Option<bool>,
    /// Whether operators may have its files written in another layout.
    pub(crate) apply_layouts: bool,
    /// What is done when its tables change.
    pub(crate) schema_change: PerObject<OnChange>,
    /// What is read where it holds what a column's type does not.
    pub(crate) bad_values: PerObject<BadValues>,
    /// A table in which transactions leave what they changed, for events.
    pub(crate) outbox: Option<String>,
}

impl Source {
    /// Whether it is the same, wherever it stands in its file.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let Self { name, span: _, kind, apply_indexes, apply_layouts, schema_change, bad_values, outbox } = self;
        (name, kind, apply_indexes, apply_layouts)
            == (&other.name, &other.kind, &other.apply_indexes, &other.apply_layouts)
            && (schema_change, bad_values, outbox) == (&other.schema_change, &other.bad_values, &other.outbox)
    }

    /// Whether its tables may be changed, as far as the source itself says.
    pub(crate) fn takes_changes(&self) -> bool {
        match &self.kind {
            SourceKind::Sqlite { writes, .. } => *writes,
            SourceKind::Mysql(server) => server.writer.is_some(),
            SourceKind::Postgres(server) => server.writer.is_some(),
            SourceKind::Mongodb(server) => server.writer.is_some(),
            SourceKind::Memory { writes } => *writes,
            SourceKind::Files { writes, .. } => *writes,
            SourceKind::Native(source) => source.writes,
        }
    }

    /// Whether its changes may be a part of transactions of several sources, as far as the source itself says.
    pub(crate) fn is_distributed(&self) -> bool {
        match &self.kind {
            SourceKind::Sqlite { distributed, .. } => *distributed,
            SourceKind::Mysql(server) => server.writer.as_ref().is_some_and(|writer| writer.distributed),
            SourceKind::Postgres(server) => server.writer.as_ref().is_some_and(|writer| writer.distributed),
            SourceKind::Mongodb(server) => server.writer.as_ref().is_some_and(|writer| writer.distributed),
            SourceKind::Memory { .. } | SourceKind::Files { .. } | SourceKind::Native(_) => false,
        }
    }
}

/// What a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// A SQLite database file.
    Sqlite {
        path: PathBuf,
        pool_size: u32,
        /// Whoever writes the file keeps dates, times and instants in ObjectStack's fixed text forms, always. Then
        /// they are compared in the source; otherwise they are only read there, and compared here.
        fixed_text: bool,
        /// Whether it may be changed, over a connection of its own.
        writes: bool,
        /// Whether changes may be a part of transactions of several sources.
        distributed: bool,
    },
    /// A schema of a MariaDB or MySQL server.
    Mysql(mysql::MysqlSource),
    /// A database of a MongoDB deployment.
    Mongodb(mongodb::MongoSource),
    /// A PostgreSQL database.
    Postgres(postgres::PostgresSource),
    /// A folder or bucket of Parquet, CSV and NDJSON.
    Files {
        store: FileStore,
        /// Whether it takes new rows, where changes are enabled at all.
        writes: bool,
    },
    /// Rows held in memory, filled from the metadata's seed `data`.
    Memory {
        /// Whether its rows may be changed. Changes last as long as the process.
        writes: bool,
    },
    /// Of a kind that an extension has.
    Native(native::NativeSource),
}

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
    ("mongodb", Kind::database(|table, at| mongodb::resolve(table, at).map(SourceKind::Mongodb))),
    ("mysql", Kind::database(|table, at| mysql::resolve(table, at).map(SourceKind::Mysql))),
    ("postgres", Kind::database(|table, at| postgres::resolve(table, at).map(SourceKind::Postgres))),
    ("files", Kind { read: files::resolve, is_database: false }),
    ("memory", Kind { read: |table, _| Some(memory(table)), is_database: false }),
];
/// A kind of an extension: what it speaks to counts as a database.
const NATIVE: Kind = Kind::database(|_, _| None);
const POOL_SIZE_DEFAULT: u32 = 4;

/// Reads one source. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: Table<'_>, environment: &Environment) -> Option<Source> {
    let name = table.required("name");
    let kind_at = table.required("kind");
    let native = kind_at.as_ref().and_then(native::name);
    let is_native = native.is_some();
    let (chosen, kind) = match (kind_at, native) {
        (Some(_), Some(name)) => (Some(NATIVE), native::resolve(&table, name, environment)),
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
    let schema_change = PerObject::resolve(&table, has_schema);
    let bad_values = PerObject::resolve(&table, has_schema && !is_native);
    let outbox = outbox(&table, chosen);
    let span = table.span.clone();
    match chosen {
        Some(_) => table.finish(),
        // Each kind has keys of its own.
        None => table.finish_slips(),
    }
    Some(Source {
        name: name?.value,
        span,
        kind: kind?,
        apply_indexes,
        apply_layouts,
        schema_change,
        bad_values,
        outbox,
    })
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

/// A secret by reference, as `env:NAME` or `file:PATH`.
pub(super) fn secret(table: &Table<'_>, key: &'static str, environment: &Environment) -> Option<Secret> {
    let reference = table.text(key)?;
    match environment.secret(&reference.value) {
        Ok(secret) => Some(secret),
        Err(message) => {
            let found = Diagnostic::error(Some(reference.span), format!("`{key}`: {message}"));
            table.push(found.help(remedy(&reference.value)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::diagnostic::Severity;
    use crate::config::{Environment, parse};
    use std::path::Path;

    /// Message and label of each error in a file with this source.
    fn errors(source: &str) -> Vec<(String, Option<String>)> {
        let text = format!("[metadata]\npath = \"meta\"\n[[sources]]\nname = \"a\"\n{source}");
        let (config, report) = parse(Path::new("qg.toml"), &text, &Environment::fixed(Path::new("/etc/qg"), &[]));
        assert!(config.is_none(), "{text}");
        let errors = report.diagnostics.into_iter().filter(|found| found.severity == Severity::Error);
        errors.map(|found| (found.message, found.label)).collect()
    }

    #[test]
    fn a_slip_in_the_kind_is_one_error() {
        let slip = |message: &str, near: &str| (message.to_owned(), Some(format!("did you mean `{near}`?")));
        let keys = "path = \"a.sqlite\"\nfixed_text = true\n";
        assert_eq!(errors(&format!("kind = \"sqlte\"\n{keys}")), [slip("`sqlte` is not a value of `kind`", "sqlite")]);
        let missing = ("`kind` is missing in [[sources]]".to_owned(), None);
        let unknown = slip("unknown key `knd` in [[sources]]", "kind");
        assert_eq!(errors(&format!("knd = \"sqlite\"\n{keys}")), [missing, unknown]);
    }

    #[test]
    fn known_keys_are_each_listed_once() {
        let text = "[metadata]\npath = \"meta\"\n[[sources]]\nname = \"a\"\nkind = \"memory\"\nabracadabra = 1\n";
        let (_, report) = parse(Path::new("qg.toml"), text, &Environment::fixed(Path::new("/etc/qg"), &[]));
        let help =
            report.diagnostics.iter().find_map(|found| found.help.as_deref().filter(|help| help.contains("known")));
        let keys: Vec<&str> = help.and_then(|help| help.strip_prefix("known keys: ")).unwrap().split(", ").collect();
        assert_eq!(keys.iter().filter(|key| **key == "kind").count(), 1, "{keys:?}");
    }
}
