//! What a session's reader reads now of what the gate's own logs are about: asked for as any question of the session, within the statement
//! that wants to know.

use super::gate_session::GateSession;
use super::hook_records::{HookOrigin, read_keys, until_ended};
use crate::books::within::Within;
use crate::engine::LogReaders;
use crate::events::{self, EventReader, KeptEvents};
use crate::history::{self, HistoryReader, SeenRecords};
use crate::run::interrupt::Interrupt;
use crate::write::hooks::TimeBound;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use querygate_catalog::live::LiveExec;
use querygate_query_api::requests::events::EventStream;
use querygate_types::Result;
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

impl GateSession {
    /// Who reads field history and events in a plan.
    ///
    /// # Errors
    /// The reader's workspace cannot be made.
    pub(in crate::session) async fn log_readers(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        interrupt: &Interrupt,
    ) -> Result<LogReaders> {
        let (options, mut readers) = (self.gate.options(), LogReaders::default());
        if options.history.is_some() && reads(plan, history::NAME) {
            let workspace = self.gate.workspace(&self.gate.deployment(), &self.principal).await?;
            let records = self.reader_questions("querygate.history", interrupt)?;
            readers.history = Some(Arc::new(HistoryReader { workspace, records }));
        }
        if options.events.is_some() && reads(plan, events::NAME) {
            readers.events = Some(Arc::new(EventReader(self.reader_questions("querygate.events", interrupt)?)));
        }
        Ok(readers)
    }

    /// `what`: what its questions are in records of statements and in the audit file.
    fn reader_questions(&self, what: &str, interrupt: &Interrupt) -> Result<Arc<ReaderQuestions>> {
        let until = TimeBound {
            cancel: interrupt.token().clone(),
            deadline: interrupt.deadline().map(tokio::time::Instant::into_std),
        };
        let within = Within { hook: what.into(), is_system: false, has_turn: true, depth: self.runs.depth() };
        Ok(Arc::new(ReaderQuestions { origin: self.origin_of_reads()?, within, until }))
    }
}

fn reads(plan: &Arc<dyn ExecutionPlan>, table: &str) -> bool {
    let any: &dyn Any = plan.as_ref();
    any.downcast_ref::<LiveExec>().is_some_and(|live| live.table() == table)
        || plan.children().into_iter().any(|child| reads(child, table))
}

/// Asks as the reader, within the reader's statement.
pub(in crate::session) struct ReaderQuestions {
    pub(in crate::session) origin: HookOrigin,
    within: Within,
    pub(in crate::session) until: TimeBound,
}

impl ReaderQuestions {
    /// A part of the statement's session. Its block is dropped after its questions: at the higher levels the first has begun one.
    pub(in crate::session) fn session(&self) -> GateSession {
        GateSession::of_hook(&self.origin, self.within.clone(), Arc::clone(&self.origin.principal))
    }
}

impl SeenRecords for ReaderQuestions {
    fn seen<'a>(
        &'a self,
        object: &'a str,
        key: &'a str,
        keys: BTreeSet<String>,
    ) -> BoxFuture<'a, Result<BTreeSet<String>>> {
        Box::pin(async move {
            let session = self.session();
            let seen = until_ended(&session, &self.until, read_keys(&session, object, key, keys)).await;
            session.drop_block().await;
            seen
        })
    }
}

impl KeptEvents for ReaderQuestions {
    fn kept(self: Arc<Self>, objects: Option<Vec<String>>) -> BoxFuture<'static, Result<EventStream>> {
        Box::pin(async move { super::follow::kept(self, objects).await })
    }
}
