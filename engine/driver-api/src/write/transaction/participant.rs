//! A transaction that is a part of one of several sources: it is prepared, or leaves a marker, and ends as was decided.

use super::{AfterCommit, CommitError, SourceTransaction, Transaction, TransactionState, has_failed};
use crate::write::distributed::{GlobalId, PrepareError};
use querygate_types::{Error, ErrorCode, Result};
use std::time::Duration;

/// How long a source has to prepare, or to end what it has prepared. Then it is not known whether it did.
const SETTLE_TIME: Duration = Duration::from_secs(60);

fn late() -> Error {
    Error::new(ErrorCode::SourceLost, "source does not answer")
}

/// Undoes what is prepared.
///
/// # Errors
/// It is not known whether it is.
pub(super) async fn undone(prepared: Box<dyn SourceTransaction>) -> Result<()> {
    let answer = tokio::time::timeout(SETTLE_TIME, prepared.rollback_prepared()).await;
    answer.unwrap_or_else(|_| Err(late()))
}

impl Transaction {
    /// Prepares it: what was done is kept by the source, with its locks, and is stored by [`commit_prepared`](Self::commit_prepared)
    /// without fail. Nothing else can be done in it. Its savepoints are gone. Dropped then, it stays where it is until its id is settled.
    /// Waits for the source's answer, cancelled or not; a call that is dropped before has ended like one whose answer was lost.
    ///
    /// # Errors
    /// [`PrepareError`]. Refused: 25P02 after a failure; 0A000: the source cannot, or not what the transaction has done; a constraint
    /// that is checked only now.
    pub async fn prepare(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        let last = self.last.take();
        self.enter().map_err(PrepareError::Refused)?;
        let inner = &mut *self.inner;
        let prepared = async move {
            if let Some(last) = last {
                last.apply(&mut *inner).await.map_err(PrepareError::Refused)?;
            }
            inner.prepare(id).await
        };
        let answer = tokio::time::timeout(SETTLE_TIME, prepared).await;
        match answer.unwrap_or_else(|_| Err(PrepareError::Unknown(late()))) {
            Ok(()) => {
                self.state = TransactionState::Prepared;
                self.savepoints.clear();
                self.marks.clear();
                Ok(())
            }
            Err(PrepareError::Refused(error)) => {
                self.state = TransactionState::Failed;
                Err(PrepareError::Refused(error))
            }
            // It stays as one whose call has not ended: a rollback closes its connection.
            Err(PrepareError::Unknown(error)) => Err(PrepareError::Unknown(error)),
        }
    }

    /// Writes the marker of this id as a part of what it changes. What is left is its commit, which then is the decision for all parts,
    /// or its rollback.
    ///
    /// # Errors
    /// 40001: it was found out before, and can no longer commit; 0A000: the source cannot; 25P02 after a failure; what stands in the way
    /// of any change.
    pub async fn write_marker(&mut self, id: &GlobalId) -> Result<()> {
        let last = self.last.take();
        self.enter()?;
        let inner = &mut *self.inner;
        let written = async move {
            if let Some(last) = last {
                last.apply(&mut *inner).await?;
            }
            inner.write_marker(id).await
        };
        let written = tokio::time::timeout(SETTLE_TIME, written).await;
        // Late, it stays as one whose call has not ended.
        let Ok(written) = written else { return Err(late()) };
        self.state = if written.is_ok() { TransactionState::Marked } else { TransactionState::Failed };
        written
    }

    /// Whether it is prepared.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.state == TransactionState::Prepared
    }

    /// Stores what is prepared, as was decided.
    ///
    /// # Errors
    /// [`CommitError::Unknown`]: the answer was lost, so that its id is to be settled; what was to be done after the commit is done.
    /// [`CommitError::RolledBack`]: it was not prepared, or the source gave it up although it was.
    pub async fn commit_prepared(self) -> Result<(), CommitError> {
        if !self.is_prepared() {
            let has_failed = self.has_failed().then(has_failed);
            self.rollback().await;
            return Err(CommitError::RolledBack(has_failed.unwrap_or_else(|| Error::internal("not prepared"))));
        }
        let Self { inner, after, .. } = self;
        let answer = tokio::time::timeout(SETTLE_TIME, inner.commit_prepared()).await;
        let answer = answer.unwrap_or_else(|_| Err(CommitError::unknown(&late(), None)));
        match &answer {
            Ok(()) | Err(CommitError::Unknown(..)) => after.into_iter().for_each(AfterCommit::run),
            Err(CommitError::RolledBack(_)) => {}
        }
        answer
    }

    /// Undoes what is prepared, as was decided.
    ///
    /// # Errors
    /// It is not known whether the source did: its id is to be settled.
    pub async fn rollback_prepared(self) -> Result<()> {
        if !self.is_prepared() {
            self.rollback().await;
            return Ok(());
        }
        undone(self.inner).await
    }
}
