//! What a check says of files beside the configuration that serving opens before anything else: certificates, keys, the audit file.
//! Writes nothing.

use crate::config::Config;
use crate::config::diagnostic::Diagnostic;
use crate::tls;
use rustix::fs::{Access, access};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Errors: the gate would not start.
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
    found
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
}
