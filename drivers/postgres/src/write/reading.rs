//! Rows that a transaction reads, one batch at a time. The connection is the transaction's own.

use super::transaction::PostgresTransaction;
use crate::decode::Decoder;
use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::try_unfold;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Rows;
use querygate_types::{Result, limits};
use std::pin::Pin;
use tokio_postgres::RowStream;

/// A result that is being read. Dropped before its end, the server ends it before the next statement begins.
pub(super) struct Reading<'a> {
    tx: &'a mut PostgresTransaction,
    rows: Pin<Box<RowStream>>,
    decoder: Decoder,
    context: ExecuteContext,
    ended: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        tx: &'a mut PostgresTransaction,
        rows: RowStream,
        decoder: Decoder,
        context: ExecuteContext,
    ) -> Self {
        Self { tx, rows: Box::pin(rows), decoder, context, ended: false }
    }

    pub(super) fn stream(self) -> Rows<'a> {
        try_unfold(self, |mut reading| async move {
            let batch = reading.batch().await?;
            Ok(batch.map(|batch| (batch, reading)))
        })
        .boxed()
    }

    async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let batch_rows = self.context.batch_rows.max(1);
        while !self.ended && self.decoder.rows() < batch_rows && self.decoder.bytes() < limits::BATCH_BYTES {
            let row = tokio::select! {
                biased;
                error = self.context.over() => {
                    let rows = &mut self.rows;
                    let rest = async {
                        while let Some(row) = rows.next().await {
                            row?;
                        }
                        Ok(())
                    };
                    self.tx.stop(rest).await;
                    return Err(error);
                }
                row = self.rows.next() => row,
            };
            match row {
                Some(Ok(row)) => self.decoder.push(&row)?,
                Some(Err(error)) => return Err(self.tx.failed(&error)),
                None => self.ended = true,
            }
        }
        if self.decoder.rows() == 0 { Ok(None) } else { self.decoder.finish().map(Some) }
    }
}
