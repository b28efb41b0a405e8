//! How a driver's task hands batches to the reader of its stream: a bounded channel on which only a spoken end is one.
//! Knows no source.

use crate::execution::BatchStream;
use arrow::array::RecordBatch;
use futures::{StreamExt, stream};
use querygate_types::{Error, Result};
use tokio::sync::mpsc;

/// Batches between a source and its reader: enough to overlap, few enough to bound memory.
const BATCHES_IN_FLIGHT: usize = 2;

enum Sent {
    Batch(RecordBatch),
    End,
    Failed(Error),
}

/// The task's side of a stream. A task that ends without [`Delivery::end`] (it panicked, or its runtime stopped) ends the
/// stream with an error: what came so far is not the result.
#[derive(Debug)]
pub struct Delivery {
    sender: mpsc::Sender<Sent>,
}

/// Both sides of a stream.
#[must_use]
pub fn delivery() -> (Delivery, BatchStream) {
    let (sender, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
    let batches = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver: mpsc::Receiver<Sent> = receiver?;
        match receiver.recv().await {
            Some(Sent::Batch(batch)) => Some((Ok(batch), Some(receiver))),
            Some(Sent::End) => None,
            Some(Sent::Failed(error)) => Some((Err(error), None)),
            None => Some((Err(Error::internal("reading the source ended without a word")), None)),
        }
    });
    (Delivery { sender }, batches.boxed())
}

impl Delivery {
    /// Waits for room and hands a batch over; `false`: the reader is gone.
    pub async fn batch(&self, batch: RecordBatch) -> bool {
        self.sender.send(Sent::Batch(batch)).await.is_ok()
    }

    /// Says how it ended. A receiver that is gone is no error.
    pub async fn end(self, outcome: Result<()>) {
        let last = outcome.map_or_else(Sent::Failed, |()| Sent::End);
        drop(self.sender.send(last).await);
    }

    /// Ends when the reader is gone.
    pub async fn abandoned(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use querygate_types::ErrorCode;
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        RecordBatch::new_empty(Arc::new(Schema::empty()))
    }

    #[tokio::test]
    async fn only_a_spoken_end_is_one() {
        let (delivery, mut stream) = delivery();
        assert!(delivery.batch(batch()).await);
        delivery.end(Ok(())).await;
        assert!(stream.next().await.unwrap().is_ok() && stream.next().await.is_none());

        let (delivery, mut stream) = super::delivery();
        assert!(delivery.batch(batch()).await);
        drop(delivery);
        assert!(stream.next().await.unwrap().is_ok());
        assert_eq!(stream.next().await.unwrap().unwrap_err().code(), ErrorCode::Internal);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn an_error_is_the_last_word_and_a_reader_that_left_is_noticed() {
        let (delivery, mut stream) = delivery();
        delivery.end(Err(Error::new(ErrorCode::SourceLost, "lost"))).await;
        assert_eq!(stream.next().await.unwrap().unwrap_err().code(), ErrorCode::SourceLost);
        assert!(stream.next().await.is_none());

        let (delivery, stream) = super::delivery();
        drop(stream);
        delivery.abandoned().await;
        assert!(!delivery.batch(batch()).await);
    }
}
