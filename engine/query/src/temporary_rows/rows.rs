//! Rows of temporary tables: batches in memory, charged to their session, and batches in files where its share is used up.

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::execution::SpillFile;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use querygate_types::{Error, ErrorCode, Result};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::sync::Arc;

use crate::errors::{Stage, translate};

/// Files that the rows of one session's tables take.
const FILES_MAX: usize = 500;

/// Some rows of a table. They never change; tables, and what a transaction goes back to, share them.
pub(crate) struct Chunk {
    count: usize,
    bytes: usize,
    place: Place,
}

enum Place {
    Memory { batch: RecordBatch, _charge: MemoryReservation },
    File { file: Arc<dyn SpillFile>, schema: SchemaRef, _open: Arc<()> },
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunk").field("count", &self.count).finish_non_exhaustive()
    }
}

/// All rows of a table, in their order.
pub(crate) type Chunks = Arc<[Arc<Chunk>]>;

/// Where the rows of one session's tables go.
#[derive(Debug)]
pub(crate) struct ChunkStore {
    memory: Arc<dyn MemoryPool>,
    environment: Arc<RuntimeEnv>,
    /// One more for each file that is open.
    files: Arc<()>,
}

impl ChunkStore {
    pub(crate) fn new(memory: Arc<dyn MemoryPool>, environment: Arc<RuntimeEnv>) -> Self {
        Self { memory, environment, files: Arc::default() }
    }

    /// Room for what is noted of rows while they are changed.
    pub(crate) fn charge(&self) -> MemoryReservation {
        MemoryConsumer::new("a change of a temporary table").register(&self.memory)
    }

    /// Keeps a batch: in memory as long as the session may hold more there.
    ///
    /// # Errors
    /// 53100, 53400: files of statements may not grow any more.
    pub(crate) fn keep(&self, batch: RecordBatch) -> Result<Arc<Chunk>> {
        let (count, bytes) = (batch.num_rows(), batch.get_array_memory_size());
        let charge = MemoryConsumer::new("temporary tables").register(&self.memory);
        let place = match charge.try_grow(bytes) {
            Ok(()) => Place::Memory { batch, _charge: charge },
            Err(_) => self.spill(&batch)?,
        };
        Ok(Arc::new(Chunk { count, bytes, place }))
    }

    fn spill(&self, batch: &RecordBatch) -> Result<Place> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(ErrorCode::DiskFull, "no space left for rows of temporary tables").with_cause(error)
        };
        if Arc::strong_count(&self.files) > FILES_MAX {
            return Err(Error::new(
                ErrorCode::OutOfMemory,
                "rows of temporary tables take too much memory and too many files",
            ));
        }
        let created = self.environment.disk_manager.create_tmp_file("temporary tables");
        let file = created.map_err(|error| translate(&error, Stage::Execute))?;
        let writer = file.open_writer().map_err(|error| translate(&error, Stage::Execute))?;
        let mut writer =
            StreamWriter::try_new(BufWriter::new(writer), &batch.schema()).map_err(|error| failed(&error))?;
        writer.write(batch).and_then(|()| writer.finish()).map_err(|error| failed(&error))?;
        let mut writer = writer.into_inner().map_err(|error| failed(&error))?;
        writer.flush().map_err(|error| failed(&error))?;
        writer.get_mut().finish().map_err(|error| translate(&error, Stage::Execute))?;
        Ok(Place::File { file, schema: batch.schema(), _open: Arc::clone(&self.files) })
    }
}

impl Chunk {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// What its rows take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many, as row numbers go.
    pub(crate) fn length(&self) -> i64 {
        i64::try_from(self.count).unwrap_or(i64::MAX)
    }

    /// # Errors
    /// 58030: its file cannot be read.
    pub(crate) fn batch(&self) -> Result<RecordBatch> {
        let (file, schema) = match &self.place {
            Place::Memory { batch, .. } => return Ok(batch.clone()),
            Place::File { file, schema, .. } => (file, schema),
        };
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(ErrorCode::Internal, "rows of a temporary table cannot be read").with_cause(error)
        };
        let path = file.path().ok_or_else(|| failed(&"the file has no path"))?;
        let reader = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
        let mut reader = StreamReader::try_new(reader, None).map_err(|error| failed(&error))?;
        let batch = reader.next().ok_or_else(|| failed(&"the file is empty"))?.map_err(|error| failed(&error))?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
            .map_err(|error| failed(&error))
    }

    /// The rows of these numbers; `None` if they are all that there are.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub(crate) fn only(&self, rows: &[u32]) -> Result<Option<RecordBatch>> {
        if rows.len() == self.count {
            return Ok(None);
        }
        let rows = UInt32Array::from(rows.to_vec());
        take_record_batch(&self.batch()?, &rows).map(Some).map_err(Error::internal)
    }
}

/// How many rows there are.
pub(crate) fn count(chunks: &Chunks) -> usize {
    chunks.iter().map(|chunk| chunk.count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    /// What memory has no room for is read back from a file, whole and in order.
    #[test]
    fn rows_beyond_the_share_of_memory_are_kept_in_files() {
        let memory: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(2_000));
        let store = ChunkStore::new(Arc::clone(&memory), Arc::new(RuntimeEnv::default()));
        let batch = |from: i64| {
            let numbers = Arc::new(Int64Array::from_iter_values(from..from + 100)) as ArrayRef;
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let chunks: Vec<_> = (0..5).map(|at| store.keep(batch(at * 100)).unwrap()).collect();
        assert!(chunks.iter().any(|chunk| matches!(chunk.place, Place::Memory { .. })));
        assert!(chunks.iter().any(|chunk| matches!(chunk.place, Place::File { .. })));
        for (at, chunk) in (0..).zip(&chunks) {
            assert_eq!(chunk.batch().unwrap(), batch(at * 100));
        }
        drop(chunks);
        assert_eq!(memory.reserved(), 0);
    }
}
