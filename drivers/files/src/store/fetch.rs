//! Reads a file front to back in bounded pieces, always of one version. Knows no format.

use crate::store::PinnedStore;
use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, Result as StoreResult};
use std::sync::Arc;

/// A forward reader with a window over the file.
pub(crate) struct Fetch {
    store: PinnedStore,
    location: Path,
    piece: u64,
    next: u64,
    end: u64,
}

impl Fetch {
    /// Reads `meta`'s file from `start` to its end.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, meta: &ObjectMeta, local: bool, start: u64) -> Self {
        // A request to a remote store costs tens of milliseconds, so its pieces are larger.
        let piece = if local { 1024 * 1024 } else { 8 * 1024 * 1024 };
        Self {
            store: PinnedStore::new(store, meta, local),
            location: meta.location.clone(),
            piece,
            next: start,
            end: meta.size,
        }
    }

    /// The next piece, `None` at the end of the file.
    pub(crate) async fn next(&mut self) -> StoreResult<Option<Bytes>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let until = self.end.min(self.next + self.piece);
        let bytes = self.store.get_range(&self.location, self.next..until).await?;
        self.next += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.is_empty() {
            let source = "the file ended before its listed size".into();
            return Err(object_store::Error::Precondition { path: self.location.to_string(), source });
        }
        Ok(Some(bytes))
    }
}

/// Lines out of pieces. A line is bounded; its end (`\n` or `\r\n`) is not part of it.
pub(crate) struct Lines {
    fetch: Fetch,
    buffer: BytesMut,
    /// How far the buffer was searched for a line end.
    searched: usize,
    /// Offset in the file of the buffer's first byte.
    offset: u64,
    finished: bool,
    line_max: usize,
}

/// Why there is no next line.
#[derive(Debug)]
pub(crate) enum LineError {
    Store(object_store::Error),
    TooLong,
}

impl Lines {
    pub(crate) fn new(fetch: Fetch, line_max: usize) -> Self {
        let offset = fetch.next;
        Self { fetch, buffer: BytesMut::new(), searched: 0, offset, finished: false, line_max }
    }

    /// The next line with the offset where it starts.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Bytes)>, LineError> {
        loop {
            let found = self.buffer[self.searched..].iter().position(|b| *b == b'\n').map(|at| at + self.searched);
            if let Some(at) = found {
                return self.take(at, at + 1).map(Some);
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.line_max {
                return Err(LineError::TooLong);
            }
            if self.finished {
                let len = self.buffer.len();
                return if len == 0 { Ok(None) } else { self.take(len, len).map(Some) };
            }
            match self.fetch.next().await.map_err(LineError::Store)? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => self.finished = true,
            }
        }
    }

    fn take(&mut self, len: usize, with_end: usize) -> Result<(u64, Bytes), LineError> {
        if len > self.line_max {
            return Err(LineError::TooLong);
        }
        let mut line = self.buffer.split_to(with_end).freeze();
        line.truncate(len);
        if line.last() == Some(&b'\r') {
            line.truncate(len - 1);
        }
        let start = self.offset;
        self.offset += u64::try_from(with_end).unwrap_or(u64::MAX);
        self.searched = 0;
        Ok((start, line))
    }
}
