//! How a worker comes to the files of a part.

use crate::part::FileVersion;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use querygate_catalog::leaf::TableFiles;
use querygate_types::Result;
use std::sync::Arc;

/// The files of one part.
#[derive(Debug)]
pub struct PartFiles<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// Name of the table, which errors show.
    pub table: &'a str,
    pub files: &'a TableFiles,
    /// What is read: these files in these versions, and nothing else.
    pub versions: &'a [FileVersion],
}

/// Who opens files for a worker.
#[async_trait]
pub trait OpenFiles: Send + Sync {
    /// A provider of exactly these files.
    ///
    /// # Errors
    /// A source that this worker has no folder for, a file outside of the folder, a file that is not the version that was listed.
    async fn open(&self, part: PartFiles<'_>) -> Result<Arc<dyn TableProvider>>;
}
