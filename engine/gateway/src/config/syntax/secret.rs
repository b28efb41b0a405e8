//! Secrets: named in the configuration, read from environment or file, never printed.

use querygate_extension::Extensions;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// A value that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// A value that was not read by reference and may be a secret all the same.
    pub(crate) fn plain(value: String) -> Self {
        Self(value)
    }

    /// The value, for the driver that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where `env:NAME` and `file:PATH` are looked up; a value of its own so that tests need no global state.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: Option<BTreeMap<String, String>>,
    folder: PathBuf,
    /// What the binary has in Rust.
    extensions: Extensions,
    /// Files of secrets that were read, and what was read from anywhere.
    files: RefCell<BTreeSet<PathBuf>>,
    read: RefCell<Vec<Secret>>,
}

impl Environment {
    /// The process' variables; relative paths are seen from `folder`.
    pub(crate) fn process(folder: &Path) -> Self {
        Self {
            variables: None,
            folder: folder.to_path_buf(),
            extensions: Extensions::default(),
            files: RefCell::default(),
            read: RefCell::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn fixed(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { variables: Some(variables), ..Self::process(folder) }
    }

    pub(in crate::config) fn with_extensions(mut self, extensions: &Extensions) -> Self {
        self.extensions = extensions.clone();
        self
    }

    pub(in crate::config) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every secret that was read so far.
    pub(in crate::config) fn secrets(&self) -> Vec<Secret> {
        self.read.borrow().clone()
    }

    /// The files that secrets were read from so far.
    pub(in crate::config) fn secret_files(&self) -> Vec<PathBuf> {
        self.files.borrow().iter().cloned().collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        match &self.variables {
            Some(fixed) => fixed.get(name).cloned(),
            None => std::env::var(name).ok(),
        }
    }

    /// Reads `env:NAME` or `file:PATH`. The error names the reference, never a value.
    pub(crate) fn secret(&self, reference: &str) -> Result<Secret, String> {
        let secret = self.look_up(reference)?;
        self.read.borrow_mut().push(secret.clone());
        Ok(secret)
    }

    fn look_up(&self, reference: &str) -> Result<Secret, String> {
        if let Some(name) = reference.strip_prefix("env:") {
            return match self.variable(name) {
                Some(value) if !value.is_empty() => Ok(Secret(value)),
                _ => Err(format!("environment variable `{name}` is not set")),
            };
        }
        if let Some(path) = reference.strip_prefix("file:") {
            let path = self.folder.join(path);
            self.files.borrow_mut().insert(path.clone());
            return match std::fs::read_to_string(&path) {
                Ok(text) => match text.trim_end_matches(['\n', '\r']) {
                    "" => Err(format!("secret file {} is empty", path.display())),
                    text => Ok(Secret(text.to_owned())),
                },
                Err(e) => {
                    let why = match e.kind() {
                        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
                        other => other.to_string(),
                    };
                    Err(format!("cannot read secret file {}: {why}", path.display()))
                }
            };
        }
        Err("a secret must be given as \"env:NAME\" or \"file:PATH\"".to_owned())
    }
}

/// What to do about a reference that [`Environment::secret`] cannot read.
pub(in crate::config) fn remedy(reference: &str) -> &'static str {
    if reference.starts_with("env:") {
        "set the variable where the gate runs, and for this command too, or give the secret as \"file:PATH\""
    } else if reference.starts_with("file:") {
        "make the file, readable for the gate's user; its path is seen from the folder of the configuration"
    } else {
        "put it into a variable or a file, and name that one here"
    }
}
