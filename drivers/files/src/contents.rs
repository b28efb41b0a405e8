//! What lies in a source: tables, and what is none. Knows no plan.

use crate::config::{FileFormat, Location, TableSpec};
use crate::error::Names;
use crate::infer::Inferred;
use crate::pattern::escaped;
use crate::source::{FilesSource, Shared};
use futures::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::mem::discriminant;

/// A table that the files of a source suggest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTable {
    pub name: String,
    pub pattern: String,
    pub format: FileFormat,
}

/// Files or folders that are no table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OmittedPath {
    /// Relative to the source.
    pub path: String,
    /// Why, and what to do, for an operator.
    pub reason: String,
}

/// What lies in a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exploration {
    pub tables: Vec<(FoundTable, Inferred)>,
    pub left_out: Vec<OmittedPath>,
}

/// Tables by their names alone.
#[derive(Default)]
struct Contents {
    tables: Vec<FoundTable>,
    left_out: Vec<OmittedPath>,
}

/// Folders that mark the folder above them as a table of a lake, by their names, and what kind it is.
const LAKES: [(&str, &str); 3] =
    [("_delta_log", "a Delta Lake table"), ("metadata", "an Iceberg table"), (".hoodie", "a Hudi table")];
/// How a lake's Iceberg tables call the files of their metadata.
const ICEBERG_ENDING: &str = ".metadata.json";

/// Tables whose files a source may have, each with as many files as one table may.
const TABLES_MAX: usize = 20;

/// Stands for all of a source where a path is asked for.
const WHOLE: &str = ".";

/// Endings of files that are sources of their own.
const DATABASES: [&str; 4] = ["sqlite", "sqlite3", "db", "db3"];
/// Endings of the files that SQLite has beside its own.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What is known of a file or folder at the top.
#[derive(Default)]
struct TopEntry {
    is_folder: bool,
    /// The first file of a known format.
    first: Option<FileFormat>,
    /// Files that are not of the first one's format.
    others: Vec<OmittedPath>,
    lake: Option<&'static str>,
    /// Bytes of all files that are not hidden; `None`: there are none.
    bytes: Option<u64>,
    files: usize,
}

/// Looks at names and sizes.
async fn list(shared: &Shared) -> Result<Contents> {
    let names = Names::new(&shared.config.name, "*");
    let mut contents = Contents::default();
    let mut listed = Vec::new();
    for found in entries(shared).await? {
        match found {
            Ok(meta) => listed.push(meta),
            // A folder has names that are none here, and links in a circle; the rest of it is sound.
            Err(error) if shared.is_local() => contents.left_out.push(unlisted(&error)),
            Err(error) => return Err(names.store(&error)),
        }
        if listed.len() > shared.config.limits.files_max.saturating_mul(TABLES_MAX) {
            return Err(names.too_big("the number of files of", listed.len()));
        }
    }
    // A store lists in any order, and a folder's first file is one by name.
    listed.sort_by(|one, other| one.location.cmp(&other.location));
    // The source itself may be one table of a lake: then none of its files is a table.
    if let Some((kind, _)) = listed.iter().filter_map(|meta| lake_of(&meta.location)).find(|(_, depth)| *depth == 0) {
        contents.left_out.push(OmittedPath { path: WHOLE.to_owned(), reason: of_a_lake(kind) });
        return Ok(contents);
    }
    let mut tops: BTreeMap<String, TopEntry> = BTreeMap::new();
    listed.iter().for_each(|meta| look(&mut tops, meta));
    let most = shared.config.limits.files_max;
    for (path, top) in tops {
        if top.files > most {
            let reason = format!("it has {} files, and a table has at most {most}", top.files);
            contents.left_out.push(OmittedPath { path, reason });
        } else {
            place(path, top, &mut contents);
        }
    }
    Ok(contents)
}

/// All files, and what is none. A folder's listing goes on behind an entry that fails, which the store's own does not do where it may wait.
async fn entries(shared: &Shared) -> Result<Vec<object_store::Result<ObjectMeta>>> {
    let store = shared.store()?;
    let most = shared.config.limits.files_max.saturating_mul(TABLES_MAX).saturating_add(1);
    let Location::Local { root } = &shared.config.location else {
        return Ok(store.list(None).take(most).collect().await);
    };
    let root = root.clone();
    let listed = std::thread::spawn(move || {
        let folder = LocalFileSystem::new_with_prefix(root)?;
        Ok::<_, object_store::Error>(futures::executor::block_on(folder.list(None).take(most).collect()))
    });
    let joined = tokio::task::spawn_blocking(move || listed.join()).await.map_err(Error::internal)?;
    let listed = joined.map_err(|_| Error::internal("a folder's listing panicked"))?;
    listed.map_err(|error| Names::new(&shared.config.name, "*").store(&error))
}

/// An entry of a folder that cannot be listed.
fn unlisted(error: &object_store::Error) -> OmittedPath {
    let mut first: &dyn std::error::Error = error;
    while let Some(cause) = first.source() {
        first = cause;
    }
    let reason: String = first.to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    OmittedPath { path: "an entry".to_owned(), reason }
}

