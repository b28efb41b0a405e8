//! `querygate introspect`: from an existing database or folder to ObjectStack metadata. Reads schemas, never rows,
//! except where a text format has no schema of its own.

mod address;
mod files;
mod found;
mod mongodb;
mod mysql;
mod postgres;
mod server;
mod sqlite;
mod write;

use crate::cli::{Ended, IntrospectArgs, file_error, written};
use crate::config::tls::Tls;
use crate::config::{Environment, Secret};
use crate::output::Output;
use found::{Found, FoundColumn, FoundKey, FoundReference, Holds, Kind};
use querygate_driver_api::remote::TableKind;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::json;
use std::path::Path;
pub(crate) use write::{GivenNames, KnownNames, TableNames, pretty};

/// A source's tables as metadata, and where the source is.
pub(crate) struct Described {
    pub(crate) namespace: String,
    /// Its `[[sources]]` entry.
    pub(crate) entry: String,
    /// The stack, and Querygate's own part of the metadata.
    pub(crate) files: [serde_json::Value; 2],
    pub(crate) tables: Vec<TableNames>,
    /// What is read otherwise than the source has it.
    pub(crate) notes: Vec<String>,
    /// What is not served, with the reason.
    pub(crate) left_out: Vec<String>,
    origin: Origin,
    known: KnownNames,
}

/// What could not be read as it was described.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The table, as the source calls it.
    pub(crate) table: String,
    /// The column; `None`: the whole table.
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
    pub(crate) code: ErrorCode,
}

/// Reads a source's tables.
///
/// # Errors
/// The source's; 42P01 if it has no tables.
/// `known`: names that are taken where a source has this namespace.
pub(crate) fn describe(args: &IntrospectArgs, known: impl Fn(&str) -> KnownNames) -> Result<Described> {
    let origin = origin(args)?;
    let namespace = namespace(args, &origin.name)?;
    let known = known(&namespace);
    described(namespace, origin, known)
}

impl Described {
    /// The description with what could not be read as texts, or without it.
    ///
    /// # Errors
    /// 42P01: nothing is left.
    pub(crate) fn without(self, unreadable: &[Unreadable]) -> Result<Self> {
        let Self { namespace, mut origin, known, left_out, .. } = self;
        let mut told = left_out;
        for Unreadable { table, column, reason, .. } in unreadable {
            let Some(at) = origin.tables.iter().position(|found| found.remote == *table) else { continue };
            let found = &mut origin.tables[at];
            match column {
                Some(column) => told.extend(found.give_way(column, reason)),
                None if found.as_text.is_empty() => {
                    origin.tables.remove(at);
                    told.push(format!("left out: {table} ({reason})"));
                }
                None => told.extend(found.without_texts()),
            }
        }
        origin.left_out = told;
        described(namespace, origin, known)
    }
}

fn described(namespace: String, origin: Origin, known: KnownNames) -> Result<Described> {
    let Origin { driver, entry, config, tables, left_out, .. } = &origin;
    if tables.is_empty() {
        let error = Error::new(ErrorCode::UndefinedTable, format!("{} has no tables", origin.place));
        return Err(if left_out.is_empty() { error } else { error.with_detail(left_out.join("\n")) });
    }
    let written = write::metadata(&namespace, driver, config, tables, &known)?;
    let write::Written { stack, tables: stored, names, ignored, renamed } = written;
    let is_told = |column: &str| left_out.iter().any(|told| told.starts_with(&format!("left out: {column} (")));
    let no_type = ignored.iter().filter(|column| !is_told(column));
    let no_type = no_type.map(|column| format!("left out: {column} (no field type holds its values)"));
    let notes = tables.iter().flat_map(Found::notes).chain(renamed).chain(views(tables)).collect();
    let left_out = left_out.iter().cloned().chain(no_type).collect();
    let entry = entry.replace(NAME, &namespace);
    Ok(Described { namespace, entry, files: [stack, stored], tables: names, notes, left_out, origin, known })
}

/// Relations whose rows are from elsewhere. Rules are of objects: those of a table do not reach the rows that a view shows of it.
fn views(tables: &[Found]) -> Vec<String> {
    let of = |kind: TableKind, what: &str, note: &str| {
        let names: Vec<&str> =
            tables.iter().filter(|table| table.kind == kind).map(|table| table.remote.as_str()).collect();
        (!names.is_empty()).then(|| format!("{what}: {} ({note}; give each its own rules)", names.join(", ")))
    };
    let notes = [
        of(
            TableKind::View,
            "views",
            "the source reads their tables with the rights of its login, so rules of the tables do not reach their rows",
        ),
        of(
            TableKind::MaterializedView,
            "materialized views",
            "they keep copies of rows of their tables, as of when they were refreshed, which rules of the tables do not reach",
        ),
        of(
            TableKind::ForeignTable,
            "foreign tables",
            "the source reads them from another server with the rights that it has there, and each read waits for that server",
        ),
    ];
    notes.into_iter().flatten().collect()
}

