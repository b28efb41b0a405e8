//! Source text of expressions with the place it came from. Does not parse them: the policy crate compiles them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A place in a metadata file. Line and column count from 1, columns in characters; line 0 means "no file".
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// File as the caller named it, or a word such as `builtin` or `row`.
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Location {
    /// A place outside any file.
    #[must_use]
    pub fn outside(what: &str) -> Self {
        Self { file: Arc::from(what), line: 0, column: 0 }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}:{}", self.file, self.line, self.column) }
    }
}

/// `dialect` of an expression envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// The default, also of a bare string.
    Cel,
    Cron,
    Template,
}

/// An expression as written: `{dialect, source}` or a bare string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Expression {
    pub dialect: Dialect,
    pub source: String,
    /// Where the text stands, for diagnostics of the compiler.
    #[serde(skip)]
    pub location: Location,
}
