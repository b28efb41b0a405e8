//! `querygate introspect`: from an existing database or folder to ObjectStack metadata. Reads schemas, never rows,
//! except where a text format has no schema of its own.

mod files;
mod sqlite;
mod write;

use crate::cli::{Ended, IntrospectArgs, file_error, written};
use crate::output::Output;
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;

/// A table as the source has it.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    /// What the source calls it.
    remote: String,
    columns: Vec<FoundColumn>,
}

/// A column as the source has it.
#[derive(Debug, Clone, PartialEq)]
struct FoundColumn {
    remote: String,
    /// `None`: a type that no field type holds; the column is ignored, and said so.
    kind: Option<Kind>,
    required: bool,
    /// The only column of the primary key.
    key: bool,
    /// Table that it references.
    references: Option<String>,
}

/// The field types that introspection writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A float.
    Number,
    /// `numeric(precision, scale)`.
    Decimal {
        precision: u32,
        scale: u32,
    },
    Boolean,
    Date,
    Datetime,
    Time,
    Tags,
    Json,
}

pub(crate) fn run(args: &IntrospectArgs, output: &mut Output) -> Result<Ended> {
    let source = &args.source;
    let meta = std::fs::metadata(source).map_err(|e| file_error("read", source, &e))?;
    let (driver, tables) = if meta.is_dir() {
        ("files", files::read(source)?)
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
        ("sqlite", runtime.block_on(sqlite::read(source))?)
    };
    if tables.is_empty() {
        return Err(Error::new(ErrorCode::UndefinedTable, format!("{} has no tables", source.display())));
    }
    let namespace = match &args.namespace {
        Some(name) if *name == write::local_name(name) => name.clone(),
        Some(name) => {
            return Err(Error::new(ErrorCode::InvalidParameterValue, format!("`{name}` is not a namespace"))
                .with_hint(format!(
                    "Use lower-case letters, digits and underscores, such as {}.",
                    write::local_name(name)
                )));
        }
        None => write::local_name(&stem(source)),
    };
    let (text, ignored) = write::stack(&namespace, driver, &tables)?;
    for column in ignored {
        output.note(&format!("left out: {column} (no field type holds its values)")).map_err(written)?;
    }
    let Some(folder) = &args.output else {
        output.text(&text).map_err(written)?;
        return Ok(Ended::Well);
    };
    std::fs::create_dir_all(folder).map_err(|e| file_error("write", folder, &e))?;
    let file = folder.join(format!("{namespace}.json"));
    if file.exists() {
        return Err(Error::new(ErrorCode::ConfigInvalid, format!("{} is there already", file.display()))
            .with_hint("Remove it, or choose another folder or namespace."));
    }
    std::fs::write(&file, text).map_err(|e| file_error("write", &file, &e))?;
    output.note(&format!("{} tables written to {}", tables.len(), file.display())).map_err(written)?;
    output.note(&next_steps(&namespace, driver, source, folder)).map_err(written)?;
    Ok(Ended::Well)
}

fn stem(source: &Path) -> String {
    let whole = source.canonicalize().unwrap_or_else(|_| source.to_path_buf());
    whole.file_stem().map_or_else(|| "source".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn next_steps(namespace: &str, driver: &str, source: &Path, folder: &Path) -> String {
    format!(
        "\nIn querygate.toml:\n\n[metadata]\npath = \"{}\"\n\n[[sources]]\nname = \"{namespace}\"\nkind = \"{driver}\"\npath = \"{}\"\n\nThen: querygate user add NAME --write, give NAME permission_sets = [\"{namespace}_reader\"], querygate check.",
        folder.display(),
        source.display()
    )
}
