//! A statement that may give many rows: they are read off the connection's own bytes.

use super::{End, REST, Run};
use crate::connect::connection::Connection;
use crate::decode::Decoder;
use crate::error::{from_failure, lost};
use crate::run::charged::Charged;
use crate::run::reader::{Described, INPUT_BYTES, Progress, RowReader};
use querygate_types::{Error, ErrorCode};
use tokio_postgres::error::SqlState;

/// What became of a run off the connection's own bytes.
pub(super) enum Large {
    /// It ended, and whether the connection is at rest.
    Ended(End, bool),
    /// It has columns of the database's own types: it is run in the usual way, on a connection at rest.
    NotRead,
}

/// How far reading came.
enum Read {
    /// Nothing was: see [`Large::NotRead`].
    Nothing,
    /// The server has said all.
    AtRest(End),
    /// It may have more to say.
    Ended(End),
}

impl Run {
    /// Runs the statement. The transaction that it is to run in, if any, has begun.
    pub(super) async fn large(&self, connection: &Connection) -> Large {
        let is_lost = || Large::Ended(End::NotStarted(lost(self.pool.source())), false);
        // A statement whose last user is gone is closed by the library itself, some time later; and an error is heard before its end.
        // Answers come in order: behind this one the connection is at rest.
        if !self.has_transaction() {
            let at_rest = self.beginning(connection, async {
                connection.client.check_connection().await.map_err(|_| End::NotStarted(lost(self.pool.source())))
            });
            if let Err((end, at_rest)) = at_rest.await {
                return Large::Ended(end, at_rest);
            }
        }
        let charged = match Charged::new(self.context.room.as_ref(), INPUT_BYTES) {
            Ok(charged) => charged,
            Err(error) => return Large::Ended(End::Failed(error), true),
        };
        let Some(stream) = connection.borrow() else { return is_lost() };
        let mut reader = RowReader::new(self.pool.source(), stream, charged);
        let read = tokio::select! {
            biased;
            read = self.read(&mut reader) => read,
            end = self.stopped() => Read::Ended(end),
        };
        match read {
            Read::Nothing => match tokio::time::timeout(REST, reader.leave()).await {
                Ok(Ok(())) if reader.give_back() => Large::NotRead,
                Ok(Ok(()) | Err(_)) | Err(_) => is_lost(),
            },
            Read::AtRest(end) => Large::Ended(end, reader.give_back()),
            Read::Ended(End::Stopped(error)) if error.code() == ErrorCode::SourceLost => {
                Large::Ended(End::Stopped(error), false)
            }
            Read::Ended(end @ (End::Stopped(_) | End::Abandoned)) => {
                let is_at_rest = self.stop_reading(connection, reader).await;
                Large::Ended(end, is_at_rest)
            }
            Read::Ended(end @ (End::Complete | End::Failed(_) | End::NotStarted(_))) => Large::Ended(end, false),
        }
    }

    async fn read(&self, reader: &mut RowReader<'_>) -> Read {
        let source = self.pool.source();
        let columns = match reader.describe(&self.statement.text, &self.parameters).await {
            Ok(Described::Columns(columns)) => columns,
            Ok(Described::Unknown) => return Read::Nothing,
            Ok(Described::Failed(failure)) => return Read::AtRest(End::Failed(from_failure(source, &failure))),
            Err(error) => return Read::not_started(error),
        };
        let batch_rows = self.context.batch_rows.max(1);
        let mut decoder = match Decoder::new(source, &self.statement, columns.iter(), batch_rows) {
            Ok(decoder) => decoder,
            Err(error) => return Read::Ended(End::Stopped(error)),
        };
        if let Err(error) = reader.run(&self.parameters).await {
            return Read::not_started(error);
        }
        let mut is_first = true;
        loop {
            match reader.take(&mut decoder, batch_rows) {
                Ok(Progress::More) => match reader.fill().await {
                    Ok(()) => {}
                    Err(error) if is_first => return Read::not_started(error),
                    Err(error) => return Read::Ended(End::Stopped(error)),
                },
                Ok(Progress::Full) => {
                    is_first = false;
                    if let Some(end) = self.deliver(&mut decoder).await {
                        return Read::Ended(end);
                    }
                }
                Ok(Progress::Ended) => break,
                Err(error) => return Read::Ended(End::Stopped(error)),
            }
        }
        if let Some(failure) = reader.failure() {
            return Read::AtRest(End::Failed(from_failure(source, &failure)));
        }
        let end = if decoder.rows() > 0 { self.deliver(&mut decoder).await } else { None };
        Read::AtRest(end.map_or(End::Complete, End::behind_the_last_row))
    }

    /// Stops the server's work on the statement. True if the connection can be used again: only when the statement was seen to end by
    /// the cancel, since a cancel that comes late would hit the next one.
    async fn stop_reading(&self, connection: &Connection, mut reader: RowReader<'_>) -> bool {
        // Without a Sync behind what was asked, no answer ends. One that was canceled before, by an operator, proves nothing of the
        // cancel to come.
        let is_to_end = reader.is_running() && !reader.has_failed();
        self.pool.connector().cancel(&connection.canceler()).await;
        if !is_to_end {
            return false;
        }
        let drained = tokio::time::timeout(REST, reader.drain()).await;
        let canceled = SqlState::QUERY_CANCELED;
        let was_canceled =
            matches!(drained, Ok(Ok(Some(failure))) if failure.state == canceled.code() && !failure.is_fatal);
        was_canceled && reader.give_back()
    }
}

impl Read {
    /// Before a row came: another connection may do, if this one is lost.
    fn not_started(error: Error) -> Self {
        Self::Ended(match error.code() {
            ErrorCode::SourceLost => End::NotStarted(error),
            _ => End::Stopped(error),
        })
    }
}
