//! What an extension says of itself. Resolves nothing.

use std::fmt;

/// What an extension may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Hook,
    Validation,
    Mask,
    Source,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hook, Self::Validation, Self::Mask, Self::Source];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Validation => "validation",
            Self::Mask => "mask",
            Self::Source => "source",
        }
    }
}

/// A version, compared number by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Whether it does for who asked for `wanted`: of the same major number, and not older.
    #[must_use]
    pub fn is_enough_for(self, wanted: Self) -> bool {
        self.major == wanted.major && self >= wanted
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Another extension, by its name or by what it provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    pub name: String,
    /// Of the extension itself: the version that is enough. `None`: any.
    pub version: Option<Version>,
}

/// An extension's name, and which others it needs or cannot be beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) conflicts: Vec<String>,
    pub(crate) provides: Vec<String>,
}

impl Manifest {
    #[must_use]
    pub fn new(name: impl Into<String>, version: Version) -> Self {
        Self { name: name.into(), version, dependencies: Vec::new(), conflicts: Vec::new(), provides: Vec::new() }
    }

    /// Needs another extension, of a version that is enough; it starts before this one.
    #[must_use]
    pub fn depends_on(mut self, name: impl Into<String>, version: Version) -> Self {
        self.dependencies.push(Dependency { name: name.into(), version: Some(version) });
        self
    }

    /// Needs whatever provides this; it starts before this one.
    #[must_use]
    pub fn needs(mut self, provided: impl Into<String>) -> Self {
        self.dependencies.push(Dependency { name: provided.into(), version: None });
        self
    }

    /// Cannot be beside this extension, or one that provides this.
    #[must_use]
    pub fn conflicts_with(mut self, name: impl Into<String>) -> Self {
        self.conflicts.push(name.into());
        self
    }

    /// Another name under which others may depend on it, or conflict with it.
    #[must_use]
    pub fn provides(mut self, name: impl Into<String>) -> Self {
        self.provides.push(name.into());
        self
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    #[must_use]
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// Whether it is meant by this name.
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.provides.iter().any(|provided| provided == name)
    }
}
