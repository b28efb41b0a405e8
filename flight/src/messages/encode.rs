//! Batches to Flight messages: the promised schema first, then rows in messages of half a megabyte to one, however the
//! engine cut them. Knows no query and no client.
//!
//! arrow-flight's own encoder measures a batch by the memory behind it, which counts shared buffers once per column, and
//! turns a large list into a list; so the messages are made here, from the same IPC generator.

use crate::messages::merge::{MESSAGE_BYTES, MESSAGE_ROWS, Merger, wire_bytes};
use crate::messages::wire::to_wire;
use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow::record_batch::RecordBatch;
use arrow_flight::{FlightData, IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use querygate_types::{Error, Result};

/// What compresses message bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Compression {
    #[default]
    None,
    Lz4,
    Zstd,
}

impl Compression {
    /// By the name that clients ask with; `None` for a name that is not served.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "none" | "" => Some(Self::None),
            "lz4" | "lz4_frame" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Encodes the batches of one stream.
pub(crate) struct Encoder {
    schema: SchemaRef,
    options: IpcWriteOptions,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    merger: Merger,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder of batches that have, or cast to, `schema`, and the stream's first message.
    pub(crate) fn new(schema: SchemaRef, compression: Compression) -> Result<(Self, FlightData)> {
        let kind = match compression {
            Compression::None => None,
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
            Compression::Zstd => Some(CompressionType::ZSTD),
        };
        let options = IpcWriteOptions::default().try_with_compression(kind).map_err(Error::internal)?;
        let generator = IpcDataGenerator::default();
        let mut dictionaries = DictionaryTracker::new(false);
        let first = generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut dictionaries, &options).into();
        let merger = Merger::new(&schema);
        Ok((Self { schema, options, generator, dictionaries, context: IpcWriteContext::default(), merger }, first))
    }

    /// Takes a batch and gives the messages that are full now, in order. Rows of small batches wait for more.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>> {
        let batch = to_wire(batch, &self.schema)?;
        let full = self.merger.push(batch);
        self.messages(&full)
    }

    /// The messages of the rows that wait.
    pub(crate) fn flush(&mut self) -> Result<Vec<FlightData>> {
        let rest = self.merger.flush();
        self.messages(&rest)
    }

    /// Bytes of the rows that wait.
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.merger.bytes()
    }

    /// Whether rows wait.
    pub(crate) fn waits(&self) -> bool {
        self.merger.waits()
    }

    fn messages(&mut self, batches: &[RecordBatch]) -> Result<Vec<FlightData>> {
        let mut messages = Vec::with_capacity(batches.len());
        for batch in batches {
            self.slices(batch, &mut messages)?;
        }
        Ok(messages)
    }

    fn slices(&mut self, batch: &RecordBatch, messages: &mut Vec<FlightData>) -> Result<()> {
        let rows = rows_per_message(batch);
        let mut offset = 0;
        while offset < batch.num_rows() {
            let slice = batch.slice(offset, rows.min(batch.num_rows() - offset));
            offset += slice.num_rows();
            let (dictionaries, data) = self
                .generator
                .encode(&slice, &mut self.dictionaries, &self.options, &mut self.context)
                .map_err(Error::internal)?;
            messages.extend(dictionaries.into_iter().map(FlightData::from));
            messages.push(data.into());
        }
        Ok(())
    }
}

/// Rows of each message of a batch: as few messages as its bytes and rows allow, all of them alike.
fn rows_per_message(batch: &RecordBatch) -> usize {
    let rows = batch.num_rows();
    let messages = wire_bytes(batch).div_ceil(MESSAGE_BYTES).max(rows.div_ceil(MESSAGE_ROWS)).max(1);
    rows.div_ceil(messages).max(1)
}

