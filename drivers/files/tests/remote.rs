//! The remote way of reading, over a store in memory.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;
#[path = "common/remote.rs"]
mod remote;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use querygate_files::{FilesConfig, FilesSource, S3Config};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_remote_store_answers_like_a_folder() {
    // Under a prefix, as a configured bucket folder is.
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(InMemory::new(), "lake/one"));
    let config = FilesConfig { refresh: Duration::from_secs(3600), ..FilesConfig::s3("lake", S3Config::default()) };
    let source = FilesSource::with_store(config, Arc::clone(&store));
    remote::check(&source, store.as_ref()).await;
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_build_without_s3_says_so() {
    let error = FilesSource::new(FilesConfig::s3("lake", S3Config::default())).unwrap_err();
    assert_eq!(error.code(), querygate_types::ErrorCode::FeatureNotSupported);
    assert_eq!(error.hint(), Some("Build it with `cargo build --release --features querygate-files/s3`."));
}
