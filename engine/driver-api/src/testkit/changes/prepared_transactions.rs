//! Parts of transactions that a source keeps until their fate is decided: they outlast their connections, are found again, and end once.

use super::{Changes, REACTION};
use crate::driver::Driver;
use crate::execution::ExecuteContext;
use crate::testkit::fault::{Fault, FaultyDriver};
use crate::write::{Begin, ChangeOp, CommitError, Fate, GateId, GlobalId, PrepareError, Settled, Transaction};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Another gate that uses the source.
const OTHER: GateId = GateId::new(0x7e57_0002);
const BEFORE: [(i64, i32); 1] = [(1, 10)];
const AFTER: [(i64, i32); 2] = [(1, 11), (2, 20)];

/// What is stored after a fate.
const fn rows_after(fate: Fate) -> &'static [(i64, i32)] {
    match fate {
        Fate::Committed => &AFTER,
        Fate::RolledBack => &BEFORE,
    }
}

impl Changes {
    pub(super) async fn prepared(&mut self) -> Result<()> {
        for fate in [Fate::Committed, Fate::RolledBack] {
            self.ended_by_itself(fate).await?;
            self.ended_by_another(fate).await?;
            self.lost_while_prepared(fate).await?;
        }
        self.of_two_gates().await?;
        self.not_prepared().await?;
        self.lost_at_its_end().await?;
        self.undone_in_part().await?;
        self.clear().await
    }

