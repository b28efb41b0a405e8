//! What the folder of a rewriting says of it, for who finds it later. Knows no file system.

use crate::store::moved_files::of_content;
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file in a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Version {
    /// Its path below what was replaced; empty for a file that is a table.
    below: String,
    size: u64,
    /// Of the local store: its inode, its size and when it was changed.
    e_tag: Option<String>,
}

impl Version {
    pub(super) fn of(meta: &ObjectMeta, top: &Path) -> Self {
        let below = meta.location.prefix_match(top).map(|parts| parts.collect::<Path>()).unwrap_or_default();
        Self {
            below: below.to_string(),
            size: meta.size,
            e_tag: meta.e_tag.as_deref().map(of_content).map(str::to_owned),
        }
    }
}

/// Which files are, or were, replaced by which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Of the suggestion.
    pub(super) id: i64,
    /// The file or folder, in the source.
    pub(super) path: String,
    /// UTC seconds.
    pub(super) since: u64,
    pub(super) old: Vec<Version>,
    /// Empty until all are written.
    pub(super) new: Vec<Version>,
    /// Of the file or folder that is replaced: wherever it is, it is the old one.
    pub(super) old_inode: u64,
}

impl Manifest {
    pub(super) fn begin(id: i64, top: &Path, listed: &[ObjectMeta], old_inode: u64) -> Self {
        let old = Self::versions(listed, top);
        Self { id, path: top.to_string(), since: now(), old, new: Vec::new(), old_inode }
    }

    pub(super) fn versions(listed: &[ObjectMeta], top: &Path) -> Vec<Version> {
        let mut versions: Vec<Version> = listed.iter().map(|meta| Version::of(meta, top)).collect();
        versions.sort();
        versions
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
