//! What a check says of files beside the configuration that serving opens: certificates, keys and the audit file, before anything else,
//! sources that are local files, and tables without files. Writes nothing.

use crate::config::diagnostic::Diagnostic;
use crate::config::{Config, FileStore, Source, SourceKind};
use crate::introspect::Unreadable;
use crate::tls;
use querygate_metadata::model::Snapshot;
use querygate_metadata::{Diagnostic as Finding, Severity};
use rustix::fs::{Access, access};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Errors: the gate would not start. Warnings: it would, and a source's tables are refused until its files are there.
pub(super) fn findings(config: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let has_doors = config.server.postgres.is_some() || config.flight.address.is_some();
    if let Some(files) = config.server.tls.as_ref().filter(|_| has_doors) {
        let client_ca = config.flight.client_ca.as_deref().filter(|_| config.flight.address.is_some());
        if let Err(error) = tls::load(files, client_ca) {
            let why = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
            let help = "give PEM files of a certificate and the key that belongs to it, readable by the gate's user";
            found.push(Diagnostic::error(None, format!("{}{why}", error.message())).help(help));
        }
    }
    if let Some(file) = &config.log.audit
        && let Err(error) = appendable(file)
    {
        found.push(
            Diagnostic::error(None, format!("the audit file {} cannot be opened: {error}", file.display()))
                .help("make its folder, and let the gate's user write there"),
        );
    }
    found.extend(config.sources.iter().filter_map(absent_source));
    found
}

/// What is wrong with the files of a source on this machine.
fn absent_source(source: &Source) -> Option<Diagnostic> {
    let (path, is_folder) = match &source.kind {
        SourceKind::Sqlite { path, .. } => (path, false),
        SourceKind::Files { store: FileStore::Local(folder), .. } => (folder, true),
        SourceKind::Files { store: FileStore::S3(_), .. }
        | SourceKind::Mysql(_)
        | SourceKind::Mongodb(_)
        | SourceKind::Postgres(_)
        | SourceKind::Memory { .. }
        | SourceKind::Native(_) => return None,
    };
    let why = readable(path, is_folder).err()?;
    let message = format!("source `{}` cannot be read: {}: {why}", source.name, path.display());
    let help = match (is_folder, why.kind()) {
        (_, ErrorKind::PermissionDenied) => "let the gate's user read it",
        (true, _) => "`path` is the folder of its files, relative to the folder of the configuration",
        (false, _) => "`path` is its database file, relative to the folder of the configuration",
    };
    Some(
        Diagnostic::warning(Some(source.span.clone()), message).label("its tables are refused until it can").help(help),
    )
}

/// Objects in files of which there are none, or none that can be read.
pub(super) fn absent_tables(snapshot: &Snapshot, fileless: &[(String, Unreadable)]) -> Vec<Finding> {
    let finding = |(source, found): &(String, Unreadable)| {
        let object = snapshot.object(&found.table)?;
        let (files, name, reason) = (object.table_name(), &object.name, &found.reason);
        let message = format!("the files `{files}` of '{name}' cannot be read in source `{source}`: {reason}");
        let mut finding = Finding::at(Severity::Warning, &object.location, &message);
        let hint = "`external.remoteName` is a file, a folder or a pattern below the source's folder.";
        finding.hint = Some(hint.to_owned());
        Some(finding)
    };
    fileless.iter().filter_map(finding).collect()
}

/// Whether what is there is of the kind that is expected, and may be read.
fn readable(path: &Path, is_folder: bool) -> Result<()> {
    match (std::fs::metadata(path)?.is_dir(), is_folder) {
        (true, false) => Err(Error::new(ErrorKind::IsADirectory, "it is a folder")),
        (false, true) => Err(Error::new(ErrorKind::NotADirectory, "it is no folder")),
        (true, true) => access(path, Access::READ_OK | Access::EXEC_OK).map_err(Error::from),
        (false, false) => access(path, Access::READ_OK).map_err(Error::from),
    }
}

/// Whether a file can be appended to, or made.
fn appendable(file: &Path) -> Result<()> {
    match std::fs::metadata(file) {
        Ok(there) if there.is_dir() => return Err(Error::new(ErrorKind::IsADirectory, "it is a folder")),
        Ok(_) => return writable(file),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::metadata(folder) {
        Ok(there) if there.is_dir() => writable(folder),
        Ok(_) => Err(Error::new(ErrorKind::NotADirectory, "it is not in a folder")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::NotFound, format!("there is no folder {}", folder.display())))
        }
        Err(error) => Err(error),
    }
}

fn writable(path: &Path) -> Result<()> {
    access(path, Access::WRITE_OK).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_can_be_appended_to_are_there_or_have_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("there"), "x").unwrap();
        for (name, good) in [("there", true), ("new", true), ("none/new", false), ("there/new", false), ("", false)] {
            assert_eq!(appendable(&at(name)).is_ok(), good, "{name}");
        }
        let told = appendable(&at("none/new")).unwrap_err().to_string();
        assert!(told.contains("there is no folder") && told.contains("none"), "{told}");
        assert!(!at("new").exists());
    }

    #[test]
    fn sources_whose_files_are_not_there_are_named_where_they_are_configured() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("good.db"), "").unwrap();
        let source = |kind: &str, path: &str| {
            let text =
                format!("[metadata]\npath = \"m\"\n[[sources]]\nname = \"s\"\nkind = \"{kind}\"\npath = \"{path}\"\n");
            let environment = crate::config::Environment::fixed(folder.path(), &[]);
            let config = crate::config::parse(Path::new("querygate.toml"), &text, &environment).0.unwrap();
            let found = findings(&config);
            assert!(found.iter().all(|one| text[one.span.clone().unwrap()].starts_with("[[sources]]")), "{found:?}");
            found.into_iter().map(|one| one.message).collect::<Vec<_>>().join("; ")
        };
        for (kind, path, said) in [
            ("sqlite", "good.db", ""),
            ("sqlite", "bad.db", "source `s` cannot be read: "),
            ("sqlite", ".", "it is a folder"),
            ("files", ".", ""),
            ("files", "none", "No such file"),
            ("files", "good.db", "it is no folder"),
        ] {
            let found = source(kind, path);
            assert!(found.contains(said) && found.is_empty() == said.is_empty(), "{kind} {path}: {found}");
        }
    }
}