fn namespace(args: &IntrospectArgs, name: &str) -> Result<String> {
    match &args.access.namespace {
        Some(name) if *name == write::local_name(name) => Ok(name.clone()),
        Some(name) => {
            Err(Error::new(ErrorCode::InvalidParameterValue, format!("`{name}` is not a namespace")).with_hint(
                format!("Use lower-case letters, digits and underscores, such as {}.", write::local_name(name)),
            ))
        }
        None => Ok(write::namespace(name)),
    }
}

pub(crate) fn run(args: &IntrospectArgs, output: &mut Output) -> Result<Ended> {
    let described = describe(args, |_| KnownNames::default())?;
    for note in described.left_out.iter().chain(&described.notes) {
        output.note(note).map_err(written)?;
    }
    let Described { namespace, entry, files, .. } = &described;
    let Some(folder) = &args.output else {
        output.text(&write::whole(files)?).map_err(written)?;
        return Ok(Ended::Well);
    };
    std::fs::create_dir_all(folder).map_err(|e| file_error("write", folder, &e))?;
    let file = folder.join(format!("{namespace}.json"));
    let beside = folder.join(format!("{namespace}.querygate.json"));
    if let Some(there) = [&file, &beside].into_iter().find(|file| file.exists()) {
        return Err(Error::new(ErrorCode::ConfigInvalid, format!("{} is there already", there.display()))
            .with_hint("Remove it, or choose another folder or namespace."));
    }
    for (file, value) in [&file, &beside].into_iter().zip(files) {
        std::fs::write(file, pretty(value)?).map_err(|e| file_error("write", file, &e))?;
    }
    output.note(&format!("{} tables written to {}", described.tables.len(), file.display())).map_err(written)?;
    output.note(&next_steps(namespace, entry, folder)).map_err(written)?;
    Ok(Ended::Well)
}

/// Stands for the source's name in an entry.
const NAME: &str = "NAMESPACE";

/// Where tables were found.
struct Origin {
    /// As it was given.
    place: String,
    /// The source's kind.
    driver: &'static str,
    /// What it is called where it is.
    name: String,
    /// Its `[[sources]]` entry, with [`NAME`] for its name.
    entry: String,
    /// The `config` by which ObjectStack reaches it, without secrets.
    config: serde_json::Value,
    tables: Vec<Found>,
    /// What is there and is no table, with the reason.
    left_out: Vec<String>,
}

