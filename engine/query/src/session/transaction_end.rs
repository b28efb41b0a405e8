//! The blocks in which a session's changes hold together: where they begin, and how COMMIT, ROLLBACK, savepoints and a door's own
//! block reach the source that takes part.

use super::gate_session::GateSession;
use crate::books::change_log::{ChangeLog, ChangeOutcome};
use crate::books::clock::now_ms;
use crate::run::session_block::OpenBlock;
use datafusion::execution::memory_pool::MemoryPool;
use querygate_catalog::deployment::Deployment;
use querygate_catalog::rights::keeps_write_rights;
use querygate_driver_api::execution::Room;
use querygate_driver_api::write::{Capture, ChangeJournal, Isolation};
use querygate_policy::write::WriteOperation;
use querygate_policy::{Evaluator, resolve_principal};
use querygate_query_api::service::TransactionStatus;
use querygate_resources::TransactionBlock;
use querygate_resources::memory::ChargedRoom;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::Duration;

/// Room for the rows that a change reads, in its statement's account.
pub(in crate::session) fn room_of_rows(account: &Arc<dyn MemoryPool>) -> Arc<dyn Room> {
    Arc::new(ChargedRoom::new("rows of a change", account))
}

impl GateSession {
    /// The block that a change is part of; `None`: it is a transaction of its own.
    pub(in crate::session) fn block_of_change(&self) -> Result<Option<Arc<TransactionBlock>>> {
        if !self.inner().transaction.holds_together() {
            return Ok(None);
        }
        self.block().map(Some)
    }

    fn block(&self) -> Result<Arc<TransactionBlock>> {
        let isolation = self.isolation()?;
        let savepoints = self.inner().transaction.savepoint_ids();
        // What one statement changes is of one source, which need not be ready to prepare it.
        let coordinator =
            if self.inner().transaction.may_span() { self.gate.options().coordinator.clone() } else { None };
        let version = self.deployment();
        Ok(self.runs.block().open_or(|| {
            let block = TransactionBlock::new(isolation, savepoints, coordinator, self.capture());
            let watch = TransactionBlock::watch(Arc::downgrade(&block), self.gate.options().block_limits);
            self.gate.runtime().spawn(watch);
            OpenBlock { block, version }
        }))
    }

    /// Who writes down what the session changes; `None`: no change is followed.
    fn capture(&self) -> Option<Capture> {
        let events = self.gate.options().events.as_ref()?;
        Some(Capture {
            journal: Arc::clone(&events.log) as Arc<dyn ChangeJournal>,
            actor: self.principal.user_id.as_str().into(),
            door: self.door.name().into(),
            bytes_max: events.log.options().transaction_max,
            room: Arc::new(ChargedRoom::new("events", self.runs.account())),
        })
    }

    pub(in crate::session) fn isolation(&self) -> Result<Isolation> {
        match self.inner().settings.get("transaction_isolation")?.as_str() {
            "serializable" => Ok(Isolation::Serializable),
            "repeatable read" => Ok(Isolation::RepeatableRead),
            "read committed" | "read uncommitted" => Ok(Isolation::ReadCommitted),
            other => Err(Error::internal(format!("a transaction has the level {other}"))),
        }
    }

    /// A transaction whose level promises one moment for all its statements is a block from its first read on, as far as it may
    /// change anything.
    pub(in crate::session) fn begin_block_of_reads(&self) -> Result<()> {
        let may_write = {
            let transaction = &self.inner().transaction;
            self.gate.options().writes
                && transaction.status() == TransactionStatus::InTransaction
                && !transaction.is_read_only()
                && !self.runs.block().is_open()
        };
        if may_write && self.isolation()? != Isolation::ReadCommitted && self.may_change_anything() {
            self.block()?;
        }
        Ok(())
    }

    /// Whether the principal has a right to change rows of any object. One that has none takes no connection of those who have.
    fn may_change_anything(&self) -> bool {
        let deployment = self.deployment();
        let (policies, facts, now) = (&deployment.policies, &deployment.facts, now_ms());
        let principal = resolve_principal(self.principal.as_ref().clone(), policies, facts, now);
        let evaluator = Evaluator { policy: policies, principal: &principal, facts, now_ms: now };
        let operations = [WriteOperation::Insert, WriteOperation::Update, WriteOperation::Delete];
        let mut objects = deployment.snapshot.objects.keys();
        objects.any(|object| operations.iter().any(|kind| evaluator.decide_target(object, *kind).is_allowed()))
    }

