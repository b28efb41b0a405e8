//! Shares of one result that can be fetched apart. Says nothing of how a source is divided.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// One share of a statement's rows, as the session names it. Doors carry it and never read it; it stays good as long as
/// the source can still be divided as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part(Arc<[u8]>);

impl Part {
    /// A part by the session's name of it.
    #[must_use]
    pub fn new(name: impl Into<Arc<[u8]>>) -> Self {
        Self(name.into())
    }

    /// The session's name of it.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.0
    }
}

/// What has to last as long as parts are to be read. Doors hold it and never look into it.
#[derive(Clone)]
pub struct Kept(Arc<dyn Any + Send + Sync>);

impl Kept {
    /// Keeps a value until the last copy is dropped.
    #[must_use]
    pub fn new(kept: Arc<dyn Any + Send + Sync>) -> Self {
        Self(kept)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(…)")
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Kept {}

/// How a statement's rows can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Every row is in exactly one of them. Empty: the rows can be read only as a whole.
    pub parts: Vec<Part>,
    /// Rows of all of them together, where that is known exactly and counts no row that the reader may not see.
    pub rows: Option<u64>,
    /// The state of the source of which the parts are, where it keeps one. Without it, they give nothing.
    pub kept: Option<Kept>,
}

/// Into how many parts a result is to be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The client named the number, so that it tells nothing of the rows.
    Exactly(usize),
    /// As many as the rows are worth, up to this; one, where their number would tell of rows that the reader may not see.
    UpTo(usize),
}
