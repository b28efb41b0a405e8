//! Opens the object store of a source and pins reads to the version of a file that was listed. Knows no format and no table.

pub(crate) mod fetch;
pub(crate) mod listing;
pub(crate) mod moved_files;

use crate::config::{FilesConfig, Location, S3Config};
use crate::store::moved_files::{Folder, Moved};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use querygate_types::{Error, ErrorCode, Result};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Opens the store. A local folder that does not exist is `SourceUnavailable`: it may appear later.
pub(crate) fn open(config: &FilesConfig, moved: &Arc<Moved>) -> Result<Arc<dyn ObjectStore>> {
    match &config.location {
        Location::Local { root } => match LocalFileSystem::new_with_prefix(root) {
            Ok(store) => Ok(Arc::new(Folder::new(Arc::new(store), root, Arc::clone(moved)))),
            Err(cause) => {
                let message = format!("source \"{}\" is not available", config.name);
                Err(Error::new(ErrorCode::SourceUnavailable, message).with_cause(cause))
            }
        },
        Location::S3(s3) => open_s3(&config.name, s3),
    }
}

#[cfg(feature = "s3")]
fn open_s3(name: &str, s3: &S3Config) -> Result<Arc<dyn ObjectStore>> {
    use object_store::aws::AmazonS3Builder;
    use object_store::prefix::PrefixStore;
    use object_store::{BackoffConfig, ClientOptions, RetryConfig};
    use std::time::Duration;

    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&s3.bucket)
        .with_region(s3.region.as_deref().unwrap_or("us-east-1"))
        .with_allow_http(s3.allow_http)
        .with_client_options(
            ClientOptions::new()
                .with_allow_http(s3.allow_http)
                .with_connect_timeout(Duration::from_secs(5))
                .with_timeout(Duration::from_secs(60)),
        )
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 3,
            retry_timeout: Duration::from_secs(15),
        });
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder = match (&s3.access_key_id, &s3.secret_access_key) {
        (Some(key), Some(secret)) => builder.with_access_key_id(key).with_secret_access_key(secret),
        (None, None) => builder.with_skip_signature(true),
        _ => {
            let message = format!("source \"{name}\": an access key needs its secret, and the other way round");
            return Err(Error::new(ErrorCode::ConfigInvalid, message));
        }
    };
    if let Some(token) = &s3.session_token {
        builder = builder.with_token(token);
    }
    let store = builder.build().map_err(|cause| {
        Error::new(ErrorCode::ConfigInvalid, format!("source \"{name}\": the store's settings are not valid"))
            .with_cause(cause)
    })?;
    if s3.prefix.is_empty() { Ok(Arc::new(store)) } else { Ok(Arc::new(PrefixStore::new(store, s3.prefix.as_str()))) }
}

#[cfg(not(feature = "s3"))]
fn open_s3(name: &str, _s3: &S3Config) -> Result<Arc<dyn ObjectStore>> {
    let message = format!("source \"{name}\": this build has no S3 support");
    Err(Error::new(ErrorCode::FeatureNotSupported, message)
        .with_hint("Build it with `cargo build --release --features querygate-files/s3`."))
}

/// Reads exactly the listed version of one file: a file that was rewritten in between is an error, never a mix of both.
#[derive(Debug)]
pub(crate) struct PinnedStore {
    inner: Arc<dyn ObjectStore>,
    e_tag: Option<String>,
    /// A local store reads many ranges of one open file at once, which is worth keeping.
    local: bool,
}

impl PinnedStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, meta: &ObjectMeta, local: bool) -> Self {
        Self { inner, e_tag: meta.e_tag.clone(), local }
    }

    fn options(&self) -> GetOptions {
        GetOptions { if_match: self.e_tag.clone(), ..GetOptions::default() }
    }
}

impl std::fmt::Display for PinnedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("pinned file")
    }
}

fn ranges_of(file: &File, ranges: Vec<Range<u64>>, name: &str) -> StoreResult<Vec<Bytes>> {
    let read = |range: Range<u64>| {
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok::<_, std::io::Error>(Bytes::from(bytes))
    };
    ranges.into_iter().map(read).collect::<Result<_, _>>().map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            StoreError::Precondition { path: name.to_owned(), source: "the file is shorter than it was listed".into() }
        }
        _ => StoreError::Generic { store: "file", source: Box::new(error) },
    })
}

fn read_only<T>() -> StoreResult<T> {
    Err(StoreError::NotImplemented {
        operation: "anything but reading".to_owned(),
        implementer: "pinned file".to_owned(),
    })
}

#[async_trait]
impl ObjectStore for PinnedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(location, GetOptions { if_match: self.e_tag.clone(), ..options }).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        if self.local {
            // One file for all ranges: another may have taken its name meanwhile.
            let opened = self.inner.get_opts(location, self.options()).await?;
            if let GetResultPayload::File(file, _) = opened.payload {
                let (ranges, name) = (ranges.to_vec(), location.to_string());
                // The statement's, whose memory the bytes are.
                let read = SpawnedTask::spawn_blocking(move || ranges_of(&file, ranges, &name));
                return read.await.map_err(|source| StoreError::JoinError { source })?;
            }
        }
        object_store::coalesce_ranges(
            ranges,
            |range| self.get_range(location, range),
            object_store::OBJECT_STORE_COALESCE_DEFAULT,
        )
        .await
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> StoreResult<PutResult> {
        read_only()
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> StoreResult<Box<dyn MultipartUpload>> {
        read_only()
    }

    fn delete_stream(&self, _: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        Box::pin(futures::stream::once(async { read_only() }))
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        Box::pin(futures::stream::once(async { read_only() }))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> StoreResult<ListResult> {
        read_only()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> StoreResult<()> {
        read_only()
    }
}
