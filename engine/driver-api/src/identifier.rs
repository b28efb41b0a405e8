//! Names of remote things and ids of columns inside a fragment. A user's alias has no place here.

use querygate_types::{Error, ErrorCode, Result};
use std::fmt;
use std::sync::Arc;

/// A column inside one fragment: unique in the whole fragment, subqueries included, so that no qualifier is needed.
/// Printers name it `c{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u32);

impl fmt::Display for ColumnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// The name of a thing in the source, as the source itself reported it or metadata declared it. Not empty, no NUL, at
/// most [`Identifier::BYTES_MAX`] bytes; each dialect refuses more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(Arc<str>);

impl Identifier {
    /// Longest name, in bytes: more than any supported source allows.
    pub const BYTES_MAX: usize = 1_024;

    /// # Errors
    /// Empty, too long, or with a NUL character (42602 in spirit; reported as an invalid parameter value).
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self> {
        let name: Arc<str> = name.into();
        if name.is_empty() || name.len() > Self::BYTES_MAX || name.contains('\0') {
            return Err(Error::new(ErrorCode::InvalidParameterValue, "remote name is empty, too long or holds a NUL"));
        }
        Ok(Self(name))
    }

    /// The name, unquoted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A table of the source: its name and the schemas above it, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableRef {
    path: Arc<[Identifier]>,
}

impl TableRef {
    /// Deepest path (catalog, schema, table).
    pub const PARTS_MAX: usize = 3;

    /// From names, outermost first: `["main", "orders"]`.
    ///
    /// # Errors
    /// No part, more than [`TableRef::PARTS_MAX`], or a part that is no [`Identifier`].
    pub fn new<S: Into<Arc<str>>>(parts: impl IntoIterator<Item = S>) -> Result<Self> {
        let path = parts.into_iter().map(Identifier::new).collect::<Result<Vec<_>>>()?;
        if path.is_empty() || path.len() > Self::PARTS_MAX {
            return Err(Error::new(ErrorCode::InvalidParameterValue, "remote table path has no part or too many"));
        }
        Ok(Self { path: path.into() })
    }

    /// All parts, outermost first; never empty.
    #[must_use]
    pub fn parts(&self) -> &[Identifier] {
        &self.path
    }

    /// The table's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.last().map_or("", Identifier::as_str)
    }

    /// The schema's name, if the path has one.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        let parent = self.path.len().checked_sub(2)?;
        self.path.get(parent).map(Identifier::as_str)
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.path.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(part.as_str())?;
        }
        Ok(())
    }
}
