//! What a script finds outside of itself: each call of `ctx.api` goes from its thread to the task of its statement, which answers.

use super::call::read;
use super::records::{Asker, RecordCall};
use super::refusal::{CallRefusal, failed};
use querygate_hooks::{Fault, Host};
use querygate_metadata::model::{HookCapability, RunAs};
use querygate_policy::hooks::ObjectHook;
use querygate_query_api::requests::record_change::random_uuid;
use querygate_types::principal::Principal;
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Calls of one run.
const CALLS_MAX: u32 = 1_000;
/// Bytes of one answer, and of all answers of a run.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const ANSWERS_BYTES_MAX: usize = 64 << 20;
/// Refusals that are remembered, so that one which the script passes on is known.
const REFUSALS_MAX: usize = 100;

/// What a thread of hooks asks of the task of its statement.
pub(super) enum Ask {
    Call {
        asker: Asker,
        call: Box<RecordCall>,
        end: Option<Instant>,
        reply: oneshot::Sender<Reply>,
    },
    /// The run has ended. `keeps`: what it changed is not undone.
    End {
        keeps: bool,
        reply: oneshot::Sender<Result<()>>,
    },
}

/// What became of a call.
pub(super) enum Reply {
    Answer(Value),
    /// The script may go on.
    Refused(Error),
    /// It may not.
    Stop(Error),
}

/// What one run asked for, and the refusals that it was given.
#[derive(Default)]
pub(super) struct Run {
    calls: u32,
    bytes: usize,
    pub(super) has_asked: bool,
    pub(super) has_asked_as_system: bool,
    pub(super) refusals: Vec<CallRefusal>,
    /// Why it may not go on.
    stop: Option<Error>,
}

/// The surroundings of one run of a script.
pub(super) struct Platform {
    hook: Arc<ObjectHook>,
    asker: Asker,
    is_system: bool,
    has_user: bool,
    asks: mpsc::Sender<Ask>,
    end: Option<Instant>,
    run: RefCell<Run>,
}

impl Platform {
    pub(super) fn new(hook: &Arc<ObjectHook>, asker: Asker, principal: &Principal, asks: mpsc::Sender<Ask>) -> Self {
        let end = Instant::now().checked_add(hook.hook().body.wall_time());
        let is_system = match asker.rights {
            RunAs::Inherit => principal.is_system(),
            RunAs::User => false,
            RunAs::System => true,
        };
        let has_user = !principal.user_id.is_empty();
        Self { hook: Arc::clone(hook), asker, is_system, has_user, asks, end, run: RefCell::default() }
    }

    /// Ends the run.
    ///
    /// # Errors
    /// Why the statement cannot go on, whatever the metadata says of errors of the hook.
    pub(super) fn end(&self, keeps: bool) -> Result<Run> {
        let mut run = self.run.take();
        if run.has_asked {
            let (reply, answer) = oneshot::channel();
            let keeps = keeps && run.stop.is_none();
            let sent = self.asks.blocking_send(Ask::End { keeps, reply });
            let ended = sent.ok().and_then(|()| answer.blocking_recv().ok());
            ended.unwrap_or_else(|| Err(gone())).or_else(|error| run.stop.take().map_or(Err(error), Err))?;
        }
        match run.stop.take() {
            Some(error) => Err(error),
            None => Ok(run),
        }
    }

    fn answer(&self, request: &str) -> Reply {
        {
            let mut run = self.run.borrow_mut();
            run.calls += 1;
            if run.calls > CALLS_MAX {
                let text = format!("a run of a hook makes {CALLS_MAX} calls of ctx.api at most");
                return Reply::Refused(Error::new(ErrorCode::ProgramLimitExceeded, text));
            }
        }
        let (capability, call) = match read(request) {
            Ok(read) => read,
            Err(error) => return Reply::Refused(error),
        };
        if !self.hook.capabilities().contains(&capability) {
            return Reply::Stop(failed(self.hook.hook(), undeclared(capability)));
        }
        if !self.is_system && !self.has_user {
            let text = "a hook that runs as the user asks for records, and there is no user";
            let error = Error::new(ErrorCode::InsufficientPrivilege, text);
            return Reply::Refused(error.with_vendor_code(VendorCode::HookUnscopedDataAccess));
        }
        {
            let mut run = self.run.borrow_mut();
            run.has_asked = true;
            run.has_asked_as_system |= self.is_system;
        }
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Call { asker: self.asker.clone(), call: Box::new(call), end: self.end, reply };
        let sent = self.asks.blocking_send(ask);
        sent.ok().and_then(|()| answer.blocking_recv().ok()).unwrap_or_else(|| Reply::Stop(gone()))
    }
}

impl Host for Platform {
    fn api(&self, request: &str) -> String {
        let error = match self.answer(request) {
            Reply::Answer(value) => {
                let text = json!({"ok": true, "value": value}).to_string();
                let mut run = self.run.borrow_mut();
                run.bytes = run.bytes.saturating_add(text.len());
                if text.len() <= ANSWER_BYTES_MAX && run.bytes <= ANSWERS_BYTES_MAX {
                    return text;
                }
                Error::new(ErrorCode::ProgramLimitExceeded, "the records that a hook asked for are too long")
            }
            Reply::Refused(error) => error,
            Reply::Stop(error) => {
                self.run.borrow_mut().stop.get_or_insert(error.clone());
                error
            }
        };
        let refusal = CallRefusal::of(error);
        let text = refusal.text();
        let mut run = self.run.borrow_mut();
        // What the platform hears, its user may not.
        if !self.is_system && run.refusals.len() < REFUSALS_MAX {
            run.refusals.push(refusal);
        }
        text
    }

    fn stops(&self) -> bool {
        self.run.borrow().stop.is_some()
    }

    fn uuid(&self) -> Option<String> {
        random_uuid().ok()
    }
}

fn undeclared(capability: HookCapability) -> &'static str {
    Fault::Undeclared(capability).reason()
}

fn gone() -> Error {
    Error::internal("the statement of a hook has ended before it")
}
