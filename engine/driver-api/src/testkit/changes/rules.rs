//! What the source's own rules refuse, and what is left afterwards: counts, unique keys, savepoints, failed transactions, loads.

use super::{Changes, batch, numbered};
use crate::execution::ExecuteContext;
use crate::value::ValueType;
use crate::write::{ChangeOp, ChangeShape, CommitError, Transaction, Violation};
use futures::{StreamExt, stream};
use querygate_types::{Error, ErrorCode, Result};
use std::time::{Duration, Instant};

/// More than one batch, and more than one statement.
const LOADED: i64 = 20_000;

impl Changes {
    pub(super) async fn rules(&mut self) -> Result<()> {
        self.counts().await?;
        self.unique().await?;
        self.savepoints().await?;
        self.last_changes().await?;
        self.loads().await?;
        self.clear().await
    }

    async fn counts(&mut self) -> Result<()> {
        self.reset(&[(1, 10), (2, 20)]).await?;
        for (op, rows) in [(ChangeOp::Update, [(1, 11), (3, 30)]), (ChangeOp::Delete, [(1, 0), (3, 0)])] {
            let mut tx = self.begin().await?;
            let missed = self.apply(&mut tx, op, &rows).await;
            self.expect_error(&format!("{op:?} of a row that is not there"), &missed, ErrorCode::SerializationFailure);
            let after = self.apply(&mut tx, ChangeOp::Update, &[(1, 12)]).await;
            self.expect_error("a change after a failure", &after, ErrorCode::InFailedTransaction);
            self.refuses_commit("after a failure", tx).await;
        }
        self.expect_rows("after changes that missed a row", &[(1, 10), (2, 20)]).await?;
        let mut tx = self.begin().await?;
        let none = self.apply(&mut tx, ChangeOp::Update, &[]).await?;
        self.expect("no rows are no change", none.count == 0 && none.stored.is_empty());
        let one = self.apply(&mut tx, ChangeOp::Delete, &[(2, 0)]).await?;
        self.expect(
            "one row is counted and given back",
            one.count == 1 && one.stored.iter().any(|b| b.num_rows() == 1),
        );
        self.commit("delete", tx).await;
        self.expect_rows("after a delete", &[(1, 10)]).await
    }

    /// A commit of what has failed is a rollback, and says so.
    async fn refuses_commit(&mut self, what: &str, tx: Transaction) {
        match tx.commit().await {
            Err(CommitError::RolledBack(error)) if error.code() == ErrorCode::InFailedTransaction => {}
            other => self.report.failures.push(format!("commit {what}: {other:?}")),
        }
    }

    async fn unique(&mut self) -> Result<()> {
        self.reset(&[(1, 10)]).await?;
        let mut tx = self.begin().await?;
        let twice = self.apply(&mut tx, ChangeOp::Insert, &[(2, 20), (1, 11)]).await;
        self.expect_error("a key that is there", &twice, ErrorCode::UniqueViolation);
        if let Err(error) = &twice {
            let plain = Violation::Unique.error();
            let told = (error.message(), error.detail(), error.hint());
            self.expect("it names nothing", told == (plain.message(), None, None));
        }
        tx.rollback().await;
        let mut tx = self.begin().await?;
        let itself = self.apply(&mut tx, ChangeOp::Insert, &[(5, 1), (5, 2)]).await;
        self.expect_error("a key that comes twice", &itself, ErrorCode::UniqueViolation);
        tx.rollback().await;
        self.expect_rows("after keys that were there", &[(1, 10)]).await
    }

