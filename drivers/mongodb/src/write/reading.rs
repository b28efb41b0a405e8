//! Reads in a transaction, one answer of the server after the other, and how waiting for an answer ends.

use super::error::from_read;
use super::locks::Locks;
use crate::connect::pool::Lease;
use crate::documents::decode::Decoder;
use crate::documents::fetch::Question;
use crate::documents::introspect::KEY;
use crate::documents::walk;
use crate::error::unreadable;
use crate::execute::ask;
use arrow::array::RecordBatch;
use futures::StreamExt;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, RawDocument};
use mongodb::raw_batch_cursor::{RawBatch, SessionRawBatchCursor};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::execution::ending::canceled;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

/// Waits for answers, and ends the server's transaction where one must not be waited for.
#[derive(Debug)]
pub(super) struct Alarm {
    lease: Arc<Lease>,
    session: Document,
    is_running: bool,
}

impl Alarm {
    pub(super) const fn new(lease: Arc<Lease>, session: Document) -> Self {
        Self { lease, session, is_running: false }
    }

    /// Whether a call was dropped before its answer.
    pub(super) const fn is_running(&self) -> bool {
        self.is_running
    }

    /// Waits for an answer, and maps its failure. When it must end before, the server's transaction is ended.
    pub(super) async fn watch<T>(
        &mut self,
        context: &ExecuteContext,
        map: fn(&mongodb::error::Error) -> Error,
        run: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Result<T> {
        if context.cancel.is_cancelled() {
            return Err(canceled());
        }
        self.is_running = true;
        let ran = {
            let mut run = std::pin::pin!(run);
            tokio::select! {
                biased;
                ran = &mut run => Ok(ran),
                error = context.over() => Err(error),
            }
        };
        let ended = match ran {
            Ok(ran) => {
                let ended = ran.map_err(|error| map(&error));
                self.lease.note_answer(ended.as_ref().err());
                ended
            }
            Err(error) => {
                self.end().await;
                Err(error)
            }
        };
        self.is_running = false;
        ended
    }

    /// Ends the server's transaction.
    pub(super) async fn end(&self) {
        self.lease.kill(&self.session).await;
    }
}

/// What is kept of the documents' keys.
pub(super) enum Keys<'a> {
    None,
    /// Those documents are locked in this collection.
    Locked(&'a mut Locks, String),
    Listed(&'a mut Vec<Bson>),
}

/// What is asked of a collection, and what is made of the answer.
pub(super) struct ReadQuery<'a, 'c> {
    pub(super) collection: &'c str,
    pub(super) question: Question,
    pub(super) decoder: Decoder,
    pub(super) keys: Keys<'a>,
}

/// A result that is being read.
pub(super) struct Reading<'a> {
    cursor: SessionRawBatchCursor,
    session: &'a mut ClientSession,
    alarm: &'a mut Alarm,
    decoder: Decoder,
    keys: Keys<'a>,
    context: ExecuteContext,
    ready: VecDeque<RecordBatch>,
    ended: bool,
}

impl<'a> Reading<'a> {
    /// Asks the server.
    ///
    /// # Errors
    /// 40001, 55P03: others are in the way; 57014; what the server says.
    pub(super) async fn open(
        lease: &Lease,
        session: &'a mut ClientSession,
        alarm: &'a mut Alarm,
        query: ReadQuery<'a, '_>,
        context: ExecuteContext,
    ) -> Result<Self> {
        let ReadQuery { collection, question, decoder, keys } = query;
        let cursor =
            alarm.watch(&context, from_read, ask(lease, &mut *session, collection, question, &context)).await?;
        Ok(Self { cursor, session, alarm, decoder, keys, context, ready: VecDeque::new(), ended: false })
    }

    /// The next rows; none after the last.
    ///
    /// # Errors
    /// As [`open`](Self::open); a value that its column cannot hold.
    pub(super) async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() && !self.ended {
            let answer = {
                let mut answers = self.cursor.stream(&mut *self.session);
                let next = async { answers.next().await.transpose() };
                self.alarm.watch(&self.context, from_read, next).await?
            };
            match answer {
                Some(answer) => self.take(&answer)?,
                None => {
                    self.ended = true;
                    self.ready.extend(self.decoder.rest()?);
                }
            }
        }
        Ok(self.ready.pop_front())
    }

    fn take(&mut self, answer: &RawBatch) -> Result<()> {
        let batch_rows = self.context.batch_rows.max(1);
        let documents = answer.doc_slices().map_err(|error| from_read(&error))?;
        for document in walk::items(documents.as_bytes())? {
            let (kind, document) = document?;
            if kind != walk::DOCUMENT {
                return Err(Error::new(ErrorCode::SourceError, "source sent something that is no document"));
            }
            self.decoder.push(document)?;
            match &mut self.keys {
                Keys::None => {}
                Keys::Locked(locks, collection) => locks.lock(collection, key(document)?)?,
                Keys::Listed(keys) => keys.push(key(document)?),
            }
            if self.decoder.is_full(batch_rows) {
                self.ready.push_back(self.decoder.finish()?);
            }
        }
        Ok(())
    }
}

/// The key of a document.
fn key(document: &[u8]) -> Result<Bson> {
    let document = RawDocument::from_bytes(document).map_err(|error| unreadable().with_cause(error))?;
    let key = document.get(KEY).map_err(|error| unreadable().with_cause(error))?.ok_or_else(unreadable)?;
    Bson::try_from(key).map_err(|error| unreadable().with_cause(error))
}
