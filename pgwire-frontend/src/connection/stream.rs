//! Sends a stream of batches as frames: one chunk encoded, written, then the next, so that memory stays flat and a slow
//! client slows the query. Knows no portal name and no SQL.

use crate::connection::Connection;
use crate::connection::halt::{Closing, Halt};
use crate::encode::{BatchEncoder, Style};
use crate::report::Report;
use crate::wire::{Format, frame_end};
use arrow::record_batch::RecordBatch;
use futures::{FutureExt as _, StreamExt as _};
use querygate_query_api::column::Column;
use querygate_query_api::outcome::{BatchStream, CommandTag, Rows};
use querygate_types::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::encode::Shape;

/// Frames are written once this many bytes are encoded.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
/// A source that gives nothing for this long does not keep encoded rows waiting.
const LINGER: Duration = Duration::from_millis(2);

/// A result that is being read; a suspended portal keeps it.
pub(crate) struct RowSource {
    columns: Arc<[Column]>,
    formats: Vec<Format>,
    shape: Shape,
    batches: BatchStream,
    /// The batch in hand and its next row.
    current: Option<(RecordBatch, usize)>,
    /// What goes into the first row's frame before the row.
    pub(crate) lead: Option<&'static [u8]>,
    pub(crate) tag: CommandTag,
}

/// How far reading went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) rows: u64,
    pub(crate) ended: bool,
}

impl RowSource {
    /// `formats` as Bind gives them: none (text), one for all, or one per column.
    pub(crate) fn new(rows: Rows, formats: &[Format], shape: Shape) -> Result<Self, Report> {
        let columns = rows.columns.len();
        if rows.schema.fields().len() != columns {
            return Err(Error::internal("a result's columns and schema differ in length").into());
        }
        Ok(Self {
            formats: expand(formats, columns)?,
            columns: rows.columns,
            shape,
            batches: rows.batches,
            current: None,
            lead: None,
            tag: rows.tag,
        })
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }
}

/// One format per column out of the zero, one or n codes of Bind.
pub(crate) fn expand(formats: &[Format], columns: usize) -> Result<Vec<Format>, Report> {
    match formats {
        [] => Ok(vec![Format::Text; columns]),
        [all] => Ok(vec![*all; columns]),
        each if each.len() == columns => Ok(each.to_vec()),
        each => Err(Report::protocol(format!(
            "bind message has {} result formats but query has {columns} columns",
            each.len()
        ))),
    }
}

impl Connection {
    /// Encodes and sends rows, `rows_max` at most. The last chunk stays corked in `out`.
    pub(crate) async fn pump(
        &mut self,
        source: &mut RowSource,
        rows_max: Option<u64>,
        token: &CancellationToken,
    ) -> Result<Progress, Halt> {
        let style = Style::of_session(&*self.session, &source.columns)?;
        let mut rows = 0_u64;
        let ended = loop {
            let left = rows_max.map_or(usize::MAX, |max| usize::try_from(max - rows).unwrap_or(usize::MAX));
            if left == 0 {
                break false;
            }
            let Some((batch, first)) = self.batch_in_hand(source, token).await? else { break true };
            let last = batch.num_rows().min(first.saturating_add(left));
            let lead = source.lead.take();
            let encoder = BatchEncoder::new(&batch, &source.columns, &source.formats, &source.shape, &style)?;
            let encoder = encoder.led_by(lead, first);
            let mut row = first;
            while row < last {
                let next = encoder.encode(row..last, CHUNK_BYTES, &mut self.out)?;
                rows += u64::try_from(next - row).unwrap_or(u64::MAX);
                row = next;
                if self.out.len() >= CHUNK_BYTES {
                    self.send_chunk(token).await?;
                }
            }
            drop(encoder);
            if last < batch.num_rows() {
                source.current = Some((batch, last));
            }
        };
        self.shared.counts.rows(rows);
        Ok(Progress { rows, ended })
    }

    async fn batch_in_hand(
        &mut self,
        source: &mut RowSource,
        token: &CancellationToken,
    ) -> Result<Option<(RecordBatch, usize)>, Halt> {
        if let Some(current) = source.current.take() {
            return Ok(Some(current));
        }
        loop {
            if token.is_cancelled() {
                return Err(Report::canceled().into());
            }
            let next = match source.batches.next().now_or_never() {
                Some(next) => next,
                None => self.wait_for_batch(&mut source.batches, token).await?,
            };
            match next.transpose()? {
                None => return Ok(None),
                Some(batch) if batch.num_rows() == 0 => tokio::task::yield_now().await,
                Some(batch) if batch.num_columns() != source.columns.len() => {
                    return Err(Error::internal("a batch has another number of columns than its result").into());
                }
                Some(batch) => return Ok(Some((batch, 0))),
            }
        }
    }

    async fn wait_for_batch(
        &mut self,
        batches: &mut BatchStream,
        token: &CancellationToken,
    ) -> Result<Option<querygate_types::Result<RecordBatch>>, Halt> {
        if !self.out.is_empty() {
            if let Ok(next) = tokio::time::timeout(LINGER, batches.next()).await {
                return Ok(next);
            }
            self.send_chunk(token).await?;
        }
        tokio::select! {
            biased;
            next = batches.next() => Ok(next),
            () = token.cancelled() => Err(Report::canceled().into()),
            () = self.slot.kill.cancelled() => Err(self.killed().into()),
            () = self.transport.abandoned() => Err(Closing::Silently.into()),
        }
    }

    /// Writes `out`, which holds whole frames. On a cancel the frame being written is finished and the rest dropped, so
    /// that the ErrorResponse that follows is read as one.
    pub(crate) async fn send_chunk(&mut self, token: &CancellationToken) -> Result<(), Halt> {
        let mut out = std::mem::take(&mut self.out);
        let timeout = self.shared.config.write_timeout;
        let (mut written, mut canceled) = (0, false);
        while let Some(rest) = out.get(written..).filter(|rest| !rest.is_empty()) {
            let step = tokio::select! {
                biased;
                step = self.transport.write(rest, timeout) => step,
                () = self.slot.kill.cancelled() => return Err(Closing::Silently.into()),
                () = token.cancelled(), if !canceled => {
                    canceled = true;
                    out.truncate(frame_end(&out, written));
                    continue;
                }
            };
            match step {
                Ok(count) => written += count,
                Err(error) => {
                    tracing::info!(%error, "client cannot be written to");
                    return Err(Closing::Silently.into());
                }
            }
        }
        self.shared.counts.sent(written);
        if let Err(error) = self.transport.flush(timeout).await {
            tracing::info!(%error, "client cannot be written to");
            return Err(Closing::Silently.into());
        }
        out.clear();
        self.out = out;
        if canceled { Err(Report::canceled().into()) } else { Ok(()) }
    }
}