/// A schema as FlightInfo and SchemaResult carry it: an encapsulated IPC message.
pub(crate) fn schema_bytes(schema: &arrow::datatypes::Schema) -> Result<Bytes> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(Error::internal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, LargeListArray, StringArray, StringViewArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Int32Type, Schema};
    use arrow_flight::decode::FlightRecordBatchStream;
    use futures::{TryStreamExt as _, stream};
    use std::sync::Arc;

    fn sample(rows: usize) -> RecordBatch {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from_iter((0_i64..).take(rows).map(|n| (n % 7 != 0).then_some(n))));
        let texts: ArrayRef =
            Arc::new(StringViewArray::from_iter_values((0..rows).map(|n| format!("row number {n} of all"))));
        let words: DictionaryArray<Int32Type> = (0..rows).map(|n| ["red", "green", "blue"][n % 3]).collect();
        let lists: LargeListArray = LargeListArray::from_iter_primitive::<Int32Type, _, _>(
            (0_i32..).take(rows).map(|n| Some(vec![Some(n % 5)])),
        );
        RecordBatch::try_from_iter([
            ("n", numbers),
            ("t", texts),
            ("w", Arc::new(words) as ArrayRef),
            ("l", Arc::new(lists) as ArrayRef),
        ])
        .unwrap()
    }

    async fn round_trip(
        batches: &[RecordBatch],
        schema: &SchemaRef,
        compression: Compression,
    ) -> (Vec<RecordBatch>, usize) {
        let (mut encoder, first) = Encoder::new(Arc::clone(schema), compression).unwrap();
        let mut messages = vec![first];
        for batch in batches {
            messages.extend(encoder.encode(batch).unwrap());
        }
        messages.extend(encoder.flush().unwrap());
        let largest = messages.iter().map(|m| m.data_body.len()).max().unwrap();
        let decoded = FlightRecordBatchStream::new_from_flight_data(stream::iter(messages.into_iter().map(Ok)));
        (decoded.try_collect().await.unwrap(), largest)
    }

    #[tokio::test]
    async fn what_arrives_is_what_was_promised_in_messages_of_a_bounded_size() {
        let batch = sample(200_000);
        let schema = crate::messages::wire::wire_schema(&batch.schema());
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let (received, largest) =
                round_trip(&[batch.slice(0, 70_000), batch.slice(70_000, 130_000)], &schema, compression).await;
            assert!(received.iter().all(|b| b.schema() == schema), "{:?}", received[0].schema());
            assert!(
                received.len() > 5 && largest < 3 * MESSAGE_BYTES / 2,
                "{} messages, largest {largest}",
                received.len()
            );
            let together = concat_batches(&schema, &received).unwrap();
            assert_eq!(together, to_wire(&batch, &schema).unwrap());
        }
    }

    #[tokio::test]
    async fn crumbs_travel_together_and_dictionaries_stay() {
        let batch = sample(120_000);
        let schema = crate::messages::wire::wire_schema(&batch.schema());
        let crumbs: Vec<RecordBatch> = (0..120_000).step_by(100).map(|at| batch.slice(at, 100)).collect();
        let (received, largest) = round_trip(&crumbs, &schema, Compression::None).await;
        let rows: Vec<usize> = received.iter().map(RecordBatch::num_rows).collect();
        assert!(received.len() < 20 && largest <= MESSAGE_BYTES, "{rows:?}, largest {largest}");
        assert!(rows[..rows.len() - 1].iter().all(|rows| *rows >= 8_192), "{rows:?}");
        assert_eq!(schema.field(2).data_type().to_string(), "Dictionary(Int32, Utf8)");
        assert_eq!(concat_batches(&schema, &received).unwrap(), to_wire(&batch, &schema).unwrap());
    }

    #[tokio::test]
    async fn a_large_batch_is_cut_into_equal_messages() {
        let wide: ArrayRef = Arc::new(StringArray::from_iter_values((0..12_000).map(|_| "x".repeat(96))));
        let batch = RecordBatch::try_from_iter([("t", wide)]).unwrap();
        let (received, _) = round_trip(std::slice::from_ref(&batch), &batch.schema(), Compression::None).await;
        assert_eq!(received.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [6_000, 6_000]);
    }

    #[tokio::test]
    async fn a_small_slice_of_a_large_buffer_is_a_small_message() {
        let wide: ArrayRef = Arc::new(StringArray::from_iter_values((0..100_000).map(|n| n.to_string().repeat(20))));
        let batch = RecordBatch::try_from_iter([("t", wide)]).unwrap();
        let (received, largest) = round_trip(&[batch.slice(50_000, 10)], &batch.schema(), Compression::None).await;
        assert_eq!((received.len(), received[0].num_rows()), (1, 10));
        assert!(largest < 4_096, "{largest}");
    }

    #[tokio::test]
    async fn no_columns_and_no_rows_pass() {
        let schema = Arc::new(Schema::empty());
        let (received, _) = round_trip(&[], &schema, Compression::None).await;
        assert!(received.is_empty());
    }
}
