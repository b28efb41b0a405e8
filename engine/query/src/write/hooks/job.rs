//! The work of hooks, on a thread of its own: every hook for every row, one after the other.

use super::platform::{Ask, Platform, Run};
use super::records::Asker;
use super::refusal::{Audience, failed, refused};
use super::time_bound::TimeBound;
use super::{HookRow, native};
use crate::write::values::rows::Row;
use querygate_hooks::{Call, Fault, Host, LogLevel, LogLine, Made, Report, Sandbox};
use querygate_metadata::model::{HookEvent, OnError, RunAs};
use querygate_policy::hooks::{HookCode, HookScene, ObjectHook};
use querygate_types::Result;
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How much longer than it may a call can take before it is given up.
const GRACE: Duration = Duration::from_secs(2);

/// What hooks are to be run for.
pub(super) struct Job {
    pub(super) hooks: Vec<Arc<ObjectHook>>,
    pub(super) event: HookEvent,
    pub(super) object: String,
    pub(super) principal: Arc<Principal>,
    pub(super) now_ms: i64,
    pub(super) audience: Audience,
    /// Its rows among those of the statement.
    pub(super) place: Place,
    pub(super) until: TimeBound,
    pub(super) progress: Arc<Progress>,
    /// Whether a statement waits for them.
    pub(super) is_waited_for: bool,
    /// The change is the platform's own, so that hooks inherit its rights.
    pub(super) is_platform: bool,
}

/// The call that is running, and when it should have ended.
#[derive(Default)]
pub(super) struct Progress {
    running: Mutex<Running>,
}

#[derive(Default)]
enum Running {
    #[default]
    Nothing,
    Until(Instant, Arc<ObjectHook>),
    /// It was given up.
    Lost(Arc<ObjectHook>),
}

impl Progress {
    fn begin(&self, hook: &Arc<ObjectHook>) {
        if let Some(end) = Instant::now().checked_add(hook.hook().body.own_time() + GRACE) {
            *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Running::Until(end, Arc::clone(hook));
        }
    }

    /// The call was waiting for so long, which is not its own time.
    pub(super) fn waited(&self, time: Duration) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Running::Until(end, _) = &mut *running {
            *end = end.checked_add(time).unwrap_or(*end);
        }
    }

    fn end(&self) {
        let was = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        if let Running::Lost(hook) = was {
            hook.statistics().find();
        }
    }

    /// The hook whose call goes on after its end; from then on no other call of it begins.
    pub(super) fn lose(&self) -> Option<Arc<ObjectHook>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Running::Until(end, hook) = &*running else { return None };
        if Instant::now() < *end {
            return None;
        }
        let lost = Arc::clone(hook);
        lost.statistics().lose();
        *running = Running::Lost(Arc::clone(&lost));
        Some(lost)
    }
}

impl Job {
    /// What is to be stored of each row. `asks`: where scripts ask for other records.
    pub(super) fn run(&self, rows: Vec<HookRow>, asks: &mpsc::Sender<Ask>) -> Result<Vec<Row>> {
        let mut sandbox = Sandbox::new();
        let mut inputs = Vec::with_capacity(rows.len());
        for (index, mut row) in rows.into_iter().enumerate() {
            for hook in &self.hooks {
                self.until.goes_on()?;
                if self.applies(hook, &row)? {
                    // Changes that it is not for go on.
                    if hook.statistics().is_lost() {
                        return Err(failed(hook.hook(), "a run of it has not ended"));
                    }
                    self.run_one(&mut sandbox, hook, (&mut row, self.place.first + index), asks)?;
                }
            }
            inputs.push(row.input);
        }
        Ok(inputs)
    }

    fn run_one(
        &self,
        sandbox: &mut Sandbox,
        hook: &Arc<ObjectHook>,
        (row, index): (&mut HookRow, usize),
        asks: &mpsc::Sender<Ask>,
    ) -> Result<()> {
        let platform = Rc::new(Platform::new(hook, self.asker(hook), &self.principal, asks.clone()));
        self.progress.begin(hook);
        let host: Rc<dyn Host> = Rc::clone(&platform) as Rc<dyn Host>;
        let call = self.call(row, index, host);
        let Report { made, log: lines, took, calls, waited, .. } = match hook.code() {
            Some(HookCode::Script(script)) => sandbox.run(script, &call),
            Some(HookCode::Native(code)) => native::run(code, self.event, call, hook.hook().body.own_time()),
            None => return Err(failed(hook.hook(), "there is nothing that it runs")),
        };
        self.progress.end();
        hook.statistics().count(took, made.is_err());
        hook.statistics().count_calls(calls, waited);
        lines.iter().for_each(|line| log(&hook.hook().name, line));
        let run = platform.end(made.is_ok())?;
        if run.has_asked {
            // Whatever it caught of that.
            self.until.goes_on()?;
        }
        match made {
            Ok(made) => self.take(made, row),
            Err(fault) => self.refuse(hook, &fault, &run)?,
        }
        Ok(())
    }

