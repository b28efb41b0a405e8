//! Turns failures of storage and decoding into the shared error: client texts name source and table, causes name file and column.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use object_store::Error as StoreError;
use parquet::errors::ParquetError;
use querygate_types::{Error, ErrorCode};
use std::error::Error as StdError;
use std::fmt::Display;
use std::sync::Arc;

/// The shared error inside a DataFusion error, if this crate (or another driver) put one there.
#[must_use]
pub fn shared_error(error: &DataFusionError) -> Option<&Error> {
    find::<Error>(error)
}

/// Who failed, in words that a client may read.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) source: Arc<str>,
    pub(crate) table: Arc<str>,
}

impl Names {
    pub(crate) fn new(source: &str, table: &str) -> Self {
        Self { source: source.into(), table: table.into() }
    }

    /// A file does not hold what the table declares.
    pub(crate) fn unfit(&self, cause: impl Display) -> Error {
        self.error(ErrorCode::SourceSchemaChanged, "the files of", "do not fit its columns", cause)
    }

    /// A file cannot be decoded.
    pub(crate) fn broken(&self, cause: impl Display) -> Error {
        self.error(ErrorCode::SourceError, "a file of", "cannot be read", cause)
    }

    /// Files vanished or were rewritten under a statement.
    pub(crate) fn changed(&self, cause: impl Display) -> Error {
        self.error(ErrorCode::SourceError, "a file of", "vanished or changed while it was in use", cause)
            .with_hint("Run the statement again.")
    }

    /// The store does not answer or refuses.
    pub(crate) fn unavailable(&self, cause: impl Display) -> Error {
        self.error(ErrorCode::SourceUnavailable, "the store of", "is not available", cause)
    }

    /// A bound was exceeded.
    pub(crate) fn too_big(&self, what: &str, cause: impl Display) -> Error {
        self.error(ErrorCode::ProgramLimitExceeded, what, "exceeds its limit", cause)
    }

    /// Failure of the object store.
    pub(crate) fn store(&self, error: &StoreError) -> Error {
        match error {
            StoreError::NotFound { .. } | StoreError::Precondition { .. } | StoreError::NotModified { .. } => {
                self.changed(error)
            }
            StoreError::InvalidPath { .. } | StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
                self.broken(error)
            }
            // A range past the end: the file is shorter than it was when it was listed.
            other if past_the_end(other) => self.changed(error),
            _ => self.unavailable(error),
        }
    }

    /// A DataFusion error from reading; `None` where it is not about storage or decoding (a failed
    /// expression, memory, cancel), which the engine judges.
    pub(crate) fn reading(&self, error: &DataFusionError) -> Option<Error> {
        if let Some(ours) = shared_error(error) {
            return Some(ours.clone());
        }
        if let Some(store) = find::<StoreError>(error) {
            return Some(self.store(store));
        }
        if find::<ParquetError>(error).is_some() {
            return Some(self.broken(error));
        }
        match error.find_root() {
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::ExternalError(_)
                | ArrowError::ParquetError(_)
                | ArrowError::CsvError(_)
                | ArrowError::JsonError(_)
                | ArrowError::SchemaError(_)
                | ArrowError::IoError(_, _) => Some(self.broken(error)),
                _ => None,
            },
            DataFusionError::IoError(_) => Some(self.unavailable(error)),
            _ => None,
        }
    }

    fn error(&self, code: ErrorCode, what: &str, happened: &str, cause: impl Display) -> Error {
        Error::new(code, format!("{what} table \"{}\" in source \"{}\" {happened}", self.table, self.source))
            .with_cause(cause)
    }
}

/// Puts the shared error where the engine finds it.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn past_the_end(error: &StoreError) -> bool {
    match error {
        StoreError::Generic { source, .. } => {
            let text = source.to_string();
            text.contains("range") || text.contains("Range")
        }
        _ => false,
    }
}

/// The first error of type `T` in the chain.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        // An ArrowError or ParquetError inside a box may hide the cause behind its own variants.
        next = match current.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::Shared(inner)) => Some(inner.as_ref() as &(dyn StdError + 'static)),
            Some(DataFusionError::Context(_, inner)) => Some(inner.as_ref() as &(dyn StdError + 'static)),
            _ => current.source(),
        };
    }
    None
}
