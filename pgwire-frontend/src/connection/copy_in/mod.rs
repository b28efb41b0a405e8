//! COPY … FROM STDIN: takes the client's data, hands it on as batches of rows and says what became of them. A session that stores more
//! slowly than the client sends makes the client wait; nothing piles up. Knows no statement.

mod batch;
mod binary;
mod cells;
mod column_builder;
mod decoder;
mod fields;
mod lines;
mod places;

use crate::connection::guard::CANCEL_PATIENCE;
use crate::connection::halt::{Closing, Halt};
use crate::connection::{Connection, kind};
use crate::decode::session_zone;
use crate::report::{Report, write_notice};
use crate::wire::{Format, FrameLimits, Message, Phase, Writer, next_message};
use arrow::array::RecordBatch;
use decoder::Decoder;
use futures::future::BoxFuture;
use futures::stream::unfold;
use futures::{FutureExt as _, StreamExt as _};
use places::Places;
use querygate_query_api::holding::Holding;
use querygate_query_api::outcome::{CommandTag, CopyFormat, Notice};
use querygate_query_api::requests::ingest::CopyIn;
use querygate_query_api::service::Prepared;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Batches that wait to be stored.
const BATCHES_AHEAD: usize = 2;
/// Steps in which what is held is charged.
const CHARGE_STEP: usize = 256 << 10;

/// The rows on their way, and who stores them.
struct Feed<'a> {
    rows: mpsc::Sender<Result<RecordBatch>>,
    places: Places,
    stored: BoxFuture<'a, Result<u64>>,
}