    /// Stores what the transaction changed, if it changed anything. A client that stops waiting does not stop it.
    ///
    /// # Errors
    /// 42501: a right was taken away. 53200: the rows of holdable cursors are too many. The source's; 08007.
    pub(in crate::session) async fn commit_block(&self) -> Result<()> {
        if self.runs.block().open().is_some_and(|block| block.takes_part())
            && let Err(error) = self.keep_cursors().await
        {
            self.drop_block().await;
            return Err(error);
        }
        // From here to the task, nothing is waited for while the block is at hand.
        let Some(OpenBlock { block, version }) = self.runs.block().take() else { return Ok(()) };
        if !block.takes_part() {
            return Ok(());
        }
        let changes = self.runs.block().take_changes();
        if let Err(error) = self.write_rights_hold(&version) {
            block.branches().await.rollback().await;
            ended(changes, ChangeOutcome::RolledBack).await;
            return Err(error);
        }
        let task = self.gate.runtime().spawn(async move {
            let committed = block.branches().await.commit().await;
            ended(changes, ChangeOutcome::of(&committed)).await;
            committed
        });
        task.await.map_err(|join| {
            tracing::error!(%join, "a commit did not finish");
            Error::new(ErrorCode::TransactionOutcomeUnknown, "the outcome of the transaction is not known")
        })?
    }

    /// Undoes what the transaction changed.
    pub(in crate::session) async fn drop_block(&self) {
        if let Some(OpenBlock { block, .. }) = self.runs.block().take() {
            block.branches().await.rollback().await;
            ended(self.runs.block().take_changes(), ChangeOutcome::RolledBack).await;
        }
    }

    /// A statement failed. Its transaction gives back at once what it holds, or where it has savepoints, what it took since the last of
    /// them: its client may take any time to end it, or to go on from there.
    pub(in crate::session) fn fail(&self) {
        let last_savepoint = {
            let transaction = &mut self.inner().transaction;
            if !transaction.fail() {
                return;
            }
            transaction.savepoint_ids().last().copied()
        };
        match last_savepoint {
            Some(id) => self.give_back_to(id),
            None => self.give_back_all(),
        }
    }

    fn give_back_to(&self, last_savepoint: u32) {
        self.own_back_to(last_savepoint);
        if let Some(block) = self.runs.block().open() {
            block.fail_after(last_savepoint);
            self.gate.runtime().spawn(async move { drop(block.branches().await) });
        }
    }

    /// Goes back to a savepoint with what is the session's own and at no source.
    fn own_back_to(&self, savepoint: u32) {
        self.locks.roll_back_to(savepoint);
        self.temporary.roll_back_to(savepoint);
        self.inner().roll_back_cursors_to(savepoint);
    }

    fn give_back_all(&self) {
        self.locks.end_transaction();
        // Taken here, so that no later statement meets it; what follows in the session need not wait for its end.
        if let Some(OpenBlock { block, .. }) = self.runs.block().take() {
            let changes = self.runs.block().take_changes();
            self.gate.runtime().spawn(async move {
                block.branches().await.rollback().await;
                ended(changes, ChangeOutcome::RolledBack).await;
            });
        }
    }

