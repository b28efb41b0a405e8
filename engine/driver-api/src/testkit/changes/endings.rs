//! How transactions end: rolled back, dropped, cancelled, out of time, and with an answer that was lost.

use super::{Changes, REACTION, numbered};
use crate::driver::Driver;
use crate::execution::ExecuteContext;
use crate::testkit::fault::{Fault, FaultyDriver};
use crate::write::{Begin, ChangeOp, CommitError, Fate, Locking, Transaction};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of one set that takes a while.
const ROWS: i64 = 8_000;
/// Sets after which something else should have happened.
const SETS_MAX: i64 = 20;

impl Changes {
    pub(super) async fn endings(&mut self) -> Result<()> {
        self.undone().await?;
        self.stopped().await?;
        if !self.report.failures.is_empty() {
            return Ok(());
        }
        self.abandoned().await?;
        self.lost(Fault::LostBeforeCommit, &[(1, 10)]).await?;
        self.lost(Fault::LostAfterCommit, &[(1, 11), (2, 2)]).await?;
        self.clear().await
    }

    async fn undone(&mut self) -> Result<()> {
        self.reset(&[(1, 10)]).await?;
        for dropped in [false, true] {
            let mut tx = self.begin().await?;
            self.apply(&mut tx, ChangeOp::Insert, &[(2, 20)]).await?;
            self.apply(&mut tx, ChangeOp::Update, &[(1, 11)]).await?;
            self.expect_rows("before the end", &[(1, 10)]).await?;
            if dropped {
                drop(tx);
            } else {
                tx.rollback().await;
            }
            self.at_rest("a transaction that was undone", &[(1, 10)]).await?;
        }
        Ok(())
    }

