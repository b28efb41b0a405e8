//! What the binary has in Rust: drivers of its kinds of sources, and what operators see of it in schema `querygate`.

use crate::config::{Config, NativeSource};
use querygate_driver_api::driver::Driver;
use querygate_extension::source::SourceSettings;
use querygate_extension::{Extensions, Kind};
use querygate_query::EngineOptions;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;
use std::sync::Arc;

const RELATION: &str = "extensions";

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

/// `querygate.extensions`.
#[derive(Debug)]
struct Loaded(Extensions);

impl SystemExtension for Loaded {
    fn relations(&self) -> Vec<SystemRelation> {
        let columns = &[
            ("position", CellKind::Integer),
            ("extension", CellKind::Text),
            ("version", CellKind::Text),
            ("depends_on", CellKind::Text),
            ("kind", CellKind::Text),
            ("name", CellKind::Text),
        ];
        vec![SystemRelation { name: RELATION, columns }]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        if relation != RELATION {
            return Err(Error::internal(format_args!("no relation {relation}")));
        }
        // Names of what rules are made of.
        if !reader.operator {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for (position, extension) in (1..).zip(self.0.iter()) {
            let manifest = extension.manifest();
            let needed: Vec<&str> = manifest.dependencies().iter().map(|needed| needed.name.as_str()).collect();
            let mut add = |kind: Cell, name: Cell| {
                let version = Cell::Text(manifest.version().to_string());
                let needed = Cell::Text(needed.join(", "));
                rows.push(vec![Cell::Integer(position), Cell::text(manifest.name()), version, needed, kind, name]);
            };
            let mut has_any = false;
            for kind in Kind::ALL {
                for name in extension.names(kind) {
                    has_any = true;
                    add(Cell::text(kind.name()), Cell::text(name));
                }
            }
            if !has_any {
                add(Cell::Null, Cell::Null);
            }
        }
        Ok(rows)
    }
}
