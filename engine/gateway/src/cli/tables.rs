//! `querygate tables`: prints the tables that the objects of a source need. Runs nothing.

use super::args::TablesArgs;
use super::{Ended, load, written};
use crate::config::{Config, SourceKind};
use crate::metadata::tables::{SqlDialect, printed};
use crate::metadata::{load_configured, load_path, render_errors};
use crate::output::{Output, Stream};
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(args: &TablesArgs, output: &mut Output) -> Result<Ended> {
    let is_configuration = args.path.extension().is_some_and(|extension| extension == "toml");
    let (loaded, chosen) = match is_configuration {
        true => {
            let config = load(&args.path, output)?;
            let chosen = source_of(&config, args.source.as_deref())?;
            (load_configured(&config), (Some(chosen.0), args.dialect.or(chosen.1)))
        }
        false => (load_path(&args.path, output.extensions()), (args.source.clone(), args.dialect)),
    };
    let snapshot = match loaded {
        Ok(loaded) => loaded.snapshot,
        Err(errors) => {
            render_errors(&errors, Stream::Err, output).map_err(written)?;
            return Ok(Ended::WithFindings);
        }
    };
    let (source, dialect) = chosen;
    let dialect = dialect.ok_or_else(|| unusable(&args.path))?;
    let text = printed(&Arc::new(snapshot), source.as_deref(), dialect);
    if text.is_empty() {
        let of = source.map_or_else(String::new, |source| format!(" of source '{source}'"));
        return Err(Error::new(ErrorCode::ConfigInvalid, format!("the metadata has no object{of}"))
            .with_hint("An object names its source as its datasource."));
    }
    output.text(&text).map_err(written)?;
    Ok(Ended::Well)
}

fn unusable(path: &Path) -> Error {
    let message = format!("{} does not say whose SQL is wanted", path.display());
    Error::new(ErrorCode::ConfigInvalid, message).with_hint("Add --dialect sqlite or --dialect postgres.")
}

/// The source that is named, or the only one, and its dialect.
fn source_of(config: &Config, wanted: Option<&str>) -> Result<(String, Option<SqlDialect>)> {
    let known: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    let mut fitting = config.sources.iter().filter(|source| wanted.is_none_or(|name| source.name == name));
    let (Some(source), None) = (fitting.next(), fitting.next()) else {
        let message = match wanted {
            Some(name) => format!("there is no source '{name}'"),
            None => format!("the configuration has {} sources", known.len()),
        };
        let hint = format!("Name one with --source: {}.", known.join(", "));
        return Err(Error::new(ErrorCode::ConfigInvalid, message).with_hint(hint));
    };
    let dialect = match &source.kind {
        SourceKind::Sqlite { .. } => Some(SqlDialect::Sqlite),
        SourceKind::Postgres(_) => Some(SqlDialect::Postgres),
        SourceKind::Mysql(_)
        | SourceKind::Mongodb(_)
        | SourceKind::Files { .. }
        | SourceKind::Memory { .. }
        | SourceKind::Native(_) => None,
    };
    Ok((source.name.clone(), dialect))
}
