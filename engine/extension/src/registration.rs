//! Something of an extension, with its name. Two are the same where extension, version and name are.

use super::manifest::Version;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Something of an extension.
pub struct Registration<T: ?Sized> {
    name: Arc<str>,
    extension: Arc<str>,
    version: Version,
    pub(crate) code: Arc<T>,
}

impl<T: ?Sized> Registration<T> {
    pub(crate) fn new(name: &str, extension: &str, version: Version, code: Arc<T>) -> Self {
        Self { name: name.into(), extension: extension.into(), version, code }
    }

    /// As metadata names it, without `native:`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The extension that has it.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// The extension's version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    fn identity(&self) -> (&str, &str, Version) {
        (&self.name, &self.extension, self.version)
    }
}

impl<T: ?Sized> Clone for Registration<T> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            extension: Arc::clone(&self.extension),
            version: self.version,
            code: Arc::clone(&self.code),
        }
    }
}

impl<T: ?Sized> fmt::Debug for Registration<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {}", self.name, self.extension, self.version)
    }
}

impl<T: ?Sized> PartialEq for Registration<T> {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl<T: ?Sized> Eq for Registration<T> {}

impl<T: ?Sized> Hash for Registration<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}