    /// Nothing of an ended transaction is stored, and none of its locks is left.
    pub(super) async fn at_rest(&mut self, what: &str, expected: &[(i64, i32)]) -> Result<()> {
        let asked = Instant::now();
        // Where writers do not wait for locks, a change fails until the source has ended the other transaction.
        let may_be_early = self.writer()?.capabilities().locking == Locking::Conflicts;
        // Values that differ: a source may write nothing where a row stays as it is, and meet no other writer then.
        let others: Vec<(i64, i32)> = expected.iter().map(|(id, number)| (*id, number + 1)).collect();
        let touched = tokio::time::timeout(REACTION, async {
            loop {
                let mut tx = self.begin().await?;
                let touched = self.apply(&mut tx, ChangeOp::Update, &others).await;
                tx.rollback().await;
                match touched {
                    Err(error) if may_be_early && error.code() == ErrorCode::SerializationFailure => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    touched => return touched.map(drop),
                }
            }
        });
        match touched.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.report.failures.push(format!("after {what}: {error} ({:?})", error.cause())),
            Err(_) => self.report.failures.push(format!("after {what} its locks stay {:?}", asked.elapsed())),
        }
        self.expect_rows(&format!("after {what}"), expected).await
    }

    /// Inserts set after set until one fails.
    async fn until_stopped(&self, tx: &mut Transaction, context: &ExecuteContext) -> Result<()> {
        let change = self.change(ChangeOp::Insert, &["medium"])?;
        for part in 1..=SETS_MAX {
            let rows: Vec<(i64, i32)> = (part * ROWS..(part + 1) * ROWS).map(|id| (id, 0)).collect();
            tx.apply(&change, &Self::set(&change, &numbered(&rows))?, context).await?;
        }
        Ok(())
    }

    async fn stopped(&mut self) -> Result<()> {
        self.reset(&[(1, 10)]).await?;
        let wait = Duration::from_millis(50);
        for code in [ErrorCode::QueryCanceled, ErrorCode::StatementTimeout] {
            let mut context = ExecuteContext::default();
            let mut tx = self.begin().await?;
            if code == ErrorCode::StatementTimeout {
                context.deadline = Some(Instant::now() + wait);
            } else {
                let cancel = context.cancel.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    cancel.cancel();
                });
            }
            let asked = Instant::now();
            let stopped = self.until_stopped(&mut tx, &context).await;
            self.expect_error("a change that is stopped", &stopped, code);
            self.expect("it is heard in time", asked.elapsed() < REACTION + wait);
            tx.rollback().await;
            self.at_rest("a change that was stopped", &[(1, 10)]).await?;
            if !self.report.failures.is_empty() {
                return Ok(());
            }
        }
        let context = ExecuteContext::default();
        context.cancel.cancel();
        let mut tx = self.begin().await?;
        let early = self.until_stopped(&mut tx, &context).await;
        self.expect_error("a change that was cancelled before", &early, ErrorCode::QueryCanceled);
        tx.rollback().await;
        self.at_rest("a change that was cancelled before", &[(1, 10)]).await
    }

    /// Whoever stops waiting for a change leaves none of it.
    async fn abandoned(&mut self) -> Result<()> {
        let may_be_early = self.writer()?.capabilities().locking == Locking::Conflicts;
        for wait in [0, 1, 20] {
            let mut tx = self.begin().await?;
            let context = ExecuteContext::default();
            let until = Instant::now() + REACTION;
            let waited = loop {
                let stopped = self.until_stopped(&mut tx, &context);
                let waited = tokio::time::timeout(Duration::from_millis(wait), stopped).await;
                // The source may not have ended the one before, which has the rows.
                let is_early = matches!(&waited, Ok(Err(error)) if error.code() == ErrorCode::SerializationFailure);
                if !may_be_early || !is_early || Instant::now() > until {
                    break waited;
                }
                tx = self.begin().await?;
            };
            self.expect("a change lasts longer than nobody waits", waited.is_err());
            if tx.has_failed() {
                let after = self.apply(&mut tx, ChangeOp::Update, &[(1, 12)]).await;
                self.expect_error("a change after an abandoned one", &after, ErrorCode::InFailedTransaction);
            }
            drop(tx);
            self.at_rest("a change that was abandoned", &[(1, 10)]).await?;
        }
        Ok(())
    }

    async fn lost(&mut self, fault: Fault, expected: &[(i64, i32)]) -> Result<()> {
        self.reset(&[(1, 10)]).await?;
        let faulty = FaultyDriver::always(Arc::clone(&self.driver), fault);
        let writer = faulty.writer().ok_or_else(|| Error::internal("the driver has no writer"))?;
        let mut tx = writer.begin(Begin::default(), &ExecuteContext::default()).await?;
        self.apply(&mut tx, ChangeOp::Insert, &[(2, 2)]).await?;
        self.apply(&mut tx, ChangeOp::Update, &[(1, 11)]).await?;
        let tells = self.writer()?.capabilities().tells_fate;
        match tx.commit().await {
            Err(CommitError::Unknown(error, mark)) => {
                self.expect("an unknown outcome has its code", error.code() == ErrorCode::TransactionOutcomeUnknown);
                self.expect("whoever tells fates has marks", mark.is_some() == tells);
                if let Some(mark) = mark {
                    let fate = self.fate(&mark).await?;
                    let real = if fault == Fault::LostAfterCommit { Fate::Committed } else { Fate::RolledBack };
                    self.expect(&format!("{fault:?}: {fate:?} instead of {real:?}"), fate == Some(real));
                }
            }
            other => self.report.failures.push(format!("{fault:?}: {other:?}")),
        }
        self.at_rest(&format!("{fault:?}"), expected).await
    }

    /// Asks until the source knows.
    async fn fate(&self, mark: &crate::write::TxMark) -> Result<Option<Fate>> {
        let until = Instant::now() + REACTION;
        loop {
            let fate = self.writer()?.fate_of(mark).await?;
            if fate.is_some() || Instant::now() > until {
                return Ok(fate);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
