//! What hooks of a session's changes ask of other records: questions and changes as any others of the session, in a part of it that
//! has the transaction of the change for as long as it answers.

mod answers;
mod hook_session;

use super::gate_session::GateSession;
use crate::advisory::SessionLocks;
use crate::books::observe::Activity;
use crate::books::within::Within;
use crate::engine::Engine;
use crate::run::lifecycle::SessionRuns;
use crate::run::session_block::OpenBlock;
use crate::settings::list::Settings;
use crate::write::hooks::{Asker, DEPTH_MAX, HookRecords, Lender, OpensRecords, RecordCall, Records, TimeBound};
use answers::Changes;
pub(in crate::session) use answers::{read_keys, rows as answer_rows};
use futures::future::BoxFuture;
use querygate_catalog::deployment::Deployment;
use querygate_driver_api::execution::Uncommitted;
use querygate_driver_api::write::Isolation;
use querygate_metadata::model::RunAs;
use querygate_query_api::service::Door;
use querygate_resources::TransactionBlock;
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a call that is to end is cancelled.
const CANCEL: Duration = Duration::from_millis(20);
/// Savepoints of hooks are numbered from a multiple of this, by their depth; those of clients from 0.
const SAVEPOINTS: u32 = 1 << 24;

/// The session whose hooks ask, without its transaction.
pub(super) struct HookOrigin {
    pub(super) gate: Arc<Engine>,
    pub(super) principal: Arc<Principal>,
    pub(super) login: Arc<str>,
    pub(super) session: u64,
    locks: Arc<SessionLocks>,
    pub(super) door: Door,
    pub(super) activity: Arc<Activity>,
    /// As of a statement of this session, with no block.
    pub(super) runs: Arc<SessionRuns>,
    pub(super) settings: Settings,
    /// The version that the change was decided on; `None`: the one of now.
    pub(super) deployment: Option<Arc<Deployment>>,
    isolation: Isolation,
    uncommitted: Arc<Uncommitted>,
    depth: u32,
    /// What its hooks asked for changed something.
    has_changed: Arc<AtomicBool>,
}

impl fmt::Debug for HookOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookOrigin").field("session", &self.session).field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl GateSession {
    /// Where hooks of a change in this block are answered; `None`: none of them asks.
    pub(in crate::session) fn hook_records(&self, block: &TransactionBlock) -> Result<Option<Arc<HookRecords>>> {
        let deployment = self.deployment();
        if !deployment.policies.hooks_ask_for_records() {
            return Ok(None);
        }
        self.records_of(Some(deployment), block.shown()).map(Some)
    }

    /// Where hooks of a read are answered, which is in no transaction of the session.
    pub(in crate::session) fn records_of_reads(&self) -> Result<Arc<HookRecords>> {
        self.records_of(None, &Arc::default())
    }

    /// What a question within a statement is asked by, in no transaction of the session.
    pub(in crate::session) fn origin_of_reads(&self) -> Result<HookOrigin> {
        self.origin(None, &Arc::default())
    }

    fn records_of(
        &self,
        deployment: Option<Arc<Deployment>>,
        uncommitted: &Arc<Uncommitted>,
    ) -> Result<Arc<HookRecords>> {
        Ok(Arc::new(HookRecords(Arc::new(self.origin(deployment, uncommitted)?))))
    }

    fn origin(&self, deployment: Option<Arc<Deployment>>, uncommitted: &Arc<Uncommitted>) -> Result<HookOrigin> {
        let (depth, has_turn) = (self.runs.depth(), self.runs.is_within());
        // One after the other: each of them locks the session's state.
        let settings = self.inner().settings.clone();
        let isolation = self.isolation()?;
        let within = Within { hook: Arc::from(""), is_system: false, has_turn, depth };
        Ok(HookOrigin {
            gate: Arc::clone(&self.gate),
            principal: Arc::clone(&self.principal),
            login: Arc::clone(&self.login),
            session: self.id,
            locks: Arc::clone(&self.locks),
            door: self.door,
            activity: Arc::clone(&self.activity),
            runs: self.runs.of_hook(within),
            settings,
            deployment,
            isolation,
            uncommitted: Arc::clone(uncommitted),
            depth,
            has_changed: Arc::default(),
        })
    }
}