fn origin(args: &IntrospectArgs) -> Result<Origin> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal);
    let source = &args.source;
    let beside = beside(args)?;
    let (place, left_out) = (source.display().to_string(), Vec::new());
    if let Some(address) =
        source.to_str().filter(|text| mysql::FORM.schemes.iter().any(|scheme| text.starts_with(scheme)))
    {
        let mut server = mysql::parse(address)?;
        server.tls = args.access.tls.map(Into::into);
        server.tls_ca.clone_from(&args.access.tls_ca);
        server.password = args.access.password.as_deref().map(secret).transpose()?;
        let tables = runtime()?.block_on(mysql::read(&server));
        let tables = tables.map_err(|error| looked_for(error, &format!("{}:{}", server.host, server.port)))?;
        let entry = mysql::entry(NAME, &server, beside);
        let config =
            json!({"host": server.host, "port": server.port, "database": server.database, "username": server.user});
        return Ok(Origin { driver: "mysql", name: server.database, entry, config, tables, place, left_out });
    }
    if let Some(address) = source.to_str().filter(|text| text.starts_with(mongodb::SCHEME)) {
        let mut server = mongodb::parse(address)?;
        server.tls = args.access.tls.map(Into::into);
        server.tls_ca.clone_from(&args.access.tls_ca);
        server.password = args.access.password.as_deref().map(secret).transpose()?;
        let tables = runtime()?.block_on(mongodb::read(&server));
        let tables = tables.map_err(|error| looked_for(error, mongodb::hosts(server.address.expose())))?;
        let entry = mongodb::entry(NAME, &server, beside);
        let config = json!({"url": server.address.expose(), "database": server.database});
        return Ok(Origin { driver: "mongodb", name: server.database, entry, config, tables, place, left_out });
    }
    if let Some(address) =
        source.to_str().filter(|text| postgres::FORM.schemes.iter().any(|scheme| text.starts_with(scheme)))
    {
        let mut server = postgres::parse(address)?;
        server.tls = args.access.tls.map_or(server.tls, Into::into);
        server.tls_ca.clone_from(&args.access.tls_ca);
        server.password = args.access.password.as_deref().map(secret).transpose()?;
        let tables = runtime()?.block_on(postgres::read(&server));
        let tables = tables.map_err(|error| looked_for(error, &format!("{}:{}", server.host, server.port)))?;
        let entry = postgres::entry(NAME, &server, beside);
        let config =
            json!({"host": server.host, "port": server.port, "database": server.database, "username": server.user});
        return Ok(Origin { driver: "postgres", name: server.database, entry, config, tables, place, left_out });
    }
    let meta = std::fs::metadata(source).map_err(|e| file_error("read", source, &e))?;
    let (folder, _) = files::folder(source);
    let (driver, path, tables, left_out) = if meta.is_dir() || files::is_table(source) {
        let (tables, left_out) = runtime()?.block_on(files::read(source))?;
        let left_out = left_out.into_iter().map(|left| format!("left out: {} ({})", left.path, left.reason)).collect();
        ("files", folder.as_path(), tables, left_out)
    } else {
        let (tables, broken) = runtime()?.block_on(sqlite::read(source))?;
        ("sqlite", source.as_path(), tables, [left_out, broken].concat())
    };
    let entry =
        format!("[[sources]]\nname = \"{NAME}\"\nkind = \"{driver}\"\npath = {}", quoted(&path.to_string_lossy()));
    let config = match driver {
        "sqlite" => json!({"filename": path}),
        _ => json!({"path": path}),
    };
    Ok(Origin { driver, name: stem(path), entry, config, tables, place, left_out })
}

/// The error of a server that does not answer, with the place where it was looked for.
fn looked_for(error: Error, place: &str) -> Error {
    if error.code() != ErrorCode::SourceUnavailable || !error.message().ends_with("cannot be reached") {
        return error;
    }
    let told = Error::new(ErrorCode::SourceUnavailable, format!("no server can be reached at {place}"))
        .with_hint("Check host and port, that the server runs and listens there, and that no firewall stands between.");
    match error.cause() {
        Some(cause) => told.with_cause(cause),
        None => told,
    }
}

fn beside(args: &IntrospectArgs) -> Result<server::Beside<'_>> {
    let tls = args.access.tls.map(Tls::from);
    if args.access.tls_ca.is_some() && tls.is_some_and(|tls| !tls.verifies()) {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "--tls-ca says whom to trust, and nobody looks")
            .with_hint("Give --tls verify-full."));
    }
    Ok(server::Beside { password: args.access.password.as_deref(), tls, tls_ca: args.access.tls_ca.as_deref() })
}

/// A secret that an argument names. Relative files are seen from here.
fn secret(reference: &str) -> Result<Secret> {
    Environment::process(Path::new(""))
        .secret(reference)
        .map_err(|message| Error::new(ErrorCode::InvalidParameterValue, format!("--password: {message}")))
}

/// A text as a value of the configuration's language.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn stem(source: &Path) -> String {
    let whole = source.canonicalize().unwrap_or_else(|_| source.to_path_buf());
    whole.file_stem().map_or_else(|| "source".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn next_steps(namespace: &str, entry: &str, folder: &Path) -> String {
    format!(
        "\nIn querygate.toml:\n\n[metadata]\npath = {}\n\n{entry}\n\nThen: querygate user add NAME --write, give NAME permission_sets = [\"{namespace}_reader\"], querygate check.",
        quoted(&folder.to_string_lossy()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_whose_rows_are_from_elsewhere_are_named_by_their_kind() {
        let found = |remote: &str, kind: TableKind| Found { remote: remote.to_owned(), kind, ..Found::default() };
        let tables = [
            found("orders", TableKind::Table),
            found("totals", TableKind::MaterializedView),
            found("open", TableKind::View),
            found("shop.sums", TableKind::MaterializedView),
            found("parts", TableKind::ForeignTable),
        ];
        let told = views(&tables);
        let begins: Vec<&str> = told.iter().filter_map(|note| Some(note.split_once(" (")?.0)).collect();
        assert_eq!(begins, ["views: open", "materialized views: totals, shop.sums", "foreign tables: parts"]);
        assert_eq!(views(&tables[..1]), Vec::<String>::new());
    }
}
