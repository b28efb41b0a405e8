//! Which records a session's reader reads now: asked for as any question of the session, within the statement that wants to know.

use super::gate_session::GateSession;
use super::hook_records::{HookOrigin, read_keys, until_ended};
use crate::books::within::Within;
use crate::history::{HistoryReader, NAME, SeenRecords};
use crate::run::interrupt::Interrupt;
use crate::write::hooks::TimeBound;
use async_trait::async_trait;
use datafusion::physical_plan::ExecutionPlan;
use querygate_catalog::live::LiveExec;
use querygate_types::Result;
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the questions are in records of statements and in the audit file.
const WITHIN: &str = "querygate.history";

impl GateSession {
    /// Who reads field history in a plan; `None`: the plan does not read it.
    ///
    /// # Errors
    /// The reader's workspace cannot be made.
    pub(in crate::session) async fn history_reader(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        interrupt: &Interrupt,
    ) -> Result<Option<Arc<HistoryReader>>> {
        if self.gate.options().history.is_none() || !reads_history(plan) {
            return Ok(None);
        }
        let workspace = self.gate.workspace(&self.gate.deployment(), &self.principal).await?;
        let until = TimeBound {
            cancel: interrupt.token().clone(),
            deadline: interrupt.deadline().map(tokio::time::Instant::into_std),
        };
        let within = Within { hook: WITHIN.into(), is_system: false, has_turn: true, depth: self.runs.depth() };
        let records = Arc::new(Asking { origin: self.origin_of_reads()?, within, until });
        Ok(Some(Arc::new(HistoryReader { workspace, records })))
    }
}

fn reads_history(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let any: &dyn Any = plan.as_ref();
    any.downcast_ref::<LiveExec>().is_some_and(|live| live.table() == NAME)
        || plan.children().into_iter().any(reads_history)
}

struct Asking {
    origin: HookOrigin,
    within: Within,
    until: TimeBound,
}

#[async_trait]
impl SeenRecords for Asking {
    async fn seen(&self, object: &str, key: &str, keys: BTreeSet<String>) -> Result<BTreeSet<String>> {
        let principal = Arc::clone(&self.origin.principal);
        let session = GateSession::of_hook(&self.origin, self.within.clone(), principal);
        let seen = until_ended(&session, &self.until, read_keys(&session, object, key, keys)).await;
        // At the higher levels its first read has begun a transaction.
        session.drop_block().await;
        seen
    }
}