impl OpensRecords for HookOrigin {
    fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Acquire)
    }

    fn open(&self, asker: Asker) -> Result<Box<dyn Records>> {
        if self.depth >= DEPTH_MAX {
            let text = format!("hooks whose changes run further hooks go {DEPTH_MAX} deep at most");
            return Err(Error::new(ErrorCode::StatementTooComplex, text));
        }
        let principal = match asker.rights {
            RunAs::Inherit => Arc::clone(&self.principal),
            RunAs::User => Arc::new(self.principal.as_user()),
            RunAs::System => Arc::new(self.principal.as_system()),
        };
        let depth = self.depth + 1;
        let is_system = principal.is_system();
        let has_turn = asker.is_waited_for || self.runs.is_within();
        let within = Within { hook: asker.hook, is_system, has_turn, depth };
        let detached;
        let origin = if asker.is_waited_for {
            self
        } else {
            // The version of its change may be gone.
            detached = Self {
                gate: Arc::clone(&self.gate),
                principal: Arc::clone(&self.principal),
                login: Arc::clone(&self.login),
                session: self.session,
                locks: Arc::clone(&self.locks),
                door: self.door,
                activity: Arc::clone(&self.activity),
                runs: Arc::clone(&self.runs),
                settings: self.settings.clone(),
                deployment: None,
                isolation: self.isolation,
                uncommitted: Arc::default(),
                depth: self.depth,
                has_changed: Arc::default(),
            };
            &detached
        };
        let session = GateSession::of_hook(origin, within, principal);
        let block = asker.is_waited_for.then(|| TransactionBlock::within(self.isolation, &self.uncommitted));
        if let Some(block) = &block {
            let version = session.deployment();
            session.runs.block().open_or(|| OpenBlock { block: Arc::clone(block), version });
        }
        let next = SAVEPOINTS.saturating_mul(depth);
        let may_fail = asker.may_fail && asker.is_waited_for;
        let changes = Changes { may_fail, guard: None, open: Vec::new(), next, is_fixed: false, is_broken: false };
        Ok(Box::new(HookSession { session, block, changes, has_changed: Arc::clone(&self.has_changed) }))
    }
}

/// A part of a session, for one run of a hook.
struct HookSession {
    session: GateSession,
    /// For the transaction that is lent; `None`: it has one of its own.
    block: Option<Arc<TransactionBlock>>,
    changes: Changes,
    has_changed: Arc<AtomicBool>,
}

impl HookSession {
    async fn borrow(&self, lender: &mut Option<Lender<'_>>) -> Result<()> {
        let (Some(block), Some(Lender { source, driver, transaction })) = (&self.block, lender) else { return Ok(()) };
        block.branches().await.borrow_from((*source, *driver), transaction)
    }

    /// Waits for whatever of the call has not let go of the transaction.
    async fn give_back(&self, lender: &mut Option<Lender<'_>>) -> Result<()> {
        let (Some(block), Some(Lender { transaction, .. })) = (&self.block, lender) else { return Ok(()) };
        block.branches().await.give_back(transaction)
    }
}

impl Records for HookSession {
    fn is_broken(&self) -> bool {
        self.changes.is_broken
    }

    fn answer<'a>(
        &'a mut self,
        call: RecordCall,
        lender: Option<Lender<'a>>,
        until: &'a TimeBound,
    ) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move {
            if self.block.is_some() != lender.is_some() {
                return Err(Error::internal("a hook asked in another transaction than it was opened for"));
            }
            let mut lender = lender;
            self.borrow(&mut lender).await?;
            let (session, changes) = (&self.session, &mut self.changes);
            let answer = until_ended(session, until, changes.answer(session, call)).await;
            self.give_back(&mut lender).await?;
            answer
        })
    }

    fn close<'a>(&'a mut self, keeps: bool, lender: Option<Lender<'a>>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut lender = lender;
            self.borrow(&mut lender).await?;
            let closed = self.changes.close(&self.session, keeps).await;
            self.give_back(&mut lender).await?;
            if self.session.runs.block().changes().is_some() {
                // The end of the statement's transaction is theirs.
                self.has_changed.store(true, Ordering::Release);
            }
            if self.block.is_none() {
                return match closed {
                    Ok(()) if keeps => self.session.commit_block().await,
                    closed => {
                        self.session.drop_block().await;
                        closed
                    }
                };
            }
            closed
        })
    }
}

/// Waits for a call to end, which is cancelled when its time is over: it is not left before it has let go of the transaction.
pub(in crate::session) async fn until_ended<T>(
    session: &GateSession,
    until: &TimeBound,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut call = std::pin::pin!(call);
    tokio::select! {
        answer = &mut call => return answer,
        () = until.is_over() => {}
    }
    loop {
        session.runs.cancel_last();
        tokio::select! {
            answer = &mut call => return answer,
            () = tokio::time::sleep(CANCEL) => {}
        }
    }
}