impl Connection {
    pub(crate) async fn copy_in(
        &mut self,
        prepared: &Arc<dyn Prepared>,
        copy: CopyIn,
        token: &CancellationToken,
    ) -> std::result::Result<(), Halt> {
        let types: Vec<_> = copy.columns.iter().map(|column| column.pg_type).collect();
        let zone = session_zone(&*self.session, &types)?;
        let format = if copy.options.format == CopyFormat::Binary { Format::Binary } else { Format::Text };
        self.out.copy_in_response(copy.columns.len(), format);
        self.send_chunk(token).await?;
        let session = Arc::clone(&self.session);
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let rows = unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|rows| (rows, receiver)) });
        let places = Places::new(&copy.table);
        let of_rows = places.clone();
        let stored = session.ingest(prepared, rows.boxed());
        let stored = stored.map(move |stored| stored.map_err(|error| of_rows.told(error))).boxed();
        let mut feed = Feed { rows: sender, places, stored };
        let mut decoder = Decoder::new(copy, zone);
        let holding = session.holding();
        self.feed(&mut decoder, &mut feed, &*holding, token).await?;
        // Only a stream that ends is stored: one that is left before is dropped.
        let Feed { rows, stored, .. } = feed;
        drop(rows);
        let count = self.guard().run(token, stored).await?;
        self.take_effects();
        if let Some(summary) = decoder.summary() {
            write_notice(&notice(summary), &mut self.out);
        }
        self.complete(&CommandTag::Counted("COPY"), count)
    }

    /// Reads data and hands it on until the client says that it is all.
    async fn feed(
        &mut self,
        decoder: &mut Decoder,
        feed: &mut Feed<'_>,
        holding: &dyn Holding,
        token: &CancellationToken,
    ) -> std::result::Result<(), Halt> {
        let mut charged = 0;
        loop {
            let is_all = match self.next_copy_message(feed, token).await? {
                Message::CopyData(data) => {
                    decoder.push(&data);
                    false
                }
                Message::CopyDone => true,
                Message::CopyFail(reason) => {
                    let error = Error::new(ErrorCode::QueryCanceled, format!("COPY from stdin failed: {reason}"));
                    return Err(self.refuse(feed, error.with_context(decoder.place()), token).await);
                }
                // libpq and drivers send them behind Execute, before they know that data is wanted.
                Message::Flush | Message::Sync => continue,
                Message::Terminate => return Err(Closing::Silently.into()),
                Message::Query(_)
                | Message::Parse(_)
                | Message::Bind(_)
                | Message::Describe(_)
                | Message::Execute { .. }
                | Message::Close(_)
                | Message::FunctionCall
                | Message::Authentication(_) => {
                    let error =
                        Error::new(ErrorCode::ProtocolViolation, "unexpected message type during COPY from stdin");
                    return Err(self.refuse(feed, error.with_context(decoder.place()), token).await);
                }
            };
            let held = decoder.bytes() / CHARGE_STEP * CHARGE_STEP;
            if held != charged {
                if let Err(error) = holding.resize(held) {
                    return Err(self.refuse(feed, error, token).await);
                }
                charged = held;
            }
            loop {
                let next = decoder.next(is_all);
                let notices = decoder.take_notices();
                if !notices.is_empty() {
                    notices.into_iter().for_each(|text| write_notice(&notice(text), &mut self.out));
                    self.send_chunk(token).await?;
                }
                match next {
                    Ok(Some((batch, lines))) => {
                        feed.places.remember(lines);
                        decoder.progress().add_rows(batch.num_rows());
                        self.hand(feed, Ok(batch), token).await?;
                    }
                    Ok(None) => break,
                    Err(error) => return Err(self.refuse(feed, error, token).await),
                }
            }
            if is_all {
                return Ok(());
            }
        }
    }

    /// Hands a batch, or the reason why there is none, to the session.
    async fn hand(
        &mut self,
        feed: &mut Feed<'_>,
        rows: Result<RecordBatch>,
        token: &CancellationToken,
    ) -> std::result::Result<(), Halt> {
        let Feed { rows: sender, stored, .. } = feed;
        let step = async {
            tokio::select! {
                biased;
                stored = stored => Err(early(stored)),
                sent = sender.send(rows) => sent.map_err(|_| Error::internal("rows to store were left lying")),
            }
        };
        self.guard().run(token, step).await
    }

    /// Takes everything back for a reason, which is what the client hears once it is done.
    async fn refuse(&mut self, feed: &mut Feed<'_>, error: Error, token: &CancellationToken) -> Halt {
        if let Err(halt) = self.hand(feed, Err(error), token).await {
            return halt;
        }
        match self.guard().run(token, &mut feed.stored).await {
            Ok(_) => Error::internal("rows were stored in spite of an error in them").into(),
            Err(halt) => halt,
        }
    }

    async fn next_copy_message(
        &mut self,
        feed: &mut Feed<'_>,
        token: &CancellationToken,
    ) -> std::result::Result<Message, Halt> {
        let limits = FrameLimits::new(self.shared.config.frame_bytes_max);
        loop {
            match next_message(&mut self.input, Phase::Session, limits) {
                Ok(Some(Ok(message))) => {
                    self.shared.counts.message(kind(&message));
                    return Ok(message);
                }
                // Its content is refused elsewhere; here, no such message is awaited.
                Ok(Some(Err(_))) => return Ok(Message::FunctionCall),
                Ok(None) => {}
                Err(error) => return Err(Closing::Saying(error.into()).into()),
            }
            self.charge_input()?;
            tokio::select! {
                biased;
                () = self.slot.kill.cancelled() => {
                    self.session.cancel();
                    return Err(self.killed().into());
                }
                stored = &mut feed.stored => return Err(early(stored).into()),
                () = token.cancelled() => {
                    return Err(match tokio::time::timeout(CANCEL_PATIENCE, &mut feed.stored).await {
                        Ok(stored) => early(stored).into(),
                        Err(_) => Report::canceled().into(),
                    });
                }
                read = self.transport.read(&mut self.input) => match read {
                    Ok(0) | Err(_) => return Err(Closing::Silently.into()),
                    Ok(bytes) => self.shared.counts.received(bytes),
                },
            }
        }
    }
}

/// Why the session does not wait for more.
fn early(stored: Result<u64>) -> Error {
    stored.err().unwrap_or_else(|| Error::internal("rows were stored before they were all there"))
}

fn notice(message: String) -> Notice {
    Notice { severity: "NOTICE", sqlstate: "00000".to_owned(), message, hint: None }
}
