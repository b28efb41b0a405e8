//! Parts of transactions that leave a marker: its commit is the decision, and a look-up before that has decided otherwise.

use super::{Changes, REACTION};
use crate::driver::Driver;
use crate::execution::ExecuteContext;
use crate::testkit::fault::{Fault, FaultyDriver};
use crate::write::{Begin, ChangeOp, CommitError, Fate, GlobalId, Locking, Transaction};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BEFORE: [(i64, i32); 1] = [(1, 10)];
const AFTER: [(i64, i32); 2] = [(1, 11), (2, 20)];

impl Changes {
    pub(super) async fn markers(&mut self) -> Result<()> {
        let of = |case: &'static str| move |error: Error| error.with_detail(case);
        self.marked().await.map_err(of("a marker"))?;
        self.never_marked().await.map_err(of("no marker"))?;
        self.given_up_while_open().await.map_err(of("given up while open"))?;
        self.asked_at_once().await.map_err(of("asked at once"))?;
        self.lost_decision(Fault::LostBeforeCommit, Fate::RolledBack).await.map_err(of("lost before"))?;
        self.lost_decision(Fault::LostAfterCommit, Fate::Committed).await.map_err(of("lost after"))?;
        self.clear().await
    }

    /// A part that has changed `BEFORE` to `AFTER`, through a driver that fails in some way.
    async fn deciding(&self, driver: &dyn Driver, id: GlobalId) -> Result<Transaction> {
        let writer = driver.writer().ok_or_else(|| Error::internal("the driver has no writer"))?;
        let mut tx = writer.begin(Begin::default().within(id), &ExecuteContext::default()).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(2, 20)]).await?;
        self.apply(&mut tx, ChangeOp::Update, &[(1, 11)]).await?;
        Ok(tx)
    }

    async fn fate_now(&self, id: &GlobalId) -> Result<Fate> {
        let until = Instant::now() + REACTION;
        loop {
            match self.writer()?.marker_fate(id, &ExecuteContext::default()).await {
                // The source still ends what was lost.
                Err(error) if Instant::now() < until && error.code() == ErrorCode::LockNotAvailable => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                fate => return fate,
            }
        }
    }

    /// The fate, however often it is asked for.
    async fn expect_fate(&mut self, what: &str, id: &GlobalId, expected: Fate) -> Result<()> {
        for _ in 0..2 {
            let fate = self.fate_now(id).await?;
            self.expect(&format!("{what}: {fate:?} instead of {expected:?}"), fate == expected);
        }
        Ok(())
    }

    async fn forget(&self, id: &GlobalId) -> Result<()> {
        self.writer()?.forget_marker(id, &ExecuteContext::default()).await
    }

    async fn marked(&mut self) -> Result<()> {
        self.reset(&BEFORE).await?;
        let id = self.part();
        let mut tx = self.deciding(self.driver.as_ref(), id).await?;
        tx.write_marker(&id).await?;
        let more = self.apply(&mut tx, ChangeOp::Update, &[(1, 12)]).await;
        self.expect_error("a change after the marker", &more, ErrorCode::Internal);
        self.commit("with a marker", tx).await;
        self.at_rest("a commit with a marker", &AFTER).await?;
        self.expect_fate("a marker", &id, Fate::Committed).await?;
        // No second transaction is committed under its id.
        let mut tx = self.begin_part(id).await?;
        let again = tx.write_marker(&id).await;
        self.expect_error("a second marker", &again, ErrorCode::SerializationFailure);
        tx.rollback().await;
        self.forget(&id).await?;
        self.forget(&id).await?;
        self.expect_fate("a marker that was forgotten", &id, Fate::RolledBack).await?;
        self.forget(&id).await
    }

    async fn never_marked(&mut self) -> Result<()> {
        self.reset(&BEFORE).await?;
        let id = self.part();
        let mut tx = self.deciding(self.driver.as_ref(), id).await?;
        let kept = tx.prepare(&id).await.map_err(|error| error.error().clone());
        self.expect_error("preparing where markers are left", &kept, ErrorCode::FeatureNotSupported);
        tx.rollback().await;
        let mut tx = self.deciding(self.driver.as_ref(), id).await?;
        tx.write_marker(&id).await?;
        tx.rollback().await;
        self.expect_fate("a marker that was undone", &id, Fate::RolledBack).await?;
        self.at_rest("a marker that was undone", &BEFORE).await?;
        self.forget(&id).await
    }

    /// One that is still open can no longer commit.
    async fn given_up_while_open(&mut self) -> Result<()> {
        self.reset(&BEFORE).await?;
        let id = self.part();
        let mut tx = self.deciding(self.driver.as_ref(), id).await?;
        let is_alone = self.writer()?.capabilities().locking == Locking::Source;
        if is_alone {
            // Its one writer is this transaction: a look-up waits for its end.
            let deadline = Some(Instant::now() + Duration::from_millis(100));
            let context = ExecuteContext { deadline, ..ExecuteContext::default() };
            let early = self.writer()?.marker_fate(&id, &context).await;
            let is_late = early
                .as_ref()
                .is_err_and(|error| matches!(error.code(), ErrorCode::StatementTimeout | ErrorCode::LockNotAvailable));
            self.expect(&format!("asked while it is open: {early:?}"), is_late);
            tx.rollback().await;
            self.expect_fate("asked while it was open", &id, Fate::RolledBack).await?;
            tx = self.deciding(self.driver.as_ref(), id).await?;
        } else {
            self.expect_fate("asked while it is open", &id, Fate::RolledBack).await?;
        }
        let late = tx.write_marker(&id).await;
        self.expect_error("a marker that comes late", &late, ErrorCode::SerializationFailure);
        let committed = tx.commit().await;
        self.expect("it does not commit", matches!(committed, Err(CommitError::RolledBack(_))));
        self.at_rest("a transaction that was given up", &BEFORE).await?;
        self.expect_fate("a transaction that was given up", &id, Fate::RolledBack).await?;
        self.forget(&id).await
    }

    /// Two who ask hear one fate, and so do those who ask while it commits.
    async fn asked_at_once(&mut self) -> Result<()> {
        self.reset(&BEFORE).await?;
        let id = self.part();
        let (first, second) = tokio::join!(self.fate_now(&id), self.fate_now(&id));
        let is_one = matches!((&first, &second), (Ok(Fate::RolledBack), Ok(Fate::RolledBack)));
        self.expect(&format!("asked twice at once: {first:?}, {second:?}"), is_one);
        self.forget(&id).await?;
        for _ in 0..10 {
            self.reset(&BEFORE).await?;
            let id = self.part();
            let mut tx = self.deciding(self.driver.as_ref(), id).await?;
            let deciding = async {
                match tx.write_marker(&id).await {
                    Ok(()) => tx.commit().await,
                    Err(error) => {
                        tx.rollback().await;
                        Err(CommitError::RolledBack(error))
                    }
                }
            };
            let (decided, fate) = tokio::join!(deciding, self.fate_now(&id));
            let (fate, is_stored) = (fate?, decided.is_ok());
            let is_told = !matches!(decided, Err(CommitError::Unknown(..)));
            let agrees = is_told && is_stored == (fate == Fate::Committed);
            self.expect(&format!("asked while it commits: {decided:?}, {fate:?}"), agrees);
            self.at_rest("a race", if is_stored { &AFTER } else { &BEFORE }).await?;
            self.expect_fate("a race", &id, fate).await?;
            self.forget(&id).await?;
        }
        Ok(())
    }

    async fn lost_decision(&mut self, fault: Fault, expected: Fate) -> Result<()> {
        self.reset(&BEFORE).await?;
        let id = self.part();
        let faulty = FaultyDriver::always(Arc::clone(&self.driver), fault);
        let mut tx = self.deciding(&faulty, id).await?;
        tx.write_marker(&id).await?;
        let committed = tx.commit().await;
        self.expect(&format!("{fault:?}: {committed:?}"), matches!(committed, Err(CommitError::Unknown(..))));
        self.expect_fate(&format!("{fault:?}"), &id, expected).await?;
        let stored: &[(i64, i32)] = if expected == Fate::Committed { &AFTER } else { &BEFORE };
        self.at_rest(&format!("{fault:?} with a marker"), stored).await?;
        self.forget(&id).await
    }
}