    /// A part that has changed `BEFORE` to `AFTER`.
    async fn part_changed(&self, id: GlobalId) -> Result<Transaction> {
        let mut tx = self.begin_part(id).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(2, 20)]).await?;
        self.apply(&mut tx, ChangeOp::Update, &[(1, 11)]).await?;
        Ok(tx)
    }

    async fn kept(&mut self, what: &str, id: GlobalId) -> Result<Transaction> {
        let mut tx = self.part_changed(id).await?;
        if let Err(error) = tx.prepare(&id).await {
            let cause = error.error().cause().map(str::to_owned);
            self.report.failures.push(format!("{what}: not prepared: {error} ({cause:?})"));
        }
        self.expect("what is prepared knows it", tx.is_prepared() && !tx.has_failed());
        Ok(tx)
    }

    async fn expect_listed(&mut self, what: &str, gate: GateId, expected: &[GlobalId]) -> Result<()> {
        let mut listed = self.writer()?.prepared(gate, &ExecuteContext::default()).await?;
        listed.sort();
        self.expect(&format!("{what}: {listed:?} are listed instead of {expected:?}"), listed == expected);
        Ok(())
    }

    /// Settles it as soon as the source has it back from a connection that is gone.
    async fn settled(&self, id: &GlobalId, fate: Fate) -> Result<Settled> {
        let until = Instant::now() + REACTION;
        loop {
            let settled = self.writer()?.settle(id, fate, &ExecuteContext::default()).await?;
            if settled != Settled::Held || Instant::now() > until {
                return Ok(settled);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn expect_settled(&mut self, what: &str, id: &GlobalId, fate: Fate, expected: Settled) -> Result<()> {
        let settled = self.settled(id, fate).await?;
        self.expect(&format!("{what}: {settled:?} instead of {expected:?}"), settled == expected);
        Ok(())
    }

    /// Whatever is said of one that has ended, it has ended.
    async fn expect_gone(&mut self, what: &str, id: &GlobalId) -> Result<()> {
        self.expect_listed(what, id.gate, &[]).await?;
        for fate in [Fate::Committed, Fate::RolledBack] {
            self.expect_settled(what, id, fate, Settled::Absent).await?;
        }
        Ok(())
    }

    async fn ended_by_itself(&mut self, fate: Fate) -> Result<()> {
        let what = format!("{fate:?} by itself");
        self.reset(&BEFORE).await?;
        let id = self.part();
        let mut tx = self.kept(&what, id).await?;
        self.expect_rows("what is prepared", &BEFORE).await?;
        self.expect_listed(&what, id.gate, &[id]).await?;
        let more = self.apply(&mut tx, ChangeOp::Update, &[(1, 12)]).await;
        self.expect_error("a change of what is prepared", &more, ErrorCode::Internal);
        let ended = match fate {
            Fate::Committed => tx.commit_prepared().await.map_err(|error| error.error().clone()),
            Fate::RolledBack => tx.rollback_prepared().await,
        };
        self.expect(&format!("{what}: {ended:?}"), ended.is_ok());
        self.at_rest(&what, rows_after(fate)).await?;
        self.expect_gone(&what, &id).await?;
        // One that has done nothing ends in the same ways.
        let id = self.part();
        let mut tx = self.begin_part(id).await?;
        let kept = tx.prepare(&id).await;
        self.expect(&format!("nothing, {what}: {kept:?}"), kept.is_ok());
        let ended = match fate {
            Fate::Committed => tx.commit_prepared().await.map_err(|error| error.error().clone()),
            Fate::RolledBack => tx.rollback_prepared().await,
        };
        self.expect(&format!("nothing, {what}: {ended:?}"), ended.is_ok());
        self.expect_gone(&format!("nothing, {what}"), &id).await
    }

    async fn ended_by_another(&mut self, fate: Fate) -> Result<()> {
        let what = format!("{fate:?} by another connection");
        self.reset(&BEFORE).await?;
        let id = self.part();
        let tx = self.kept(&what, id).await?;
        drop(tx);
        self.expect_rows("what nobody holds any more", &BEFORE).await?;
        self.expect_listed(&what, id.gate, &[id]).await?;
        self.expect_settled(&what, &id, fate, Settled::Done).await?;
        self.at_rest(&what, rows_after(fate)).await?;
        self.expect_gone(&what, &id).await
    }

    async fn faulty(&self, fault: Fault, id: GlobalId) -> Result<Transaction> {
        let faulty = FaultyDriver::always(Arc::clone(&self.driver), fault);
        let writer = faulty.writer().ok_or_else(|| Error::internal("the driver has no writer"))?;
        let mut tx = writer.begin(Begin::default().within(id), &ExecuteContext::default()).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(2, 20)]).await?;
        self.apply(&mut tx, ChangeOp::Update, &[(1, 11)]).await?;
        Ok(tx)
    }

    /// The answer to the question was lost: whatever it was, its id ends it.
    async fn lost_while_prepared(&mut self, fate: Fate) -> Result<()> {
        for (fault, expected) in [(Fault::LostAtPrepare, Settled::Absent), (Fault::LostAfterPrepare, Settled::Done)] {
            let what = format!("{fault:?}, {fate:?}");
            self.reset(&BEFORE).await?;
            let id = self.part();
            let mut tx = self.faulty(fault, id).await?;
            let answer = tx.prepare(&id).await;
            self.expect(&format!("{what}: {answer:?}"), matches!(answer, Err(PrepareError::Unknown(_))));
            self.expect("nothing is left but its end", tx.has_failed() && !tx.is_prepared());
            tx.rollback().await;
            self.expect_settled(&what, &id, fate, expected).await?;
            let stored = if expected == Settled::Done { rows_after(fate) } else { &BEFORE };
            self.at_rest(&what, stored).await?;
            self.expect_gone(&what, &id).await?;
        }
        Ok(())
    }

    /// It was decided, and the answer of the source to that was lost.
    async fn lost_at_its_end(&mut self) -> Result<()> {
        for (fault, expected) in [(Fault::LostBeforeCommit, Settled::Done), (Fault::LostAfterCommit, Settled::Absent)] {
            for fate in [Fate::Committed, Fate::RolledBack] {
                let what = format!("{fault:?} of what is prepared, {fate:?}");
                self.reset(&BEFORE).await?;
                let id = self.part();
                let mut tx = self.faulty(fault, id).await?;
                let kept = tx.prepare(&id).await;
                self.expect(&format!("{what}: {kept:?}"), kept.is_ok());
                let is_unknown = match fate {
                    Fate::Committed => matches!(tx.commit_prepared().await, Err(CommitError::Unknown(..))),
                    Fate::RolledBack => tx.rollback_prepared().await.is_err(),
                };
                self.expect(&format!("{what}: its end is not known"), is_unknown);
                self.expect_settled(&what, &id, fate, expected).await?;
                self.at_rest(&what, rows_after(fate)).await?;
                self.expect_gone(&what, &id).await?;
            }
        }
        Ok(())
    }

    async fn of_two_gates(&mut self) -> Result<()> {
        self.reset(&[(1, 10), (2, 20), (3, 30)]).await?;
        let (first, second) = (self.part(), self.part());
        let other = GlobalId::new(OTHER, first.number, first.branch);
        for (id, row) in [(first, (1, 11)), (second, (2, 21)), (other, (3, 31))] {
            let mut tx = self.begin_part(id).await?;
            self.apply(&mut tx, ChangeOp::Update, &[row]).await?;
            let kept = tx.prepare(&id).await;
            self.expect(&format!("{id}: {kept:?}"), kept.is_ok());
        }
        self.expect_listed("of two", first.gate, &[first, second]).await?;
        self.expect_listed("of the other", OTHER, &[other]).await?;
        self.expect_settled("of two", &first, Fate::Committed, Settled::Done).await?;
        self.expect_settled("of the other", &other, Fate::Committed, Settled::Done).await?;
        self.expect_listed("of two", first.gate, &[second]).await?;
        self.expect_listed("of the other", OTHER, &[]).await?;
        self.expect_settled("of two", &second, Fate::RolledBack, Settled::Done).await?;
        self.at_rest("transactions of two gates", &[(1, 11), (2, 20), (3, 31)]).await
    }

    /// What has failed is not prepared, and neither is what was not asked to be.
    async fn not_prepared(&mut self) -> Result<()> {
        self.reset(&BEFORE).await?;
        let id = self.part();
        let mut tx = self.part_changed(id).await?;
        let twice = self.apply(&mut tx, ChangeOp::Insert, &[(1, 1)]).await;
        self.expect_error("a second row of a key", &twice, ErrorCode::UniqueViolation);
        let refused = tx.prepare(&id).await;
        let is_refused =
            matches!(&refused, Err(PrepareError::Refused(error)) if error.code() == ErrorCode::InFailedTransaction);
        self.expect(&format!("what has failed: {refused:?}"), is_refused);
        tx.rollback().await;
        self.at_rest("what has failed", &BEFORE).await?;
        let tx = self.part_changed(id).await?;
        let committed = tx.commit_prepared().await;
        self.expect("what was not prepared is undone", matches!(committed, Err(CommitError::RolledBack(_))));
        self.at_rest("what was not prepared", &BEFORE).await?;
        let tx = self.kept("without a decision", id).await?;
        let committed = tx.commit().await;
        self.expect("a commit decides nothing", matches!(committed, Err(CommitError::Unknown(..))));
        self.expect_settled("without a decision", &id, Fate::RolledBack, Settled::Done).await?;
        let id = self.part();
        let mut tx = self.part_changed(id).await?;
        let marked = tx.write_marker(&id).await;
        self.expect_error("a marker of what is prepared", &marked, ErrorCode::FeatureNotSupported);
        tx.rollback().await;
        // One that may be a part, and is not, ends as any other.
        let tx = self.part_changed(id).await?;
        self.commit("a part that is the whole", tx).await;
        self.at_rest("a part that is the whole", &AFTER).await
    }

    /// What was undone before is not stored afterwards.
    async fn undone_in_part(&mut self) -> Result<()> {
        if !self.writer()?.capabilities().savepoints {
            return Ok(());
        }
        self.reset(&BEFORE).await?;
        let id = self.part();
        let mut tx = self.part_changed(id).await?;
        tx.savepoint(1).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(3, 30)]).await?;
        tx.savepoint(2).await?;
        let twice = self.apply(&mut tx, ChangeOp::Insert, &[(1, 1)]).await;
        self.expect_error("a second row of a key", &twice, ErrorCode::UniqueViolation);
        tx.rollback_to(1).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(4, 40)]).await?;
        let kept = tx.prepare(&id).await;
        self.expect(&format!("after a savepoint: {kept:?}"), kept.is_ok());
        drop(tx);
        self.expect_settled("after a savepoint", &id, Fate::Committed, Settled::Done).await?;
        self.at_rest("after a savepoint", &[(1, 11), (2, 20), (4, 40)]).await
    }
}
