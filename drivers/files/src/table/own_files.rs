//! Files that an open transaction has written and not committed, as scans of the same transaction find them. Knows no table.

use futures::future::BoxFuture;
use object_store::path::Path;
use querygate_types::Result;
use std::fmt;
use std::sync::Arc;

/// Makes the files complete that have rows, and names them.
type Complete = Box<dyn Fn() -> BoxFuture<'static, Result<Vec<Path>>> + Send + Sync>;

/// A transaction's files, for the tables of which the file will be that they become.
pub(crate) struct OwnFiles {
    /// Of the source.
    identity: Arc<()>,
    committed: Path,
    complete: Complete,
}

impl fmt::Debug for OwnFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnFiles").field("committed", &self.committed).finish_non_exhaustive()
    }
}

impl OwnFiles {
    pub(crate) fn new(
        identity: &Arc<()>,
        committed: Path,
        complete: impl Fn() -> BoxFuture<'static, Result<Vec<Path>>> + Send + Sync + 'static,
    ) -> Self {
        Self { identity: Arc::clone(identity), committed, complete: Box::new(complete) }
    }

    /// The file that they become with the commit, or one like it.
    pub(crate) const fn committed(&self) -> &Path {
        &self.committed
    }

    /// Whether they are in this source.
    pub(crate) fn is_of(&self, identity: &Arc<()>) -> bool {
        Arc::ptr_eq(&self.identity, identity)
    }

    /// The files as they are now.
    pub(crate) async fn files(&self) -> Result<Vec<Path>> {
        (self.complete)().await
    }
}
