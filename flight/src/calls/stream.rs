//! One result on its way to a client: a task that encodes ahead by a message or two, and a response that ends exactly as
//! the query did. A client that does not read slows the query; one that reads nothing for long ends it.

use crate::messages::encode::Encoder;
use crate::observe;
use crate::sessions::session::FlightSession;
use crate::status::status;
use crate::tickets::running::Fetch;
use arrow_flight::FlightData;
use futures::{FutureExt as _, Stream, StreamExt as _};
use querygate_query_api::holding::Holding;
use querygate_query_api::outcome::BatchStream;
use querygate_query_api::service::Session;
use querygate_types::{Error, ErrorCode, Result};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use tokio::time::Instant;
use tonic::Status;
use tracing::Instrument as _;

/// Encoded messages that wait for the client: enough to overlap encoding with sending, few enough to bound memory.
const MESSAGES_AHEAD: usize = 1;
/// How long rows of small batches wait for more. The first rows of a result wait for nothing.
const MERGE_WAIT: Duration = Duration::from_millis(20);

/// What a stream holds while it runs.
pub(crate) struct Held {
    pub(crate) fetch: Fetch,
    /// A place among the streams; given back when the stream ends.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) permit: OwnedSemaphorePermit,
    /// Keeps the session from counting as idle.
    pub(crate) owner: Arc<FlightSession>,
    /// Told when the stream fails, as a door must.
    pub(crate) engine: Arc<dyn Session>,
    pub(crate) stall_timeout: Duration,
}

/// Whether the client still takes messages. One that left early fails no transaction, as closing a portal early does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

/// A message on its way, with its charge to the user.
type Charged = (FlightData, Box<dyn Holding>);

/// The response of DoGet.
pub(crate) struct Messages {
    receiver: mpsc::Receiver<Charged>,
    /// Of the message that the client is being sent, until the next one is asked for.
    in_hand: Option<Box<dyn Holding>>,
    end: Arc<OnceLock<Result<(), Status>>>,
    over: bool,
}

/// Starts to send a result: its first message, then its batches. The query ends when the response is dropped.
pub(crate) fn send(first: FlightData, encoder: Encoder, batches: BatchStream, held: Held) -> Messages {
    let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
    let end = Arc::new(OnceLock::new());
    let (told, counted) = (Arc::clone(&end), observe::Streaming::new());
    let task = async move {
        let work = AssertUnwindSafe(pump(first, encoder, batches, &held, &sender)).catch_unwind().await;
        let outcome = work.unwrap_or_else(|_| Err(Error::internal("a result stream panicked")));
        if outcome.is_err() {
            held.engine.fail_transaction();
        }
        // Set once, here; before the channel closes, so that the reader finds it.
        let _ = told.set(outcome.map_err(|error| status(&error)));
        drop((sender, held, counted));
    };
    tokio::spawn(task.in_current_span());
    Messages { receiver, in_hand: None, end, over: false }
}

async fn pump(
    first: FlightData,
    mut encoder: Encoder,
    mut batches: BatchStream,
    held: &Held,
    sender: &mpsc::Sender<Charged>,
) -> Result<()> {
    let gathered = held.engine.holding();
    if offer(first, held, sender).await? == Reader::Gone {
        return Ok(());
    }
    // When rows that wait are sent, however few they are; until the first rows are out, at once.
    let (mut due, mut sent) = (Instant::now(), false);
    loop {
        let waits = encoder.waits();
        let next = tokio::select! {
            biased;
            () = held.fetch.cancel.cancelled() => return Err(held.owner.ended()),
            () = sender.closed() => return Ok(()),
            next = batches.next() => Some(next),
            () = tokio::time::sleep_until(due), if waits => None,
        };
        let (messages, ended) = match next {
            None => (encoder.flush()?, false),
            Some(None) => (encoder.flush()?, true),
            Some(Some(batch)) => {
                let batch = batch?;
                observe::sent(batch.num_rows(), 0);
                held.fetch.sent(batch.num_rows());
                (encoder.encode(&batch)?, false)
            }
        };
        gathered.resize(encoder.gathered_bytes())?;
        sent |= !messages.is_empty();
        if sent && (!waits || !messages.is_empty()) {
            due = Instant::now() + MERGE_WAIT;
        }
        for message in messages {
            observe::sent(0, message.data_body.len());
            if offer(message, held, sender).await? == Reader::Gone {
                return Ok(());
            }
        }
        if ended {
            held.fetch.complete();
            return Ok(());
        }
    }
}

async fn offer(message: FlightData, held: &Held, sender: &mpsc::Sender<Charged>) -> Result<Reader> {
    let charge = held.engine.holding();
    charge.resize(message.data_body.len())?;
    let sent = tokio::select! {
        biased;
        () = held.fetch.cancel.cancelled() => return Err(held.owner.ended()),
        sent = sender.send_timeout((message, charge), held.stall_timeout) => sent,
    };
    match sent {
        Ok(()) => Ok(Reader::There),
        Err(SendTimeoutError::Closed(_)) => Ok(Reader::Gone),
        Err(SendTimeoutError::Timeout(_)) => {
            Err(Error::new(ErrorCode::StatementTimeout, "the client took no message of the result for too long"))
        }
    }
}

impl Stream for Messages {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.in_hand = None;
        match self.receiver.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some((message, charge))) => {
                self.in_hand = Some(charge);
                Poll::Ready(Some(Ok(message)))
            }
            Poll::Ready(None) => {
                self.over = true;
                // A result that stopped without saying so must not look complete.
                match self.end.get() {
                    Some(Ok(())) => Poll::Ready(None),
                    Some(Err(status)) => Poll::Ready(Some(Err(status.clone()))),
                    None => Poll::Ready(Some(Err(status(&Error::internal("a result stream ended without a word"))))),
                }
            }
        }
    }
}
