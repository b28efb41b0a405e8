//! Look-ups that a session runs again and again. The first run goes the usual way and leaves with its statement what it found; a later
//! one compares some numbers to see that all of it still holds, and goes straight to the source. What does not hold, or is unusual,
//! is left to the usual way.

use super::prepared::PreparedStatement;
use super::wire_rows::Run;
use crate::bind::statement::Bound;
use crate::plan::executable;
use crate::run::admission::Place;
use crate::run::execute;
use crate::session::gate_session::GateSession;
use querygate_driver_api::Value;
use querygate_query_api::LookUp;
use querygate_types::{Given, Result, WireForm, WireRows};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the last run of a statement found, and all that it depends on.
#[derive(Debug)]
pub(in crate::session) struct Armed {
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
    pub(in crate::session) fn arm(&self, prepared: &PreparedStatement, bound: &Arc<Bound>) {
        let inner = self.inner();
        // A transaction may read an older version.
        if inner.transaction.is_open() || inner.settings.check_share() > 0 {
            return;
        }
        let (settings, timeout) = (inner.settings.stamp(), inner.settings.timeout());
        drop(inner);
        let armed = Armed {
            session: self.id,
            version: bound.catalog().token().state_version,
            until_ms: bound.workspace().until_ms,
            settings,
            timeout,
            bound: Arc::clone(bound),
            place: self.gate.place(&self.principal.login),
        };
        *kept(prepared) = Some(Arc::new(armed));
    }

    /// What a run found, if it holds for another one that begins now.
    fn armed(&self, prepared: &PreparedStatement, now: SystemTime) -> Option<Arc<Armed>> {
        let armed = Arc::clone(kept(prepared).as_ref()?);
        let inner = self.inner();
        let same = !inner.transaction.is_open() && inner.settings.stamp() == armed.settings;
        drop(inner);
        let holds = same && armed.session == self.id && armed.version == self.gate.version();
        (holds && armed.until_ms.is_none_or(|until| milliseconds(now) < until)).then_some(armed)
    }

    pub(in crate::session) fn begin_look_up<'a>(
        &'a self,
        prepared: &'a PreparedStatement,
        given: &[Given<'_>],
        form: WireForm,
    ) -> Option<LookUp<'a>> {
        let began = SystemTime::now();
        let armed = self.armed(prepared, began)?;
        let values = armed.bound.given(given)?;
        let running = self.looking.begin();
        Some(Box::pin(self.looked_up((prepared, armed), values, form, (began, running))))
    }

    async fn looked_up(
        &self,
        (prepared, armed): (&PreparedStatement, Arc<Armed>),
        values: Vec<Value>,
        form: WireForm,
        (began, running): (SystemTime, Running<'_>),
    ) -> Result<Option<WireRows>> {
        let mut run = Run::begin(self, began, form);
        let deadline = armed.timeout.map(|timeout| run.started + timeout);
        let mut expired = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        let found = {
            let mut work = pin!(self.found(&armed, values, &mut run));
            poll_fn(|context| {
                if running.is_over() {
                    return Poll::Ready(Err(execute::canceled()));
                }
                if expired.as_mut().is_some_and(|expired| expired.as_mut().poll(context).is_ready()) {
                    return Poll::Ready(Err(execute::timed_out()));
                }
                work.as_mut().poll(context)
            })
            .await
        };
        self.ended(prepared, &armed.bound, run, found)
    }

    /// The rows, or `None`: they are to be asked for in another way.
    async fn found(&self, armed: &Armed, values: Vec<Value>, run: &mut Run) -> Result<Option<WireRows>> {
        let turn = armed.place.short_turn();
        let waited = match &turn {
            Some(_) => None,
            None => Some(self.gate.admit(&self.principal.login).await?),
        };
        let Some(call) = executable::written_given(&armed.bound, values)? else { return Ok(None) };
        let found = self.called_written(call, run).await;
        drop((turn, waited));
        found
    }
}

fn kept(prepared: &PreparedStatement) -> MutexGuard<'_, Option<Arc<Armed>>> {
    prepared.armed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Whether a session looks something up, and whether it still should.
#[derive(Debug, Default)]
pub(in crate::session) struct Looking(AtomicU8);

const IDLE: u8 = 0;
const RUNS: u8 = 1;
const CANCELLED: u8 = 2;

/// A look-up runs, until this is dropped.
pub(in crate::session) struct Running<'a>(&'a Looking);

impl Looking {
    fn begin(&self) -> Running<'_> {
        self.0.store(RUNS, Ordering::Release);
        Running(self)
    }

    /// Ends the look-up that runs, if one does.
    pub(in crate::session) fn cancel(&self) {
        // Whatever else it is, there is nothing to end.
        let _ = self.0.compare_exchange(RUNS, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl Running<'_> {
    fn is_over(&self) -> bool {
        self.0.0.load(Ordering::Acquire) == CANCELLED
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.0.store(IDLE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_ends_the_look_up_that_runs_and_no_other() {
        let looking = Looking::default();
        looking.cancel();
        let running = looking.begin();
        assert!(!running.is_over(), "none ran");
        looking.cancel();
        looking.cancel();
        assert!(running.is_over());
        drop(running);
        looking.cancel();
        assert!(!looking.begin().is_over(), "a cancel of one before does not count");
    }
}
