//! What the binary has in Rust: drivers of its kinds of sources, and what operators see of it in schema `querygate`.

use crate::config::{Config, NativeSource};
use querygate_driver_api::driver::Driver;
use querygate_extension::source::SourceSettings;
use querygate_extension::{Extension, Extensions, Kind};
use querygate_query::EngineOptions;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;
use std::sync::Arc;

const RELATION: SystemRelation = SystemRelation {
    name: "extensions",
    columns: &[
        ("position", CellKind::Integer),
        ("extension", CellKind::Text),
        ("version", CellKind::Text),
        ("depends_on", CellKind::Text),
        ("kind", CellKind::Text),
        ("name", CellKind::Text),
    ],
};

/// The driver of a source whose kind an extension has.
///
/// # Errors
/// The extension's own: settings that it does not take.
pub(super) fn driver(config: &Config, name: &str, source: &NativeSource) -> Result<Arc<dyn Driver>> {
    let NativeSource { kind, options, secrets, writes } = source;
    let code = config.extensions.source(kind).ok_or_else(|| {
        Error::new(ErrorCode::ConfigInvalid, format!("source \"{name}\": no extension has the kind \"{kind}\""))
    })?;
    let secrets = secrets.iter().map(|(key, secret)| (key.clone(), secret.expose().to_owned()));
    let folder = config.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    code.open(&SourceSettings {
        name: name.to_owned(),
        options: options.clone(),
        secrets: secrets.collect(),
        writes: config.writes && *writes,
        folder: folder.to_path_buf(),
    })
}

/// Lets operators see what is loaded.
pub(super) fn attach(mut options: EngineOptions, extensions: &Extensions) -> EngineOptions {
    options.extensions.push(Arc::new(Loaded(extensions.clone())));
    options
}

/// `querygate.extensions`, for operators: names of what rules are made of.
#[derive(Debug)]
struct Loaded(Extensions);

impl SystemExtension for Loaded {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        RELATION.rows_for_operators(relation, reader, || (1..).zip(self.0.iter()).flat_map(rows).collect())
    }
}

/// What one extension has, each thing a row; one that has nothing is a row, too.
fn rows((position, extension): (i64, &Extension)) -> Vec<Vec<Cell>> {
    let manifest = extension.manifest();
    let needed: Vec<&str> = manifest.dependencies().iter().map(|needed| needed.name.as_str()).collect();
    let needed = needed.join(", ");
    let row = |kind: Cell, name: Cell| {
        let version = Cell::Text(manifest.version().to_string());
        vec![Cell::Integer(position), Cell::text(manifest.name()), version, Cell::text(&needed), kind, name]
    };
    let of_kind = |kind: Kind| extension.names(kind).into_iter().map(move |name| (kind, name));
    let rows: Vec<_> = Kind::ALL
        .into_iter()
        .flat_map(of_kind)
        .map(|(kind, name)| row(Cell::text(kind.name()), Cell::text(name)))
        .collect();
    if rows.is_empty() { vec![row(Cell::Null, Cell::Null)] } else { rows }
}
