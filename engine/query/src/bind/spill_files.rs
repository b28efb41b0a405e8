//! Files of rows that are spilled while they are divided among streams: one for each batch. Several writers share a pool of files, and
//! when two of them write at once it has two that stay open. A reader who has read one up then waits for more in it, while the rows that
//! it was promised lie in the other, and the writers wait for the reader: the statement never ends, and no error can pass. A file that is
//! closed after its batch is never waited for.
//! Needed with DataFusion 55.2.0.

use datafusion::common::config::{ConfigNonZeroUsize, ExecutionOptions};

/// Has each file closed after the batch that is written into it.
pub(super) fn close_after_each_batch(options: &mut ExecutionOptions) {
    if let Ok(one_byte) = ConfigNonZeroUsize::try_new(1) {
        options.max_spill_file_size_bytes = one_byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use bytes::Bytes;
    use datafusion::common::Result;
    use datafusion::execution::disk_manager::DiskManagerBuilder;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
    use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
    use datafusion::physical_plan::spill::SpillManager;
    use datafusion::physical_plan::spill::spill_pool::mpsc_channel;
    use futures::{Stream, StreamExt, stream};
    use std::io::Write;
    use std::pin::Pin;
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    /// Files in memory. Who writes the first one waits until there is a second.
    #[derive(Default)]
    struct Files(Arc<(Mutex<usize>, Condvar)>);

    impl TempFileFactory for Files {
        fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
            let mut made = self.0.0.lock().unwrap();
            *made += 1;
            self.0.1.notify_all();
            let made_before = if *made == 1 { Some(Arc::clone(&self.0)) } else { None };
            Ok(Arc::new(InMemory { written: Arc::default(), made_before }))
        }
    }

    #[derive(Clone)]
    struct InMemory {
        written: Arc<Mutex<Vec<u8>>>,
        made_before: Option<Arc<(Mutex<usize>, Condvar)>>,
    }

    impl SpillFile for InMemory {
        fn size(&self) -> Option<u64> {
            None
        }
        fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
            let written = Arc::clone(&self.written);
            let more = move |read: usize| {
                let rest = Bytes::copy_from_slice(&written.lock().unwrap()[read..]);
                let read = read + rest.len();
                std::future::ready((!rest.is_empty()).then_some((Ok(rest), read)))
            };
            Ok(stream::unfold(0, more).boxed())
        }
        fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Write for InMemory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if let Some(files) = self.made_before.take() {
                let (made, changed) = &*files;
                let wait = |made: &mut usize| *made < 2;
                drop(changed.wait_timeout_while(made.lock().unwrap(), Duration::from_secs(10), wait).unwrap());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl SpillWriter for InMemory {
        fn finish(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn rows(number: i32) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![number])) as ArrayRef)]).unwrap()
    }

    /// How many of two batches come out that two writers put in at the same time, and who go on to write.
    async fn given(file_bytes: usize) -> usize {
        let files = Files::default();
        let made = Arc::clone(&files.0);
        let disk = DiskManagerBuilder::default().with_temp_file_factory(Arc::new(files));
        let environment = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build_arc().unwrap();
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let manager = SpillManager::new(environment, metrics, rows(0).schema());
        let (writer, mut reader) = mpsc_channel(file_bytes, Arc::new(manager));
        std::thread::scope(|scope| {
            scope.spawn(|| writer.push_batch(&rows(1)).unwrap());
            while *made.0.lock().unwrap() == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            writer.push_batch(&rows(2)).unwrap();
        });
        let mut found = 0;
        while let Ok(Some(batch)) = tokio::time::timeout(Duration::from_millis(300), reader.next()).await {
            found += batch.unwrap().num_rows();
        }
        found
    }

    #[tokio::test]
    async fn rows_of_writers_that_go_on_are_given() {
        let mut options = ExecutionOptions::default();
        let without = options.max_spill_file_size_bytes.get();
        close_after_each_batch(&mut options);
        assert_eq!(given(options.max_spill_file_size_bytes.get()).await, 2);
        assert_eq!(given(without).await, 1, "DataFusion gives them by itself now");
    }
}
