//! Files that an open transaction has written and not committed, as scans of the same transaction find them. Knows no table.

use futures::future::BoxFuture;
use object_store::path::Path;
use querygate_types::Result;
use std::fmt;
use std::sync::Arc;

/// Makes the files complete that have rows, and names them.
type Complete = Box<dyn Fn() -> BoxFuture<'static, Result<Vec<Path>>> + Send + Sync>;

/// A transaction's files, for tables of one folder.
pub(crate) struct OwnFiles {
    /// Of the source.
    identity: Arc<()>,
    base: Path,
    complete: Complete,
}

impl fmt::Debug for OwnFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnFiles").field("base", &self.base).finish_non_exhaustive()
    }
}

impl OwnFiles {
    pub(crate) fn new(
        identity: &Arc<()>,
        base: &Path,
        complete: impl Fn() -> BoxFuture<'static, Result<Vec<Path>>> + Send + Sync + 'static,
    ) -> Self {
        Self { identity: Arc::clone(identity), base: base.clone(), complete: Box::new(complete) }
    }

    /// The files as they are now, for a table of this folder of this source; none for another one.
    pub(crate) async fn of(&self, identity: &Arc<()>, base: &Path) -> Result<Vec<Path>> {
        if !Arc::ptr_eq(&self.identity, identity) || self.base != *base {
            return Ok(Vec::new());
        }
        (self.complete)().await
    }
}
