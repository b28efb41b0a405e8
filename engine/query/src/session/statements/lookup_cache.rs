//! Look-ups that a session runs again and again. A run that delivered messages leaves with its statement what it found; a later one
//! compares some numbers to see that all of it still holds, and goes straight to the source.

use super::prepared::PreparedStatement;
use crate::bind::statement::Bound;
use crate::plan::executable;
use crate::run::admission::Place;
use crate::run::lifecycle::Run;
use crate::run::start_time::StartTime;
use crate::session::gate_session::GateSession;
use querygate_driver_api::value::Value;
use querygate_query_api::service::{LookUp, LookUpOutcome, LookUpRefusal};
use querygate_types::Result;
use querygate_types::wire_rows::{Given, WireForm, WireRows};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the last run of a statement found, and all that it depends on.
#[derive(Debug)]
pub(in crate::session) struct CachedLookup {
    session: u64,
    /// Of the metadata. What it gives its principal may end by the clock before it is replaced.
    version: u64,
    until_ms: Option<i64>,
    /// Of the session's settings.
    settings: u64,
    timeout: Option<Duration>,
    bound: Arc<Bound>,
    place: Place,
}

impl GateSession {
    /// Keeps what a run found, for the next one.
    pub(in crate::session) fn keep_look_up(&self, prepared: &PreparedStatement, bound: &Arc<Bound>) {
        let inner = self.inner();
        // A transaction may read an older version.
        if inner.transaction.is_open() || self.runs.block().is_open() || inner.settings.check_share() > 0 {
            return;
        }
        let (settings, timeout) = (inner.settings.stamp(), inner.settings.timeout());
        drop(inner);
        let look_up = CachedLookup {
            session: self.id,
            version: bound.catalog().token().state_version,
            until_ms: bound.workspace().rights.until_ms,
            settings,
            timeout,
            bound: Arc::clone(bound),
            place: self.runs.place(),
        };
        *kept(prepared) = Some(Arc::new(look_up));
    }

    /// What a run found, if it holds for another one that begins now.
    fn cached_look_up(
        &self,
        prepared: &PreparedStatement,
        now: SystemTime,
    ) -> std::result::Result<Arc<CachedLookup>, LookUpRefusal> {
        let look_up = Arc::clone(kept(prepared).as_ref().ok_or(LookUpRefusal::FirstRun)?);
        let inner = self.inner();
        let same = !inner.transaction.is_open() && inner.settings.stamp() == look_up.settings;
        drop(inner);
        // A temporary table may have taken a name.
        let same = same && !self.runs.block().is_open() && !self.has_temporary();
        let holds = same && look_up.session == self.id && look_up.version == self.gate.version();
        if holds && look_up.until_ms.is_none_or(|until| milliseconds(now) < until) {
            Ok(look_up)
        } else {
            Err(LookUpRefusal::Outdated)
        }
    }

    pub(in crate::session) fn begin_look_up<'a>(
        &'a self,
        prepared: &'a PreparedStatement,
        given: &[Given<'_>],
        form: WireForm,
    ) -> std::result::Result<LookUp<'a>, LookUpRefusal> {
        let began = StartTime::now();
        let cached = self.cached_look_up(prepared, began.at)?;
        let values = match &prepared.constants {
            None => cached.bound.given(given),
            // It has no parameter that a client could give a value.
            Some(own) if given.is_empty() => executable::values_of(&cached.bound, &own.constants.values),
            Some(_) => None,
        };
        let values = values.ok_or(LookUpRefusal::Values)?;
        Ok(Box::pin(self.look_up_again(prepared, cached, values, form, began)))
    }

    async fn look_up_again(
        &self,
        prepared: &PreparedStatement,
        cached: Arc<CachedLookup>,
        values: Vec<Value>,
        form: WireForm,
        began: StartTime,
    ) -> Result<LookUpOutcome> {
        let mut run = self.begin_run_at(prepared, Arc::clone(cached.bound.objects()), began);
        let interrupt = self.runs.look_up_interrupt(cached.timeout.map(|timeout| run.started() + timeout));
        match interrupt.within(self.find(&mut run, &cached, values, form)).await {
            Ok(Ok(rows)) => run.deliver(rows).map(LookUpOutcome::Rows),
            Ok(Err(declined)) => {
                run.withdraw();
                Ok(LookUpOutcome::Declined(declined))
            }
            Err(error) => Err(run.fail(error)),
        }
    }

    /// The rows, unless the source declines or the statement has no fragment for these values.
    async fn find(
        &self,
        run: &mut Run,
        cached: &CachedLookup,
        values: Vec<Value>,
        form: WireForm,
    ) -> Result<std::result::Result<WireRows, LookUpRefusal>> {
        // A turn that is free now is given back by this look-up itself, and costs no count of owners.
        let turn = if self.runs.is_ended() { None } else { cached.place.short_turn() };
        if turn.is_none() {
            run.admit().await?;
        }
        let Some(call) = executable::written_given(&cached.bound, values)? else {
            return Ok(Err(LookUpRefusal::Values));
        };
        let found = self.called_written(call, run, form).await;
        drop(turn);
        found
    }
}

fn kept(prepared: &PreparedStatement) -> MutexGuard<'_, Option<Arc<CachedLookup>>> {
    prepared.look_up.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
