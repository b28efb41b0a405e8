//! New rows as new Parquet files. A transaction writes them below [`KEPT`](crate::pattern::KEPT), where no table looks; its commit
//! makes one file of them and gives that its name in the table's folder, which is one step of the file system. No file that is there
//! is ever touched.
//!
//! - [`target`]: the table as a driver: what it takes, and what stands against it;
//! - [`transaction`]: what happens between begin and commit;
//! - [`pending`]: the rows of an open transaction, which its own statements read;
//! - [`fit`]: values in the types that the files have;
//! - [`unique`]: values that no two rows share;
//! - [`room`]: the folder of one transaction, and what killed processes left.

mod fit;
mod part_file;
mod pending;
mod room;
mod target;
mod transaction;
mod unique;

pub use target::AppendTarget;

use crate::source::{FilesSource, Shared};
use querygate_types::{Error, ErrorCode, Result};

/// A failure of the file system, whose words may name paths: they are for operators.
fn unwritten(error: &std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
        _ => ErrorCode::SourceError,
    };
    Error::new(code, "new rows cannot be written to the source's folder").with_cause(error)
}

fn unsupported(message: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, message)
}

/// Runs what waits for the disk on a thread for such work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

impl FilesSource {
    /// Removes what transactions left whose process was killed before they ended.
    ///
    /// # Errors
    /// The folder's.
    pub async fn sweep(&self) -> Result<()> {
        let Some(root) = self.shared().root() else { return Ok(()) };
        blocking(move || room::sweep(&root)).await
    }
}

impl Shared {
    /// The folder of the source; `None`: it has none here.
    pub(crate) fn root(&self) -> Option<std::path::PathBuf> {
        match &self.config.location {
            crate::config::Location::Local { root } => Some(root.clone()),
            crate::config::Location::S3(_) => None,
        }
    }
}
