//! What sessions hold while they run no statement. Knows no session.

use querygate_query_api::holding::Occupation;
use std::fmt;
use std::time::SystemTime;

/// One thing that a session holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldResource {
    pub(crate) kind: HeldKind,
    /// As its session calls it; empty: it has no name.
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) since: Option<SystemTime>,
    pub(crate) bytes: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldKind {
    Transaction,
    Cursor,
    /// The rows that all of its cursors keep.
    CursorRows,
    /// All statements that it has prepared, in SQL and by its door.
    PreparedStatements,
    Temporary,
    AdvisoryLock,
    /// What its door keeps it for.
    Occupation(Occupation),
}

impl HeldKind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Cursor => "cursor",
            Self::CursorRows => "rows of cursors",
            Self::PreparedStatements => "prepared statements",
            Self::Temporary => "temporary relation",
            Self::AdvisoryLock => "advisory lock",
            Self::Occupation(occupation) => occupation.word(),
        }
    }
}

/// Tells what a session holds.
pub(crate) trait SessionHolder: fmt::Debug + Send + Sync {
    /// All that is held now. `sources`: whether the sources of a transaction are named.
    fn held(&self, sources: bool) -> Vec<HeldResource>;
}