    async fn savepoints(&mut self) -> Result<()> {
        if !self.writer()?.capabilities().savepoints {
            return Ok(());
        }
        self.clear().await?;
        let mut tx = self.begin().await?;
        tx.savepoint(1).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(1, 1)]).await?;
        tx.savepoint(2).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(2, 2)]).await?;
        tx.rollback_to(2).await?;
        let seen = self.seen(&mut tx, &["id", "medium"]).await?;
        self.expect("a savepoint undoes what came after it", !super::unlike(&numbered(&[(1, 1)]), &seen));
        self.apply(&mut tx, ChangeOp::Insert, &[(3, 3)]).await?;
        let twice = self.apply(&mut tx, ChangeOp::Insert, &[(4, 4), (1, 0)]).await;
        self.expect_error("a key that the transaction stored", &twice, ErrorCode::UniqueViolation);
        tx.rollback_to(2).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(5, 5)]).await?;
        tx.release(1).await?;
        self.expect("savepoints after a released one are gone", tx.rollback_to(2).await.is_err());
        self.commit("savepoints", tx).await;
        self.expect_rows("after savepoints", &[(1, 1), (5, 5)]).await
    }

    /// What is to be stored with the commit.
    fn last(&self, tx: &mut Transaction, op: ChangeOp, rows: &[(i64, i32)]) -> Result<()> {
        let shape = self.change(op, &["medium"])?.shape.clone();
        let change = self.writer()?.render_change(&ChangeShape { returning: Vec::new(), ..shape });
        let change = change.map_err(Error::internal)?;
        let rows = Self::set(&change, &numbered(rows))?;
        tx.change_last(change, rows)
    }

    /// A change that comes with the commit is stored with what came before it, or neither is.
    async fn last_changes(&mut self) -> Result<()> {
        self.reset(&[(1, 10)]).await?;
        let mut tx = self.begin().await?;
        self.apply(&mut tx, ChangeOp::Update, &[(1, 11)]).await?;
        self.last(&mut tx, ChangeOp::Insert, &[(2, 20), (3, 30)])?;
        self.expect_rows("before a last change", &[(1, 10)]).await?;
        let behind = self.apply(&mut tx, ChangeOp::Insert, &[(9, 9)]).await;
        self.expect_error("a change behind the last one", &behind, ErrorCode::Internal);
        self.expect("there is one last change", self.last(&mut tx, ChangeOp::Insert, &[(9, 9)]).is_err());
        self.commit("a last change", tx).await;
        let stored = [(1, 11), (2, 20), (3, 30)];
        self.expect_rows("after a last change", &stored).await?;
        let refused = [
            (ChangeOp::Insert, (3, 0), ErrorCode::UniqueViolation),
            (ChangeOp::Update, (7, 0), ErrorCode::SerializationFailure),
        ];
        for (op, row, code) in refused {
            let mut tx = self.begin().await?;
            self.apply(&mut tx, ChangeOp::Update, &[(1, 12)]).await?;
            self.last(&mut tx, op, &[row])?;
            match tx.commit().await {
                Err(CommitError::RolledBack(error)) if error.code() == code => {}
                other => self.report.failures.push(format!("a last {op:?} that is refused: {other:?}")),
            }
            self.at_rest("a last change that was refused", &stored).await?;
        }
        let mut tx = self.begin().await?;
        self.last(&mut tx, ChangeOp::Insert, &[(4, 40)])?;
        tx.rollback().await;
        let mut tx = self.begin().await?;
        self.last(&mut tx, ChangeOp::Update, &[(3, 31)])?;
        self.commit("a last change alone", tx).await;
        self.expect_rows("after a last change alone", &[(1, 11), (2, 20), (3, 31)]).await
    }

    async fn loads(&mut self) -> Result<()> {
        self.clear().await?;
        let change = self.change(ChangeOp::Insert, &["medium"])?;
        let types = [ValueType::Int64, ValueType::Int32];
        let rows: Vec<(i64, i32)> = (0..LOADED).map(|id| (id, i32::try_from(id % 97).unwrap_or(0))).collect();
        let batches = |rows: &[(i64, i32)]| {
            let parts: Vec<_> = rows.chunks(3_000).map(|part| batch(&types, &numbered(part))).collect();
            stream::iter(parts).boxed()
        };
        let mut tx = self.begin().await?;
        let loaded = tx.load(&change, batches(&rows), &ExecuteContext::default()).await?;
        self.expect("a load counts its rows", i64::try_from(loaded) == Ok(LOADED));
        let others = self.committed(&["id"]).await?;
        self.expect("a load is not seen before its commit", others.is_empty());
        self.commit("load", tx).await;
        let stored = self.committed(&["id", "medium"]).await?;
        self.expect("a load stores its rows", !super::unlike(&numbered(&rows), &stored));
        let mut tx = self.begin().await?;
        let again = tx.load(&change, batches(&[(LOADED, 0), (7, 0)]), &ExecuteContext::default()).await;
        self.expect_error("a load with a key that is there", &again, ErrorCode::UniqueViolation);
        tx.rollback().await;
        let mut tx = self.begin().await?;
        let broken = vec![batch(&types, &numbered(&[(LOADED, 0)])), Err(Violation::Check.error())];
        let broken = tx.load(&change, stream::iter(broken).boxed(), &ExecuteContext::default()).await;
        self.expect_error("a load whose rows end with an error", &broken, ErrorCode::CheckViolation);
        tx.rollback().await;
        let mut tx = self.begin().await?;
        let deadline = Some(Instant::now() + Duration::from_millis(50));
        let context = ExecuteContext { deadline, ..ExecuteContext::default() };
        let endless = tx.load(&change, stream::pending().boxed(), &context).await;
        self.expect_error("a load whose rows do not come", &endless, ErrorCode::StatementTimeout);
        tx.rollback().await;
        let stored = self.committed(&["id"]).await?;
        self.expect("nothing of a failed load is stored", i64::try_from(stored.len()) == Ok(LOADED));
        Ok(())
    }
}
