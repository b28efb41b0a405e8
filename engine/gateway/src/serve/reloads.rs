//! When a serving gate loads its metadata anew: files below it changed, or a source is back.

use crate::gate::{Reload, Returned, Runtimes};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub(super) async fn reload(reload: &Reload, runtimes: &Runtimes) {
    let reload = Arc::clone(reload);
    match runtimes.query.spawn(async move { reload().await }).await {
        Ok(Ok(summary)) => tracing::info!(summary, "metadata reloaded"),
        Ok(Err(error)) => tracing::error!(%error, "metadata not reloaded, the old one stays"),
        Err(error) => tracing::error!(%error, "metadata not reloaded, the old one stays"),
    }
}

/// How often sources that are away, or seem to have changed, are asked for.
const HEAL_INTERVAL: Duration = Duration::from_secs(2);

/// Reloads when a source that was away at the last load is there, or has other tables than then, so that they are found.
pub(super) async fn heal(returned: Returned, reload_: Reload, runtimes: Runtimes) {
    loop {
        tokio::time::sleep(HEAL_INTERVAL).await;
        let returned = Arc::clone(&returned);
        let asked = runtimes.query.spawn(async move { returned().await });
        if asked.await.unwrap_or(false) {
            tracing::info!("a source is back, or has changed");
            reload(&reload_, &runtimes).await;
        }
    }
}

/// Reloads when a file below `path` changed. Polling, because it works on every file system and costs a `stat` a file.
pub(super) async fn watch(path: PathBuf, interval: Duration, reload_: Reload, runtimes: Runtimes) {
    if interval.is_zero() {
        return;
    }
    let mut seen = looked(&path).await;
    loop {
        tokio::time::sleep(interval).await;
        let now = looked(&path).await;
        if now != seen {
            // Editors write a file in steps: wait until it rests.
            seen = now;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if looked(&path).await == seen {
                reload(&reload_, &runtimes).await;
            } else {
                seen.clear();
            }
        }
    }
}

/// Files that a metadata folder may hold; more are not watched.
const WATCHED_FILES_MAX: usize = 10_000;

/// Away from the threads that serve sockets: a file system may be slow, or hang.
async fn looked(path: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || fingerprint(&path)).await.unwrap_or_default()
}

/// Path, time and size of each metadata file.
fn fingerprint(path: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut found = Vec::new();
    let mut open = vec![path.to_path_buf()];
    while let Some(path) = open.pop() {
        if found.len() >= WATCHED_FILES_MAX {
            break;
        }
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if meta.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        } else {
            found.push((path, meta.modified().ok(), meta.len()));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_new_changed_and_removed_files() {
        let folder = tempfile::tempdir().unwrap();
        let empty = fingerprint(folder.path());
        let file = folder.path().join("a.json");
        std::fs::write(&file, "{}").unwrap();
        let one = fingerprint(folder.path());
        std::fs::write(&file, "{ }").unwrap();
        let changed = fingerprint(folder.path());
        std::fs::remove_file(&file).unwrap();
        assert!(empty != one && one != changed);
        assert_eq!(fingerprint(folder.path()), empty);
    }
}
