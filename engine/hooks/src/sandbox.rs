//! The engine: a runtime that many calls use, one after the other, each in a fresh context with bounds of its own.

use super::answer::{Fault, Made, read};
use super::call::{Call, LogLine, Report};
use super::context::{self, FreshContext};
use super::watch::Watch;
use querygate_metadata::model::HookScript;
use rquickjs::Runtime;
use std::rc::Rc;
use std::time::Instant;

const STACK_BYTES: usize = 256 << 10;
/// A runtime is made anew after this number of calls, so that nothing adds up.
const CALLS_MAX: usize = 10_000;
/// What the engine, its first context and a fresh one take, and some more; a script may have its own bound beside that.
const OWN_BYTES: usize = 256 << 10;
/// Until a script has so much, nothing is searched for what it no longer reaches.
const GARBAGE_BYTES: usize = 1 << 20;

/// Runs scripts. It belongs to the thread that made it.
#[derive(Default)]
pub struct Sandbox {
    /// Made ahead of the call that it is for; of the runtime.
    fresh: Option<FreshContext>,
    runtime: Option<Runtime>,
    calls: usize,
    watch: Rc<Watch>,
    measures: bool,
    memory: Option<u64>,
}

impl Sandbox {
    /// A runtime is made with the first call.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that says what each call takes of memory, which takes time.
    #[must_use]
    pub fn measured() -> Self {
        Self { measures: true, ..Self::default() }
    }

    /// Makes the context of the next call, and frees what is left of those before: to be called when no caller waits.
    pub fn prepare(&mut self) {
        if self.fresh.is_none() {
            // Where it cannot be made, the next call says so.
            self.fresh = self.made().ok();
        }
    }

    /// Runs a script to its end, or to that of what it may take.
    pub fn run(&mut self, script: &HookScript, call: &Call) -> Report {
        let started = Instant::now();
        self.watch.rest();
        let (made, log) = match self.fresh.take().map_or_else(|| self.made(), Ok) {
            Ok(fresh) => self.called(&fresh, script, call),
            Err(fault) => (Err(fault), Vec::new()),
        };
        let is_sound = matches!(made, Ok(_) | Err(Fault::Thrown(_) | Fault::Syntax(_)));
        // What ran out of something may have left things half done, and work that is left would be done in the next call.
        if !is_sound || self.runtime.as_ref().is_some_and(Runtime::is_job_pending) {
            self.clear();
        }
        let (calls, waited) = (self.watch.calls(), self.watch.waited());
        Report { made, log, took: started.elapsed(), calls, waited, memory: self.memory.take() }
    }

    fn called(
        &mut self,
        fresh: &FreshContext,
        script: &HookScript,
        call: &Call,
    ) -> (Result<Made, Fault>, Vec<LogLine>) {
        if let Some(runtime) = &self.runtime {
            runtime.set_gc_threshold(GARBAGE_BYTES);
            runtime.set_memory_limit(script.memory.saturating_add(OWN_BYTES));
        }
        self.watch.start(Instant::now(), script);
        let (answer, log) = fresh.run(script, call, &self.watch);
        if let (true, Some(runtime)) = (self.measures, &self.runtime) {
            self.memory = u64::try_from(runtime.memory_usage().malloc_size).ok();
        }
        let (undeclared, is_ended) = (self.watch.undeclared(), self.watch.is_ended());
        self.watch.stop();
        let made = match (undeclared, is_ended) {
            (Some(capability), _) => Err(Fault::Undeclared(capability)),
            (None, true) => Err(Fault::Time),
            (None, false) => answer.and_then(|text| read(&text)),
        };
        (made, log)
    }

    fn made(&mut self) -> Result<FreshContext, Fault> {
        let runtime = self.runtime()?;
        // A context goes by this alone, with all that is in it: each script finds the memory as the first one does.
        runtime.run_gc();
        runtime.set_memory_limit(0);
        FreshContext::new(&runtime, &self.watch)
    }

    fn clear(&mut self) {
        (self.fresh, self.runtime, self.calls) = (None, None, 0);
    }

    fn runtime(&mut self) -> Result<Runtime, Fault> {
        self.calls += 1;
        if self.calls > CALLS_MAX {
            self.clear();
        }
        if let Some(runtime) = &self.runtime {
            return Ok(runtime.clone());
        }
        let runtime = context::runtime()?;
        runtime.set_max_stack_size(STACK_BYTES);
        let watch = Rc::clone(&self.watch);
        runtime.set_interrupt_handler(Some(Box::new(move || watch.is_over())));
        self.runtime = Some(runtime.clone());
        Ok(runtime)
    }
}
