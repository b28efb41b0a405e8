//! Changes of sources' tables, as the gate notices them. Judges none.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A change of a source's table, as the gate noticed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    pub at: SystemTime,
    pub source: String,
    /// SQL name of the governed table.
    pub object: String,
    /// `None`: the table itself.
    pub field: Option<String>,
    /// The type in the source's words; `None`: there was, or is, none.
    pub was: Option<String>,
    pub is: Option<String>,
    /// Whether it is again as it was.
    pub restored: bool,
}

/// Everything that was noticed lately, oldest first.
#[derive(Clone)]
pub struct SchemaWatch(pub Arc<dyn Fn() -> Vec<SchemaChange> + Send + Sync>);

impl fmt::Debug for SchemaWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SchemaWatch(…)")
    }
}