    /// Makes a change that is part of nothing else a transaction of its own.
    pub(in crate::session) fn begin_own(&self) -> Option<OwnTransaction<'_>> {
        self.begin_own_over(false)
    }

    /// As [`begin_own`](Self::begin_own). `spans`: it may change several sources.
    pub(in crate::session) fn begin_own_over(&self, spans: bool) -> Option<OwnTransaction<'_>> {
        let mut inner = self.inner();
        if inner.transaction.holds_together() {
            return None;
        }
        inner.transaction.begin_implicit(spans);
        Some(OwnTransaction { session: self, ended: false })
    }

    pub(in crate::session) async fn end_implicit_block(&self) -> Result<()> {
        let ended = self.inner().transaction.end_implicit();
        let done = match ended {
            None => Ok(()),
            Some(true) => {
                let committed = self.commit_block().await;
                self.temporary.end(committed.is_ok());
                self.inner().end_cursors(committed.is_ok());
                committed
            }
            Some(false) => {
                self.drop_block().await;
                self.temporary.end(false);
                self.inner().end_cursors(false);
                Ok(())
            }
        };
        if !self.inner().transaction.holds_together() {
            self.locks.end_transaction();
        }
        done
    }

    /// Sets a savepoint at the source that takes part, if one does.
    pub(in crate::session) async fn savepoint(&self, name: &str) -> Result<()> {
        let id = self.inner().transaction.next_savepoint()?;
        if let Some(block) = self.runs.block().open() {
            block.branches().await.savepoint(id).await?;
        }
        self.temporary.savepoint(id);
        self.locks.savepoint(id);
        let inner = &mut *self.inner();
        inner.transaction.savepoint(name, &inner.settings)
    }

    pub(in crate::session) async fn rollback_to(&self, name: &str) -> Result<()> {
        let id = self.inner().transaction.savepoint_id(name, "ROLLBACK TO SAVEPOINT")?;
        if let Some(block) = self.runs.block().open() {
            block.branches().await.rollback_to(id).await?;
            // What was changed before the savepoint ends with the transaction, which is logged then.
            ended(self.runs.block().changes(), ChangeOutcome::RolledBackToSavepoint).await;
        }
        self.own_back_to(id);
        let inner = &mut *self.inner();
        let settings = inner.transaction.rollback_to(name)?;
        inner.restore(settings);
        Ok(())
    }

    pub(in crate::session) async fn release(&self, name: &str) -> Result<()> {
        let id = self.inner().transaction.savepoint_id(name, "RELEASE SAVEPOINT")?;
        if let Some(block) = self.runs.block().open() {
            block.branches().await.release(id).await?;
        }
        self.temporary.release(id);
        self.inner().transaction.release(name)
    }

    /// Begins one of several changes of a call, in a transaction that goes on if it fails.
    ///
    /// # Errors
    /// The source's.
    pub(in crate::session) async fn begin_item(&self) -> Result<()> {
        if let Some(block) = self.block_of_change()? {
            block.branches().await.savepoint(self.runs.item_savepoint()).await?;
        }
        Ok(())
    }

    /// Ends it. `keeps`: what it changed stays in the transaction; otherwise it is undone.
    ///
    /// # Errors
    /// The source's: the transaction has failed.
    pub(in crate::session) async fn end_item(&self, keeps: bool) -> Result<()> {
        let Some(block) = self.runs.block().open() else { return Ok(()) };
        let (mut branches, item) = (block.branches().await, self.runs.item_savepoint());
        if !keeps {
            branches.rollback_to(item).await?;
        }
        branches.release(item).await
    }

    /// How long the client may be silent in a transaction that may hold locks; `None`: as its settings say.
    pub(in crate::session) fn idle_timeout_of_block(&self, setting: &str) -> Option<String> {
        if setting != "idle_in_transaction_session_timeout" || !self.runs.block().is_open() {
            return None;
        }
        let is_off = self.inner().settings.get(setting).is_ok_and(|timeout| timeout == "0");
        let idle = self.gate.options().block_limits.idle;
        // Of all durations, the longest one stands for no limit.
        (is_off && idle != Duration::MAX).then(|| idle.as_millis().to_string())
    }

    /// Whether all that a version of the metadata lets be changed may be changed now.
    fn write_rights_hold(&self, pinned: &Deployment) -> Result<()> {
        let current = self.gate.deployment();
        if pinned.version == current.version || keeps_write_rights(pinned, &current, &self.principal, now_ms()) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::InsufficientPrivilege, "rights of this transaction were changed while it was open")
            .with_hint("Roll back; the next transaction has the rights of now."))
    }
}

/// The transaction of one statement. Dropped before its end, nothing of it is stored.
pub(in crate::session) struct OwnTransaction<'a> {
    session: &'a GateSession,
    ended: bool,
}

impl OwnTransaction<'_> {
    /// Stores what the statement changed.
    ///
    /// # Errors
    /// As [`commit_block`](GateSession::commit_block).
    pub(in crate::session) async fn commit(mut self) -> Result<()> {
        self.ended = true;
        self.session.end_implicit_block().await
    }

    /// Undoes what the statement changed.
    pub(in crate::session) async fn roll_back(mut self) {
        self.ended = true;
        self.session.inner().transaction.end_implicit();
        self.session.drop_block().await;
    }
}

impl Drop for OwnTransaction<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.session.inner().transaction.end_implicit();
        let blocks = self.session.runs.block();
        if let Some(OpenBlock { block, .. }) = blocks.take() {
            let changes = blocks.take_changes();
            self.session.gate.runtime().spawn(async move {
                block.branches().await.rollback().await;
                ended(changes, ChangeOutcome::RolledBack).await;
            });
        }
    }
}

/// Says in the audit file how the changes of a block ended, if there are any.
async fn ended(changes: Option<(u64, ChangeLog)>, outcome: ChangeOutcome) {
    if let Some((first, log)) = changes {
        log.ended_since(first, outcome).await;
    }
}

#[cfg(test)]
mod tests;
