//! A local folder in which files may be put elsewhere while statements read them: who listed a file before reads the same file at
//! its new place. Knows no format and no table.

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// Which folders and files are elsewhere too.
#[derive(Debug, Default)]
pub(crate) struct Moved(RwLock<Vec<(Path, Path)>>);

impl Moved {
    /// What was listed below the one may be below the other.
    pub(crate) fn add(&self, from: &Path, to: &Path) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|(known, place)| (known, place) == (from, to)) {
            all.push((from.clone(), to.clone()));
        }
    }

    /// Nothing is there any more.
    pub(crate) fn forget(&self, to: &Path) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|(_, place)| place != to);
    }

    /// Other places of a file, the latest first.
    fn places(&self, location: &Path) -> Vec<Path> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let place = |(from, to): &(Path, Path)| {
            let below = location.prefix_match(from)?;
            Some(to.parts().chain(below).collect::<Path>())
        };
        all.iter().rev().filter_map(place).collect()
    }
}

/// How often a file is looked for at each of its places: it may be put back to the one between two looks.
const LOOKS_MAX: usize = 3;

/// The folder's store.
#[derive(Debug)]
pub(crate) struct Folder {
    inner: Arc<dyn ObjectStore>,
    root: PathBuf,
    moved: Arc<Moved>,
}

impl Folder {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, root: &std::path::Path, moved: Arc<Moved>) -> Self {
        Self { inner, root: root.to_path_buf(), moved }
    }
}

/// Stands before the change time in a tag.
const CHANGED: char = '+';

/// A file's meta data with its change time in the tag: a file that is written anew may keep its inode, its size, and what is set as its
/// time, but not this one.
fn with_change_time(root: &std::path::Path, meta: ObjectMeta) -> ObjectMeta {
    let path = meta.location.parts().fold(root.to_path_buf(), |at, part| at.join(part.as_ref()));
    let Ok(found) = std::fs::metadata(path) else { return meta };
    let e_tag = meta.e_tag.as_ref().map(|tag| format!("{tag}{CHANGED}{:x}.{:x}", found.ctime(), found.ctime_nsec()));
    ObjectMeta { e_tag, ..meta }
}

/// Files whose change times are asked for in one go.
const LISTED_AT_ONCE: usize = 1_000;

/// Asks the file system, which may take its time, where no query waits for the thread.
async fn with_change_times(root: PathBuf, listed: Vec<StoreResult<ObjectMeta>>) -> Vec<StoreResult<ObjectMeta>> {
    let asked = tokio::task::spawn_blocking(move || {
        listed.into_iter().map(|meta| meta.map(|meta| with_change_time(&root, meta))).collect()
    });
    asked.await.unwrap_or_else(|source| vec![Err(StoreError::JoinError { source })])
}

/// A tag without the change time, as the store itself makes it. It is what a reader is held to: a file that is moved or linked has another
/// change time.
pub(crate) fn of_content(tag: &str) -> &str {
    tag.split(CHANGED).next().unwrap_or(tag)
}

fn of_store(options: GetOptions) -> GetOptions {
    let bare = |tag: Option<String>| tag.as_deref().map(of_content).map(str::to_owned);
    let (if_match, if_none_match) = (bare(options.if_match), bare(options.if_none_match));
    GetOptions { if_match, if_none_match, ..options }
}

impl std::fmt::Display for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Folder {
    /// Whoever asks for a version gets that version, wherever it is.
    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        let (is_pinned, options) = (options.if_match.is_some(), of_store(options));
        let mut looks = 0;
        loop {
            let error = match self.inner.get_opts(location, options.clone()).await {
                Err(error @ (StoreError::NotFound { .. } | StoreError::Precondition { .. })) => error,
                // Who is held to a version knows its tag.
                Ok(found) if !is_pinned => {
                    return Ok(GetResult { meta: with_change_time(&self.root, found.meta), ..found });
                }
                answer => return answer,
            };
            looks += 1;
            if !is_pinned || looks > LOOKS_MAX {
                return Err(error);
            }
            for place in self.moved.places(location) {
                if let Ok(found) = self.inner.get_opts(&place, options.clone()).await {
                    let meta = ObjectMeta { location: location.clone(), ..found.meta };
                    return Ok(GetResult { meta, ..found });
                }
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let root = self.root.clone();
        let listed = self.inner.list(prefix).ready_chunks(LISTED_AT_ONCE);
        listed.then(move |listed| with_change_times(root.clone(), listed)).map(stream::iter).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        let listed = self.inner.list_with_delimiter(prefix).await?;
        let objects = listed.objects.into_iter().map(Ok).collect();
        let objects = with_change_times(self.root.clone(), objects).await.into_iter().collect::<StoreResult<_>>()?;
        Ok(ListResult { objects, ..listed })
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
