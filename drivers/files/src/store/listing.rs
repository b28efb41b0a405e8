//! Lists the files of a table and keeps the answer while it is fresh. Knows no column and no plan.

use crate::config::{FileFormat, FilesLimits};
use crate::error::Names;
use crate::pattern::FilePattern;
use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt};
use querygate_types::Result;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The files that match, by path. No match is an error: an empty answer would hide a moved folder.
pub(crate) async fn list(
    store: &dyn ObjectStore,
    pattern: &FilePattern,
    format: &FileFormat,
    limits: &FilesLimits,
    names: &Names,
) -> Result<Vec<ObjectMeta>> {
    let files = list_any(store, pattern, format, limits, names).await?;
    if files.is_empty() {
        return Err(names.changed(format!("no file matches below \"{}\"", pattern.base())));
    }
    Ok(files)
}

/// The files that match, by path; they may be none.
pub(crate) async fn list_any(
    store: &dyn ObjectStore,
    pattern: &FilePattern,
    format: &FileFormat,
    limits: &FilesLimits,
    names: &Names,
) -> Result<Vec<ObjectMeta>> {
    let mut files = Vec::new();
    if pattern.is_literal() && !pattern.base().as_ref().is_empty() {
        match store.head(pattern.base()).await {
            // A store under a prefix answers with the path that it has without the prefix taken off.
            Ok(meta) => files.push(ObjectMeta { location: pattern.base().clone(), ..meta }),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(names.store(&error)),
        }
    }
    if files.is_empty() {
        let mut listed = store.list(Some(pattern.base()));
        while let Some(meta) = listed.try_next().await.map_err(|e| names.store(&e))? {
            // Writers leave empty marker files; they hold no rows in any format.
            if meta.size == 0 || !pattern.matches(&meta.location, format) {
                continue;
            }
            if files.len() >= limits.files_max {
                return Err(names.too_big("the number of files of", format!("more than {} files", limits.files_max)));
            }
            files.push(meta);
        }
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

/// Whether two listings show the same versions of the same files.
pub(crate) fn same(a: &[ObjectMeta], b: &[ObjectMeta]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_file(a, b))
}

/// Whether both are the same version of one file.
pub(crate) fn same_file(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    a.location == b.location && a.size == b.size && a.last_modified == b.last_modified && a.e_tag == b.e_tag
}

/// A value that is loaded once for all who ask at the same time, and trusted for a while.
#[derive(Debug)]
pub(crate) struct Fresh<T> {
    current: Mutex<Option<(Instant, Arc<T>)>>,
    loading: tokio::sync::Mutex<()>,
    /// Set when a reader met a file that is not what the listing said.
    stale: AtomicBool,
    trusted_for: Duration,
}

/// A value that is being loaded. Where that does not come to its end, the last one is as stale as it was.
struct Pending<'a> {
    stale: &'a AtomicBool,
    was_stale: bool,
}

impl Pending<'_> {
    fn end(mut self) {
        self.was_stale = false;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.was_stale {
            self.stale.store(true, Ordering::Release);
        }
    }
}

impl<T> Fresh<T> {
    pub(crate) fn new(trusted_for: Duration) -> Self {
        Self {
            current: Mutex::new(None),
            loading: tokio::sync::Mutex::new(()),
            stale: AtomicBool::new(false),
            trusted_for,
        }
    }

    /// Forgets what is known.
    pub(crate) fn invalidate(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// The value; `load` gets the last one, which it may hand back when nothing changed.
    pub(crate) async fn ask<F, L>(&self, load: L) -> Result<Arc<T>>
    where
        F: Future<Output = Result<Arc<T>>>,
        L: FnOnce(Option<Arc<T>>) -> F,
    {
        if let (Some(value), true) = self.last() {
            return Ok(value);
        }
        let _one_at_a_time = self.loading.lock().await;
        let (last, fresh) = self.last();
        if let (Some(value), true) = (&last, fresh) {
            return Ok(Arc::clone(value));
        }
        let pending = Pending { stale: &self.stale, was_stale: self.stale.swap(false, Ordering::AcqRel) };
        let started = Instant::now();
        let value = load(last).await?;
        pending.end();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((started, Arc::clone(&value)));
        Ok(value)
    }

    /// The last value and whether it is fresh.
    pub(crate) fn last(&self) -> (Option<Arc<T>>, bool) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref() {
            Some((at, value)) => {
                let fresh = at.elapsed() < self.trusted_for && !self.stale.load(Ordering::Acquire);
                (Some(Arc::clone(value)), fresh)
            }
            None => (None, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use querygate_types::{Error, ErrorCode};

    #[tokio::test]
    async fn what_was_found_stale_is_so_until_it_is_loaded_to_the_end() {
        let fresh = Fresh::new(Duration::from_secs(3_600));
        assert_eq!(*fresh.ask(async |_| Ok(Arc::new(1))).await.unwrap(), 1);
        assert_eq!(*fresh.ask(async |_| Ok(Arc::new(2))).await.unwrap(), 1, "it is trusted");
        fresh.invalidate();
        assert!(fresh.ask(async |_| std::future::pending().await).now_or_never().is_none(), "given up");
        let failed = fresh.ask(async |_| Err(Error::new(ErrorCode::SourceError, "it does not answer"))).await;
        assert!(failed.is_err());
        assert_eq!(*fresh.ask(async |last| Ok(Arc::new(*last.unwrap() + 2))).await.unwrap(), 3);
        assert_eq!(*fresh.ask(async |_| Ok(Arc::new(4))).await.unwrap(), 3, "it is trusted");
    }
}