    fn asker(&self, hook: &ObjectHook) -> Asker {
        let rights = match hook.hook().run_as {
            RunAs::Inherit if self.is_platform => RunAs::System,
            rights => rights,
        };
        let may_fail = match hook.hook().on_error {
            OnError::Log => true,
            OnError::Abort => false,
        };
        Asker { hook: hook.hook().name.as_str().into(), rights, is_waited_for: self.is_waited_for, may_fail }
    }

    fn applies(&self, hook: &ObjectHook, row: &HookRow) -> Result<bool> {
        let mut record = row.previous.clone().unwrap_or_default();
        match &row.result {
            Some(result) => record.clone_from(result),
            None => record.extend(row.input.clone()),
        }
        let (previous, principal) = (row.previous.as_ref(), self.principal.as_ref());
        let scene = HookScene { record: &record, previous, principal, now_ms: self.now_ms };
        hook.applies(scene).map_err(|reason| failed(hook.hook(), &format!("its condition has no value: {reason}")))
    }

    /// What a hook made: after a change it is a copy, which is dropped.
    fn take(&self, made: Made, row: &mut HookRow) {
        if !self.event.is_after() {
            row.input = made.input;
            row.input.extend(made.returned.unwrap_or_default());
        }
    }

    fn refuse(&self, hook: &ObjectHook, fault: &Fault, run: &Run) -> Result<()> {
        // What it read as the platform may be in its words.
        let audience = if run.has_asked_as_system { self.audience.reads_part() } else { self.audience };
        let error = refused(hook.hook(), fault, audience, &run.refusals);
        let is_waited_for = !(hook.hook().is_async && self.event.is_after());
        match hook.hook().on_error {
            OnError::Log if is_waited_for => {
                tracing::warn!(
                    hook = hook.hook().name,
                    cause = error.cause(),
                    "a hook failed, which its metadata accepts"
                );
                Ok(())
            }
            OnError::Abort | OnError::Log => Err(error),
        }
    }

    fn call(&self, row: &HookRow, index: usize, host: Rc<dyn Host>) -> Call {
        let mut held = Map::new();
        let principal = &self.principal;
        held.insert("event".to_owned(), self.event.name().into());
        held.insert("object".to_owned(), self.object.as_str().into());
        held.insert("input".to_owned(), row.input.clone().into());
        held.insert("previous".to_owned(), row.previous.clone().map_or(Value::Null, Value::Object));
        if let Some(submitted) = &row.submitted {
            held.insert("submitted".to_owned(), submitted.clone().into());
        }
        if let Some(result) = &row.result {
            held.insert("result".to_owned(), result.clone().into());
        }
        if let Some(found) = &row.found {
            held.insert("result".to_owned(), found.clone());
        }
        let positions: Vec<&String> = principal.positions.iter().collect();
        let session =
            json!({"userId": principal.user_id, "positions": positions, "tenantId": principal.organization_id});
        held.insert("session".to_owned(), session);
        held.insert("user".to_owned(), json!({"id": principal.user_id, "email": principal.email}));
        held.insert("dispatch".to_owned(), self.place.dispatch(index));
        let seed = u32::try_from(index).unwrap_or_default()
            ^ u32::try_from(self.now_ms.rem_euclid(1 << 32)).unwrap_or_default();
        Call { held, now_ms: self.now_ms, seed, host }
    }
}

/// Rows among those of their statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) first: usize,
    pub(super) count: usize,
    /// Each is changed by itself, as what follows of another change is.
    pub(super) each_alone: bool,
}

impl Place {
    /// What a script hears of the row with this number.
    fn dispatch(self, index: usize) -> Value {
        let (mode, index) = match (self.each_alone, self.count) {
            (true, _) => ("record", 0),
            (false, 1) => ("record", index),
            (false, _) => ("per-row", index),
        };
        json!({"mode": mode, "index": index})
    }
}

fn log(hook: &str, line: &LogLine) {
    let text = line.text.as_str();
    match line.level {
        LogLevel::Debug => tracing::debug!(hook, text, "a hook says"),
        LogLevel::Info => tracing::info!(hook, text, "a hook says"),
        LogLevel::Warn => tracing::warn!(hook, text, "a hook says"),
        LogLevel::Error => tracing::error!(hook, text, "a hook says"),
    }
}