fn look(tops: &mut BTreeMap<String, TopEntry>, meta: &ObjectMeta) {
    let parts: Vec<_> = meta.location.parts().collect();
    let [top, below @ ..] = &parts[..] else { return };
    let name = top.as_ref();
    if name.starts_with(['.', '_']) {
        return;
    }
    let lake = lake_of(&meta.location).map(|(kind, _)| kind);
    let top = tops.entry(name.to_owned()).or_default();
    top.is_folder |= !below.is_empty();
    top.lake = top.lake.or(lake);
    if below
        .iter()
        .any(|part| part.as_ref().starts_with('.') || part.as_ref().starts_with('_') && !part.as_ref().contains('='))
    {
        return;
    }
    *top.bytes.get_or_insert(0) += meta.size;
    top.files += 1;
    let format = meta.location.filename().and_then(FileFormat::promised);
    match (&top.first, format) {
        (None, Some(format)) if meta.size > 0 => top.first = Some(format),
        (Some(first), Some(format)) if discriminant(first) == discriminant(&format) => {}
        _ if meta.size == 0 => {}
        (_, format) => {
            let reason = match format {
                Some(_) => "it is of another format than the first file of its folder; put it into a folder of its own"
                    .to_owned(),
                None => unknown(meta.location.filename().unwrap_or_default()),
            };
            top.others.push(OmittedPath { path: meta.location.to_string(), reason });
        }
    }
}

/// The kind of lake table that a file marks the folder of, and how deep that folder is in the source.
fn lake_of(location: &Path) -> Option<(&'static str, usize)> {
    let folders: Vec<_> = location.parts().collect();
    let folders = folders.get(..folders.len().saturating_sub(1))?;
    LAKES.iter().find_map(|(mark, kind)| {
        let depth = folders.iter().position(|part| part.as_ref() == *mark)?;
        (*mark != "metadata" || location.as_ref().ends_with(ICEBERG_ENDING)).then_some((*kind, depth))
    })
}

fn of_a_lake(kind: &str) -> String {
    format!("{kind}: its files hold rows that it has removed, and such tables are not served")
}

fn unknown(name: &str) -> String {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if DATABASES.iter().any(|known| ending.eq_ignore_ascii_case(known)) {
        "a database is a source of its own".to_owned()
    } else {
        "no table: its name ends in none of parquet, csv, tsv, ndjson, jsonl, json, nor these with gz or zst".to_owned()
    }
}

fn place(path: String, top: TopEntry, contents: &mut Contents) {
    let Contents { tables, left_out } = contents;
    let mut leave = |reason: String| left_out.push(OmittedPath { path: path.clone(), reason });
    if BESIDE.iter().any(|ending| path.ends_with(ending)) {
        return;
    }
    if let Some(kind) = top.lake {
        leave(of_a_lake(kind));
        return;
    }
    match top.first {
        Some(format) => {
            let name = if top.is_folder { path.clone() } else { FileFormat::stem(&path).to_owned() };
            tables.push(FoundTable { name, pattern: escaped(&path), format });
            left_out.extend(top.others);
        }
        None if top.bytes == Some(0) => leave("empty: it has no columns".to_owned()),
        None if top.bytes.is_none() => {}
        None => leave(unknown(&path)),
    }
}

impl FilesSource {
    /// What lies at the top of the source: each file of a known format, and each folder by the format of its first file.
    ///
    /// # Errors
    /// A folder that cannot be listed, or holds more files than are looked at.
    pub async fn tables(&self) -> Result<Vec<FoundTable>> {
        Ok(list(self.shared()).await?.tables)
    }

    /// All that lies at the top of the source: how each table's files are written and which columns they have, and what is no table, with
    /// the reason.
    ///
    /// # Errors
    /// As of [`FilesSource::tables`]. A table that cannot be read is left out.
    pub async fn explore(&self) -> Result<Exploration> {
        explore(self, None).await
    }

    /// What one file or folder at the top is, as exploring all of them would tell.
    ///
    /// # Errors
    /// As of [`FilesSource::explore`].
    pub async fn explore_one(&self, path: &str) -> Result<Exploration> {
        explore(self, Some(path)).await
    }
}

/// Looks into the files.
async fn explore(source: &FilesSource, only: Option<&str>) -> Result<Exploration> {
    let Contents { mut tables, mut left_out } = list(source.shared()).await?;
    if let Some(only) = only {
        tables.retain(|table| table.pattern == escaped(only));
        left_out.retain(|left| left.path == only || left.path == WHOLE);
    }
    let mut exploration = Exploration { tables: Vec::new(), left_out };
    for mut found in tables {
        match described(source, &mut found).await {
            Ok(inferred) if inferred.schema.fields().is_empty() => {
                let reason = "it has no columns".to_owned();
                exploration.left_out.push(OmittedPath { path: found.pattern, reason });
            }
            Ok(inferred) => exploration.tables.push((found, inferred)),
            Err(error) => {
                let reason = reason(&error);
                exploration.left_out.push(OmittedPath { path: found.pattern, reason });
            }
        }
    }
    exploration.left_out.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(exploration)
}

/// What is wrong with the files of a table. Of what is too large the detail says only where it is.
fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) if error.code() == ErrorCode::ProgramLimitExceeded => format!("{}: {detail}", error.message()),
        Some(detail) => detail.to_owned(),
        None => error.message().to_owned(),
    }
}

async fn described(source: &FilesSource, found: &mut FoundTable) -> Result<Inferred> {
    let spec = TableSpec::new(&found.name, &found.pattern, found.format.clone(), None);
    found.format = source.written(&spec).await?;
    source.infer(&TableSpec { format: found.format.clone(), ..spec }).await
}
