//! Rows of one request off a connection's own bytes, as many as a batch takes at a time: no message is made of a row, and no task stands
//! between. Knows no pool.

use crate::connect::loan::Borrowed;
use crate::decode::Decoder;
use crate::error::{from_failure, lost};
use crate::run::charged::Charged;
use crate::wire::bind::Parameters;
use crate::wire::copied;
use crate::wire::frames::{self, Failure, Frame};
use bytes::BytesMut;
use querygate_types::wire_rows::WireForm;
use querygate_types::{Error, ErrorCode, Result, limits};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::types::Type;

/// Bytes that are read at once.
pub(crate) const INPUT_BYTES: usize = 256 * 1024;
/// Bytes of the largest message: a row with the largest cell that the server can have.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// The request's statement has no name: it is parsed for this run, and planned for its values.
const UNNAMED: &str = "";
/// Bytes of an answer after which many more are likely to come.
const PACED_AFTER: usize = 1 << 20;
/// How long a reader of many rows waits where nothing is there. A server writes some kilobytes at a time: waking for each of them would be
/// many thousand times for a table.
const PACE: Duration = Duration::from_millis(1);
/// As long at most, the longer the server says nothing.
const PACE_MAX: Duration = Duration::from_millis(16);

/// How the server wraps each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// A message each.
    Plain,
    /// COPY's binary format: a header before the first.
    CopiedFromHeader,
    Copied,
}

/// Why [`RowReader::take`] stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A batch is full.
    Full,
    /// The server has more to say.
    More,
    /// It has said all, and is at rest.
    Ended,
}

/// How the columns of a statement were described.
#[derive(Debug)]
pub(crate) enum Described {
    /// By types that are the server's own.
    Columns(Vec<Type>),
    /// Some type is the database's own, of which the client library asks.
    Unknown,
    /// The statement's own error; the connection is at rest.
    Failed(Failure),
}

/// One request at a time on a stream.
pub(crate) struct RowReader<'a> {
    source: &'a str,
    stream: Borrowed,
    /// What came and was not looked at: from `start` to `end`.
    input: Vec<u8>,
    /// The bytes of `input`.
    charged: Charged,
    start: usize,
    end: usize,
    /// Bytes that came since the last request.
    answer_bytes: usize,
    framing: Framing,
    /// A request was sent whose answer has an end.
    is_running: bool,
    /// The server said that it is complete.
    is_complete: bool,
    failure: Option<Failure>,
    /// Bytes of room that are not given back between two messages, because it may read ahead again.
    room_kept: usize,
}

impl<'a> RowReader<'a> {
    /// `charged`: of at least [`INPUT_BYTES`].
    pub(crate) fn new(source: &'a str, stream: Borrowed, charged: Charged) -> Self {
        Self {
            source,
            stream,
            input: vec![0; INPUT_BYTES],
            charged,
            start: 0,
            end: 0,
            answer_bytes: 0,
            framing: Framing::Plain,
            is_running: false,
            is_complete: false,
            failure: None,
            room_kept: INPUT_BYTES,
        }
    }

    /// Parses a statement and asks for its columns.
    ///
    /// # Errors
    /// The connection is lost, or says what it should not.
    pub(crate) async fn describe(&mut self, text: &str, parameters: &Parameters) -> Result<Described> {
        let mut request = BytesMut::new();
        frames::prepare(UNNAMED, text, parameters, &mut request)?;
        frames::flush(&mut request)?;
        self.send(&request).await?;
        loop {
            while let Some((kind, length)) = self.message()? {
                let body = self.body(length);
                let found = match kind {
                    b'T' => Some(match frames::columns(body).map_err(|_| self.broken())? {
                        Some(types) => Described::Columns(types),
                        None => Described::Unknown,
                    }),
                    b'E' => Some(Described::Failed(frames::failure(body).map_err(|_| self.broken())?)),
                    b'1' | b't' | b'N' | b'S' | b'A' => None,
                    _ => return Err(self.broken()),
                };
                self.start += length;
                match found {
                    Some(Described::Failed(failure)) if failure.is_fatal => {
                        return Err(from_failure(self.source, &failure));
                    }
                    Some(failed @ Described::Failed(_)) => {
                        self.leave().await?;
                        return Ok(failed);
                    }
                    Some(described) => return Ok(described),
                    None => {}
                }
            }
            self.fill().await?;
        }
    }

    /// Leaves what was described or refused without a run of it.
    ///
    /// # Errors
    /// The connection is lost, or says what it should not.
    pub(crate) async fn leave(&mut self) -> Result<()> {
        let mut request = BytesMut::new();
        frames::sync(&mut request)?;
        self.is_running = true;
        self.send(&request).await?;
        self.drain().await.map(drop)
    }

