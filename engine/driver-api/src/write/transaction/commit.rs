//! The commit of a transaction by itself, and what is done once it is stored.

use super::last_change::LastChange;
use super::{AfterCommit, CommitError, Fate, Transaction, TxMark, Violation, has_failed};
use querygate_types::Error;
use std::future::Future;

impl Transaction {
    /// Stores what was done. One that has failed is rolled back.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(self) -> Result<(), CommitError> {
        self.commit_asking(|_| async { None }).await
    }

    /// As [`commit`](Self::commit). Where the answer is lost, `fate` finds out what became of it, so that what is to be done after the
    /// commit is done then, too. `None`: it does not know.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit_asking<F>(self, fate: impl FnOnce(Option<TxMark>) -> F) -> Result<(), CommitError>
    where
        F: Future<Output = Option<Fate>>,
    {
        if self.has_failed() {
            self.rollback().await;
            return Err(CommitError::RolledBack(has_failed()));
        }
        if self.is_prepared() {
            let error = Error::internal("a prepared transaction was to be committed without a decision");
            return Err(CommitError::Unknown(error, None));
        }
        let Self { inner, after, last, .. } = self;
        let committed = match last {
            Some(LastChange { change, rows }) => inner.commit_after(&change, &rows).await,
            None => inner.commit().await,
        };
        if let Err(failed) = committed {
            let CommitError::Unknown(error, mark) = failed else { return Err(failed) };
            match fate(mark.clone()).await {
                Some(Fate::Committed) => {}
                Some(Fate::RolledBack) => return Err(CommitError::RolledBack(Violation::Serialization.error())),
                None => return Err(CommitError::Unknown(error, mark)),
            }
        }
        after.into_iter().for_each(AfterCommit::run);
        Ok(())
    }
}
