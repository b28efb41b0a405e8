//! The current snapshot, replaced as a whole. A failed reload changes nothing.

use crate::load::{LoadError, LoadOptions, Loaded, load};
use crate::model::Snapshot;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Holds the current snapshot. A reader gets an `Arc` and keeps what it started with.
#[derive(Debug)]
pub struct SnapshotCell {
    current: RwLock<Arc<Snapshot>>,
}

/// Outcome of a reload that found no errors.
#[derive(Debug, Clone)]
pub enum Reloaded {
    /// Same content: the old snapshot stays, so caches keyed by its version stay valid.
    Unchanged,
    Replaced(Arc<Snapshot>),
}

impl SnapshotCell {
    /// Starts with a snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: RwLock::new(Arc::new(snapshot)) }
    }

    /// The current snapshot.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        // A snapshot is immutable, so a panic elsewhere while holding the lock cannot have left half of one.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a snapshot in place; its version becomes the next one.
    pub fn replace(&self, mut snapshot: Snapshot) -> Arc<Snapshot> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        snapshot.version = current.version + 1;
        *current = Arc::new(snapshot);
        Arc::clone(&current)
    }

    /// Loads `path` and puts it in place; with an error the old snapshot stays.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn reload(&self, path: &Path, options: &LoadOptions) -> Result<Reloaded, LoadError> {
        let Loaded { snapshot, .. } = load(path, options)?;
        if snapshot.content_hash == self.load().content_hash {
            return Ok(Reloaded::Unchanged);
        }
        Ok(Reloaded::Replaced(self.replace(snapshot)))
    }
}