    /// Asks for the rows of the statement that was described.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) async fn run(&mut self, parameters: &Parameters) -> Result<()> {
        let mut request = BytesMut::new();
        frames::run(UNNAMED, parameters, WireForm::Binary, &mut request)?;
        (self.framing, self.is_running) = (Framing::Plain, true);
        self.send(&request).await
    }

    /// Whether it said that the statement failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether the server answers what it was asked to an end that can be waited for.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    /// Asks for the rows of a statement whose columns are known.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) async fn select(&mut self, text: &str, parameters: &Parameters) -> Result<()> {
        self.ask(text, parameters, Framing::Plain).await
    }

    /// Asks for the rows of a COPY in binary format.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) async fn copy(&mut self, text: &str) -> Result<()> {
        self.ask(text, &Parameters::none(), Framing::CopiedFromHeader).await
    }

    async fn ask(&mut self, text: &str, parameters: &Parameters, framing: Framing) -> Result<()> {
        let mut request = BytesMut::new();
        frames::prepare(UNNAMED, text, parameters, &mut request)?;
        frames::run(UNNAMED, parameters, WireForm::Binary, &mut request)?;
        (self.framing, self.is_running) = (framing, true);
        self.send(&request).await
    }

    /// Decodes what came, until a batch has `rows_max` rows or enough bytes.
    ///
    /// # Errors
    /// A value that its column does not hold, a failure after which nothing comes, or a message that should not be.
    pub(crate) fn take(&mut self, decoder: &mut Decoder, rows_max: usize) -> Result<Progress> {
        loop {
            if decoder.rows() >= rows_max || decoder.bytes() >= limits::BATCH_BYTES {
                return Ok(Progress::Full);
            }
            let Some((kind, length)) = self.message()? else { return Ok(Progress::More) };
            let body = self.body(length);
            match (kind, self.framing) {
                (b'D', Framing::Plain) => decoder.push_cells(body)?,
                (b'd', Framing::Copied) if body == copied::END => {}
                (b'd', Framing::Copied) => decoder.push_cells(body)?,
                (b'd', Framing::CopiedFromHeader) => {
                    let row = copied::after_header(body).ok_or_else(|| self.broken())?;
                    if !row.is_empty() && row != copied::END {
                        decoder.push_cells(row)?;
                    }
                    self.framing = Framing::Copied;
                }
                (b'E', _) => {
                    let failure = frames::failure(body).map_err(|_| self.broken())?;
                    if failure.is_fatal {
                        return Err(from_failure(self.source, &failure));
                    }
                    self.failure = Some(failure);
                }
                // CommandComplete. Rows that end without it are not all.
                (b'C', _) => self.is_complete = true,
                (b'Z', _) => {
                    if !self.is_complete && self.failure.is_none() {
                        return Err(self.broken());
                    }
                    self.is_running = false;
                    self.start += length;
                    return Ok(Progress::Ended);
                }
                // ParseComplete, ParameterDescription, RowDescription, BindComplete, NoData, CopyOutResponse, CopyDone; and at any
                // time NoticeResponse, ParameterStatus, NotificationResponse.
                (b'1' | b't' | b'T' | b'2' | b'n' | b'H' | b'c' | b'N' | b'S' | b'A', _) => {}
                _ => return Err(self.broken()),
            }
            self.start += length;
        }
    }

    /// The statement's own error, once it has ended.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Reads a statement to its end without its rows; its own error.
    ///
    /// # Errors
    /// The connection is lost, or says what it should not.
    pub(crate) async fn drain(&mut self) -> Result<Option<Failure>> {
        loop {
            while let Some((kind, length)) = self.message()? {
                if kind == b'E' {
                    self.failure = Some(frames::failure(self.body(length)).map_err(|_| self.broken())?);
                }
                self.start += length;
                if kind == b'Z' {
                    self.is_running = false;
                    return Ok(self.failure.take());
                }
            }
            self.fill().await?;
        }
    }

    /// Waits for more of what the server says.
    ///
    /// # Errors
    /// The connection is lost, or a message is larger than any row.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.read_into(INPUT_BYTES).await
    }

    /// Reads what it may say next until `bytes_max` wait to be looked at, a message of more than that has begun, or its user has no room for
    /// more, and then waits for ever. Stopped at any time, it loses nothing.
    ///
    /// # Errors
    /// As [`RowReader::fill`].
    pub(crate) async fn read_ahead(&mut self, bytes_max: usize) -> Result<Infallible> {
        self.room_kept = bytes_max.max(INPUT_BYTES);
        loop {
            let unread = self.unread().len();
            let begun = match Frame::first(self.unread()).map_err(|_| self.broken())? {
                Frame::Part(_, bytes) => bytes,
                Frame::Whole(..) | Frame::Nothing => 0,
            };
            let room = unread.saturating_mul(2).max(begun).clamp(INPUT_BYTES, bytes_max.max(INPUT_BYTES));
            if unread >= bytes_max || begun > bytes_max || self.charged.raise_to(room).is_err() {
                return pending().await;
            }
            self.read_into(room).await?;
        }
    }

    /// Waits for more, with room for this many bytes that were not looked at.
    ///
    /// # Errors
    /// As [`RowReader::fill`], and 53200: its user has no room for a message of this length.
    async fn read_into(&mut self, bytes: usize) -> Result<()> {
        self.make_room(bytes)?;
        let room = self.input.get_mut(self.end..).unwrap_or_default();
        let read = if self.answer_bytes < PACED_AFTER {
            match self.stream.stream() {
                Ok(stream) => stream.read(room).await,
                Err(error) => Err(error),
            }
        } else {
            read_paced(&mut self.stream, room).await
        };
        let read = read.map_err(|error| lost(self.source).with_cause(error))?;
        if read == 0 {
            return Err(lost(self.source).with_cause("the server closed the connection"));
        }
        self.end += read;
        self.answer_bytes = self.answer_bytes.saturating_add(read);
        Ok(())
    }

    /// The stream between two requests, back to the client library; whether it is at rest.
    pub(crate) fn give_back(self) -> bool {
        // Bytes behind the end answer no request of the client library's.
        self.start == self.end && self.stream.give_back()
    }

    async fn send(&mut self, request: &[u8]) -> Result<()> {
        let gone = |error: io::Error| lost(self.source).with_cause(error);
        let stream = self.stream.stream().map_err(gone)?;
        stream.write_all(request).await.map_err(gone)?;
        stream.flush().await.map_err(gone)?;
        (self.answer_bytes, self.is_complete) = (0, false);
        Ok(())
    }

    /// Kind and bytes of the first message, if it is there as a whole.
    fn message(&self) -> Result<Option<(u8, usize)>> {
        match Frame::first(self.unread()).map_err(|_| self.broken())? {
            Frame::Whole(kind, body) => Ok(Some((kind, Frame::bytes(body)))),
            Frame::Part(..) | Frame::Nothing => Ok(None),
        }
    }

    fn unread(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    /// The body of the first message; `length`: with its head.
    fn body(&self, length: usize) -> &[u8] {
        self.unread().get(Frame::bytes(&[])..length).unwrap_or_default()
    }

    /// Moves what was not looked at to the front, where there is room for the rest of its message.
    fn make_room(&mut self, least: usize) -> Result<()> {
        let bytes = match Frame::first(self.unread()).map_err(|_| self.broken())? {
            Frame::Part(_, bytes) => bytes,
            Frame::Whole(..) | Frame::Nothing => 0,
        };
        if bytes > MESSAGE_BYTES_MAX {
            return Err(Error::new(
                ErrorCode::ProgramLimitExceeded,
                format!("source \"{}\" has a row that is too large", self.source),
            ));
        }
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let wanted = bytes.max(least);
        if self.input.len() < wanted {
            self.charged.raise_to(wanted)?;
            self.input.reserve_exact(wanted - self.input.len());
            self.input.resize(wanted, 0);
        } else if self.input.len() > self.room_kept && self.end < self.room_kept && wanted <= self.room_kept {
            self.input.truncate(self.room_kept);
            self.input.shrink_to_fit();
            self.charged.lower_to(self.room_kept);
        }
        Ok(())
    }

    fn broken(&self) -> Error {
        lost(self.source).with_cause("a message is not what it should be")
    }
}

/// What is there is taken at once, of an encrypted stream one record at a time. Where nothing is, it looks again after a while, or waits to be
/// woken if the stream is encrypted.
async fn read_paced(stream: &mut Borrowed, room: &mut [u8]) -> io::Result<usize> {
    let Some(socket) = stream.plain()? else {
        let mut reading = pin!(stream.stream()?.read(room));
        if let Poll::Ready(read) = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
            return read;
        }
        tokio::time::sleep(PACE).await;
        return reading.await;
    };
    let mut pause = PACE;
    loop {
        // The runtime does not count what it does not watch.
        tokio::task::coop::consume_budget().await;
        if let Some(read) = socket.read_now(room)? {
            return Ok(read);
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PACE_MAX);
    }
}

#[cfg(test)]
mod tests;
