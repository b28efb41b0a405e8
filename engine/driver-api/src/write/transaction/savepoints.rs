//! Savepoints of a transaction, and what of it is forgotten when one is gone back to.

use super::{Transaction, TransactionState, has_failed};
use querygate_types::{Error, ErrorCode, Result};

/// Savepoints of one transaction, at most.
const SAVEPOINTS_MAX: usize = 1_000;

impl Transaction {
    /// Sets a savepoint, whose id must be new.
    ///
    /// # Errors
    /// The source's; 54000: too many; 25P02 after a failure.
    pub async fn savepoint(&mut self, id: u32) -> Result<()> {
        if self.savepoints.contains(&id) {
            return Err(Error::internal("a savepoint is set twice"));
        }
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many savepoints"));
        }
        self.enter()?;
        let set = self.inner.savepoint(id).await;
        self.leave(set)?;
        self.savepoints.push(id);
        self.marks.push((self.after.len(), self.captured.len()));
        debug_assert_eq!(self.savepoints.len(), self.marks.len(), "each savepoint has its mark");
        Ok(())
    }

    /// Undoes what was done since the savepoint, which stays; those after it are gone. After a failure, the transaction goes on from
    /// there.
    ///
    /// # Errors
    /// The source's; 25P02: it has lost its savepoints.
    pub async fn rollback_to(&mut self, id: u32) -> Result<()> {
        let place = self.place(id)?;
        match self.state {
            // What was to be the decision can still be undone.
            TransactionState::Sound | TransactionState::Marked => {}
            TransactionState::Failed if self.inner.keeps_savepoints() => {}
            TransactionState::Running | TransactionState::Failed | TransactionState::Prepared => {
                return Err(has_failed());
            }
        }
        self.state = TransactionState::Running;
        let undone = self.inner.rollback_to(id).await;
        self.leave(undone)?;
        self.savepoints.truncate(place + 1);
        self.last = None;
        let (after, captured) = self.marks.get(place).copied().unwrap_or_default();
        self.after.truncate(after);
        self.captured.truncate(captured);
        self.marks.truncate(place + 1);
        debug_assert_eq!(self.savepoints.len(), self.marks.len(), "each savepoint has its mark");
        Ok(())
    }

    /// Forgets the savepoint and those after it; what was done stays.
    ///
    /// # Errors
    /// The source's; 25P02 after a failure.
    pub async fn release(&mut self, id: u32) -> Result<()> {
        let place = self.place(id)?;
        self.enter()?;
        let released = self.inner.release(id).await;
        self.leave(released)?;
        self.savepoints.truncate(place);
        self.marks.truncate(place);
        Ok(())
    }

    fn place(&self, id: u32) -> Result<usize> {
        let place = self.savepoints.iter().position(|known| *known == id);
        place.ok_or_else(|| Error::internal("a savepoint that is not set"))
    }
}
