//! A file or folder on disk, as it is replaced: plain files and folders only. Knows no table.

use super::{failed, unsupported};
use object_store::ObjectMeta;
use object_store::path::Path;
use querygate_types::Result;
use std::collections::BTreeSet;
use std::fs::{Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path as FsPath;

/// Deepest folder.
const DEPTH_MAX: usize = 32;
/// Files and folders.
const ENTRIES_MAX: usize = 100_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Tree {
    /// Of the file or folder itself.
    pub(super) inode: u64,
    pub(super) is_file: bool,
    /// Of some file.
    pub(super) permissions: Option<Permissions>,
    /// Of the folder; of a file, who may read it may list a folder in its place.
    pub(super) of_folders: Permissions,
    /// Paths below; that of a single file is empty.
    files: BTreeSet<String>,
    /// Files without content, which writers leave as marks.
    pub(super) marks: BTreeSet<String>,
}

/// Looks at all of it.
pub(super) fn walk(top: &FsPath) -> Result<Tree> {
    let metadata = plain(top)?;
    let mut tree = Tree {
        inode: metadata.ino(),
        is_file: metadata.is_file(),
        permissions: None,
        of_folders: of_folders(&metadata),
        files: BTreeSet::new(),
        marks: BTreeSet::new(),
    };
    if tree.is_file {
        tree.permissions = Some(metadata.permissions());
        tree.files.insert(String::new());
    } else {
        tree.note(top, "", 0)?;
    }
    Ok(tree)
}

/// The number that a file or folder has wherever it is moved to.
pub(super) fn inode(path: &FsPath) -> Option<u64> {
    std::fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

fn of_folders(metadata: &Metadata) -> Permissions {
    let mode = metadata.permissions().mode();
    let lists = if metadata.is_file() { (mode & 0o444) >> 2 } else { 0 };
    Permissions::from_mode((mode & 0o777) | lists)
}

fn plain(path: &FsPath) -> Result<Metadata> {
    let metadata = std::fs::symlink_metadata(path).map_err(|error| failed("the files cannot be looked at", &error))?;
    if metadata.is_file() || metadata.is_dir() {
        return Ok(metadata);
    }
    Err(unsupported("the table has links or other things that are no files and folders"))
}

impl Tree {
    fn note(&mut self, folder: &FsPath, above: &str, depth: usize) -> Result<()> {
        if depth >= DEPTH_MAX || self.files.len() + self.marks.len() > ENTRIES_MAX {
            return Err(unsupported("the table has too many files and folders"));
        }
        let unread = |error: std::io::Error| failed("the files cannot be looked at", &error);
        for entry in std::fs::read_dir(folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(unsupported("the table has files whose names are no text"));
            };
            let below = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
            let metadata = plain(&path)?;
            if metadata.is_dir() {
                self.note(&path, &below, depth + 1)?;
            } else if metadata.len() == 0 {
                self.marks.insert(below);
            } else {
                self.permissions.get_or_insert_with(|| metadata.permissions());
                self.files.insert(below);
            }
        }
        Ok(())
    }

    /// Whether it consists of these files and of nothing else.
    pub(super) fn is_all(&self, listed: &[ObjectMeta], top: &Path) -> std::result::Result<(), String> {
        let below = |meta: &ObjectMeta| {
            let parts = meta.location.prefix_match(top)?;
            Some(parts.collect::<Path>().to_string())
        };
        let listed: Option<BTreeSet<String>> = listed.iter().map(below).collect();
        let listed = listed.unwrap_or_default();
        match self.files.symmetric_difference(&listed).next() {
            None => Ok(()),
            Some(other) => Err(format!("the folder has files that are not of this table, such as \"{other}\"")),
        }
    }
}
