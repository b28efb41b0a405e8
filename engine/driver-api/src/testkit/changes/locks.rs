//! Several writers at a time: who waits, who fails, who skips.

use super::{Changes, REACTION, numbered};
use crate::execution::ExecuteContext;
use crate::write::{Begin, ChangeOp, Lock, LockStrength, LockWait, Locking};
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

    /// Row 1 was read, and not changed, by another transaction.
    async fn conflicts(&mut self) -> Result<()> {
        self.reset(&[(3, 30)]).await?;
        let mut first = self.begin().await?;
        let mut second = self.begin().await?;
        self.apply(&mut first, ChangeOp::Update, &[(3, 31)]).await?;
        let late = self.apply(&mut second, ChangeOp::Update, &[(3, 32)]).await;
        self.expect_error("a row that somebody else has changed", &late, ErrorCode::SerializationFailure);
        second.rollback().await;
        self.commit("the first", first).await;
        self.expect_rows("after a conflict", &[(3, 31)]).await?;
        self.reset(&[(1, 10), (2, 20)]).await
    }
}
