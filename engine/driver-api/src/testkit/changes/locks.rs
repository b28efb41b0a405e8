//! Several writers at a time: who waits, who fails, who skips.

use super::{Changes, REACTION, numbered};
use crate::execution::ExecuteContext;
use crate::write::{Begin, ChangeOp, CommitError, Lock, LockStrength, LockWait, Locking};
use querygate_types::{ErrorCode, Result};
use std::time::{Duration, Instant};

const fn lock(strength: LockStrength, wait: LockWait) -> Lock {
    Lock { strength, wait }
}

impl Changes {
    pub(super) async fn locks(&mut self) -> Result<()> {
        self.reset(&[(1, 10), (2, 20)]).await?;
        let mut tx = self.begin().await?;
        for strength in [LockStrength::Share, LockStrength::Update] {
            let row = self.locked(&mut tx, 1, lock(strength, LockWait::Wait)).await?;
            self.expect("a locked read gives its row", !super::unlike(&numbered(&[(1, 10)]), &row));
        }
        match self.writer()?.capabilities().locking {
            Locking::Rows => self.rows().await?,
            Locking::Source => self.whole().await?,
            Locking::Conflicts => self.conflicts().await?,
        }
        self.apply(&mut tx, ChangeOp::Update, &[(1, 11)]).await?;
        self.commit("the one with the lock", tx).await;
        self.expect_rows("after a lock", &[(1, 11), (2, 20)]).await?;
        self.clear().await
    }

    /// Row 1 is locked by another transaction.
    async fn rows(&mut self) -> Result<()> {
        let mut tx = self.begin().await?;
        let free = self.locked(&mut tx, 2, lock(LockStrength::Update, LockWait::NoWait)).await?;
        self.expect("another row is free", free.len() == 1);
        let skipped = self.locked(&mut tx, 1, lock(LockStrength::Update, LockWait::SkipLocked)).await?;
        self.expect("a locked row is skipped", skipped.is_empty());
        let refused = self.locked(&mut tx, 1, lock(LockStrength::Share, LockWait::NoWait)).await;
        self.expect_error("a locked row for whoever does not wait", &refused, ErrorCode::LockNotAvailable);
        tx.rollback().await;
        let mut tx = self.begin().await?;
        let change = self.change(ChangeOp::Update, &["medium"])?;
        let set = Self::set(&change, &numbered(&[(1, 0)]))?;
        let context = ExecuteContext::default();
        let (cancel, asked) = (context.cancel.clone(), Instant::now());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
        });
        let waited = tx.apply(&change, &set, &context).await;
        self.expect_error("a change that waits and is cancelled", &waited, ErrorCode::QueryCanceled);
        self.expect("a waiting change hears a cancel", asked.elapsed() < REACTION);
        tx.rollback().await;
        Ok(())
    }

    /// The one writer is another transaction.
    async fn whole(&mut self) -> Result<()> {
        let deadline = Some(Instant::now() + Duration::from_millis(100));
        let context = ExecuteContext { deadline, ..ExecuteContext::default() };
        let second = self.writer()?.begin(Begin::default(), &context).await;
        self.expect_error("a second writer", &second, ErrorCode::StatementTimeout);
        Ok(())
    }

    /// Row 1 is locked by another transaction, and left alone. Of two that change or lock row 2, one fails.
    async fn conflicts(&mut self) -> Result<()> {
        let (mut first, mut second) = (self.begin().await?, self.begin().await?);
        self.apply(&mut first, ChangeOp::Update, &[(2, 21)]).await?;
        let late = self.apply(&mut second, ChangeOp::Update, &[(2, 22)]).await;
        self.expect_error("a row that somebody else has changed", &late, ErrorCode::SerializationFailure);
        second.rollback().await;
        self.commit("the first", first).await;
        self.expect_rows("after a conflict", &[(1, 10), (2, 21)]).await?;
        // A lock that lasts from the read to the commit, though nothing is changed.
        let mut holder = self.begin().await?;
        self.locked(&mut holder, 2, lock(LockStrength::Update, LockWait::Wait)).await?;
        let mut other = self.begin().await?;
        let between = self.apply(&mut other, ChangeOp::Update, &[(2, 20)]).await;
        let stored = match between {
            Ok(_) => other.commit().await,
            Err(error) => Err(CommitError::RolledBack(error)),
        };
        let held = holder.commit().await;
        for (what, ended) in [("the lock", &held), ("the change of a locked row", &stored)] {
            match ended {
                Ok(()) => {}
                Err(CommitError::RolledBack(error)) if error.code() == ErrorCode::SerializationFailure => {}
                Err(error) => self.report.failures.push(format!("{what}: {error:?}")),
            }
        }
        self.expect("one of a lock and a change fails", held.is_ok() != stored.is_ok());
        // The other way round: who has seen the row before it was locked cannot change it afterwards.
        let mut early = self.begin().await?;
        self.seen(&mut early, &["id", "medium"]).await?;
        let mut holder = self.begin().await?;
        self.locked(&mut holder, 2, lock(LockStrength::Share, LockWait::Wait)).await?;
        self.commit("a lock", holder).await;
        let late = self.apply(&mut early, ChangeOp::Update, &[(2, 23)]).await;
        self.expect_error("a row that was locked meanwhile", &late, ErrorCode::SerializationFailure);
        early.rollback().await;
        let mut tx = self.begin().await?;
        self.apply(&mut tx, ChangeOp::Update, &[(2, 20)]).await?;
        self.commit("a change after locks", tx).await;
        self.expect_rows("after locks", &[(1, 10), (2, 20)]).await
    }
}
