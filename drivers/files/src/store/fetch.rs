//! Reads a file front to back in bounded pieces, always of one version: without_compression, and as UTF-8. Knows no format.

use crate::endings::{Compression, without_compression};
use crate::store::PinnedStore;
use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use bytes::{Bytes, BytesMut};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

/// Bytes of a piece that was packed.
const UNPACKED_PIECE: usize = 256 * 1024;

/// A forward reader with a window over the file.
pub(crate) struct Fetch {
    pieces: Pieces,
    /// Where the first piece starts.
    start: u64,
    text: Option<Decoder>,
}

enum Pieces {
    Plain(StoredPieces),
    Packed(Pin<Box<dyn AsyncRead + Send>>),
}

/// Why there is no next piece.
#[derive(Debug)]
pub(crate) enum FetchError {
    Store(StoreError),
    /// It is not packed or encoded as it should be.
    Text(String),
}

impl Fetch {
    /// Reads `meta`'s file from `start` to its end. A packed one is read from its beginning.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, meta: &ObjectMeta, local: bool, start: u64) -> Self {
        let compression = compression_of(&meta.location);
        let start = if compression.is_some() { 0 } else { start };
        let stored = StoredPieces::new(store, meta, local, start);
        let pieces = match compression {
            None => Pieces::Plain(stored),
            Some(Compression::Gzip) => {
                let mut decoder = GzipDecoder::new(StreamReader::new(stored.stream()));
                decoder.multiple_members(true);
                Pieces::Packed(Box::pin(decoder))
            }
            Some(Compression::Zstd) => {
                let mut decoder = ZstdDecoder::new(StreamReader::new(stored.stream()));
                decoder.multiple_members(true);
                Pieces::Packed(Box::pin(decoder))
            }
        };
        Self { pieces, start, text: None }
    }

    /// Reads the text of a file in this encoding.
    pub(crate) fn encoded(self, encoding: &'static Encoding) -> Self {
        let text = (encoding != UTF_8).then(|| encoding.new_decoder_with_bom_removal());
        Self { text, ..self }
    }

    /// The next piece, `None` at the end of the file.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            let piece = self.pieces.next().await?;
            let Some(decoder) = &mut self.text else { return Ok(piece) };
            let is_last = piece.is_none();
            let decoded = decode(decoder, piece.as_deref().unwrap_or_default(), is_last)?;
            if is_last {
                self.text = None;
            }
            if is_last || !decoded.is_empty() {
                return Ok((!decoded.is_empty()).then_some(decoded));
            }
        }
    }
}

/// How a file is packed.
pub(crate) fn compression_of(location: &Path) -> Option<Compression> {
    without_compression(location.filename()?).1
}

fn decode(decoder: &mut Decoder, piece: &[u8], last: bool) -> Result<Bytes, FetchError> {
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(piece.len()).unwrap_or(piece.len()));
    match decoder.decode_to_string_without_replacement(piece, &mut text, last).0 {
        DecoderResult::InputEmpty => Ok(Bytes::from(text)),
        DecoderResult::OutputFull | DecoderResult::Malformed(..) => {
            Err(FetchError::Text(format!("it is not encoded in {}", decoder.encoding().name())))
        }
    }
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        match self {
            Self::Plain(stored) => stored.next().await.map_err(FetchError::Store),
            Self::Packed(reader) => {
                let mut piece = BytesMut::with_capacity(UNPACKED_PIECE);
                let read = reader.read_buf(&mut piece).await.map_err(|error| match error.downcast::<StoreError>() {
                    Ok(store) => FetchError::Store(store),
                    Err(error) => FetchError::Text(format!("it cannot be decompressed: {error}")),
                })?;
                Ok((read > 0).then(|| piece.freeze()))
            }
        }
    }
}

/// Pieces as they are stored.
struct StoredPieces {
    store: PinnedStore,
    location: Path,
    piece: u64,
    next: u64,
    end: u64,
}

impl StoredPieces {
    fn new(store: Arc<dyn ObjectStore>, meta: &ObjectMeta, local: bool, start: u64) -> Self {
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

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let until = self.end.min(self.next + self.piece);
        let bytes = self.store.get_range(&self.location, self.next..until).await?;
        self.next += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.is_empty() {
            let source = "the file ended before its listed size".into();
            return Err(StoreError::Precondition { path: self.location.to_string(), source });
        }
        Ok(Some(bytes))
    }

    fn stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        let pieces = stream::try_unfold(self, |mut stored| async move {
            let piece = stored.next().await.map_err(io::Error::other)?;
            Ok(piece.map(|piece| (piece, stored)))
        });
        pieces.boxed()
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
    Fetch(FetchError),
    TooLong,
}

impl Lines {
    pub(crate) fn new(fetch: Fetch, line_max: usize) -> Self {
        let offset = fetch.start;
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
            match self.fetch.next().await.map_err(LineError::Fetch)? {
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
