//! What events are kept, where, for how long. Reads no file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Objects whose changes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objects {
    /// Each one that can be changed.
    All,
    /// These, by their names in metadata.
    Named(BTreeSet<String>),
}

impl Objects {
    /// Whether changes of an object are kept.
    #[must_use]
    pub fn has(&self, object: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(object),
        }
    }
}

/// What events are kept, where, for how long.
#[derive(Debug, Clone)]
pub struct EventOptions {
    /// Folder of the log.
    pub directory: PathBuf,
    /// Objects whose changes are kept.
    pub objects: Objects,
    /// Age at which they are forgotten.
    pub retention: Duration,
    /// Bytes of the log; the oldest are forgotten before.
    pub size_max: u64,
    /// Bytes of recent events in memory; older ones are read from the log.
    pub memory_max: usize,
    /// Bytes of rows, before and after, of one transaction in memory.
    pub transaction_max: usize,
    /// Whether nothing is committed that cannot be written down.
    pub required: bool,
    /// Followers at once.
    pub subscriptions_max: usize,
    /// Those of one user.
    pub subscriptions_per_user_max: usize,
}

impl EventOptions {
    /// Defaults for a folder.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self {
            directory,
            objects: Objects::All,
            retention: Duration::from_secs(7 * 86_400),
            size_max: 1 << 30,
            memory_max: 32 << 20,
            transaction_max: 64 << 20,
            required: true,
            subscriptions_max: 256,
            subscriptions_per_user_max: 32,
        }
    }

    /// Bytes at which another file of the log is begun.
    pub(crate) fn segment_bytes(&self) -> u64 {
        (self.size_max / 16).clamp(64 << 10, 64 << 20)
    }
}
