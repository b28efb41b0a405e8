//! When a serving gate loads anew: somebody asked, files changed, or a source is back.

use crate::gate::{Anew, Reload, Returned, Runtimes, Watched};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// Loads anew where queries run, and tells the log.
pub(super) async fn reload(reload: &Reload, what: Anew, runtimes: &Runtimes) {
    let reload = Arc::clone(reload);
    match runtimes.query.spawn(async move { reload(what).await }).await {
        Ok(Ok(reloaded)) => reloaded.tell(),
        Ok(Err(error)) => tracing::error!(%error, "metadata not reloaded, the old one stays"),
        Err(error) => tracing::error!(%error, "metadata not reloaded, the old one stays"),
    }
}

/// Loads anew each time that it is asked for. What is asked for several times while it loads is done once more.
pub(super) async fn on_request(asked: Arc<Notify>, reload_: Reload, runtimes: Runtimes) {
    loop {
        asked.notified().await;
        reload(&reload_, Anew::Everything, &runtimes).await;
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
            reload(&reload_, Anew::Named, &runtimes).await;
        }
    }
}

/// How soon it is looked again whether files are to be looked at, while they are not.
const UNWATCHED: Duration = Duration::from_secs(2);

/// Reloads when the configuration, or a file that it names, changed. Polling, because it works on every file system and costs a `stat` a file.
pub(super) async fn watch(watched: Watched, reload_: Reload, runtimes: Runtimes) {
    let mut seen = looked(watched().0).await;
    loop {
        let (paths, interval) = watched();
        if interval.is_zero() {
            // The next reload may say that they are.
            tokio::time::sleep(UNWATCHED).await;
            seen = looked(paths).await;
            continue;
        }
        tokio::time::sleep(interval).await;
        let now = looked(watched().0).await;
        if now != seen {
            // Editors write a file in steps: wait until it rests.
            seen = now;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if looked(watched().0).await == seen {
                reload(&reload_, Anew::Everything, &runtimes).await;
            } else {
                seen.clear();
            }
        }
    }
}

/// Files that a metadata folder may hold; more are not watched.
const WATCHED_FILES_MAX: usize = 10_000;

/// Away from the threads that serve sockets: a file system may be slow, or hang.
async fn looked(paths: Vec<PathBuf>) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    tokio::task::spawn_blocking(move || fingerprint(paths)).await.unwrap_or_default()
}

/// Path, time and size of each file, and of those below each folder.
fn fingerprint(mut open: Vec<PathBuf>) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut found = Vec::new();
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
        let empty = fingerprint(vec![folder.path().to_path_buf()]);
        let file = folder.path().join("a.json");
        std::fs::write(&file, "{}").unwrap();
        let one = fingerprint(vec![folder.path().to_path_buf()]);
        std::fs::write(&file, "{ }").unwrap();
        let changed = fingerprint(vec![folder.path().to_path_buf()]);
        std::fs::remove_file(&file).unwrap();
        assert!(empty != one && one != changed);
        assert_eq!(fingerprint(vec![folder.path().to_path_buf()]), empty);
    }
}
