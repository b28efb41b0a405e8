//! Until when a script may run.

use querygate_metadata::model::{HookCapability, HookScript};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// One for all scripts of a sandbox, which run one after the other. Where none runs, nothing is over.
#[derive(Default)]
pub(crate) struct Watch {
    end: Cell<Option<Instant>>,
    wall_end: Cell<Option<Instant>>,
    is_over: Cell<bool>,
    /// Time that the script waited for answers, which is not its own.
    waited: Cell<Duration>,
    calls: Cell<u32>,
    undeclared: Cell<Option<HookCapability>>,
}

impl Watch {
    pub(crate) fn start(&self, now: Instant, script: &HookScript) {
        self.end.set(now.checked_add(script.cpu));
        self.wall_end.set(now.checked_add(script.wall));
        // A script without an end does not begin.
        self.is_over.set(self.end.get().is_none() || self.wall_end.get().is_none());
    }

    /// No script runs until the next one starts. What the last one used can still be asked.
    pub(crate) fn stop(&self) {
        self.end.set(None);
        self.wall_end.set(None);
        self.is_over.set(false);
    }

    /// Nothing was used.
    pub(crate) fn rest(&self) {
        self.stop();
        self.waited.set(Duration::ZERO);
        self.calls.set(0);
        self.undeclared.set(None);
    }

    /// Ends the script where it stands. It cannot go on by catching something.
    pub(crate) fn end(&self) {
        self.is_over.set(true);
    }

    /// Ends the script, which used what it does not declare.
    pub(crate) fn end_undeclared(&self, capability: Option<HookCapability>) {
        self.undeclared.set(capability);
        self.end();
    }

    /// Whether it was ended. One that came to its end by itself is not, however late that is seen.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_over.get()
    }

    pub(crate) fn undeclared(&self) -> Option<HookCapability> {
        self.undeclared.get()
    }

    pub(crate) fn answered(&self, waited: Duration) {
        self.waited.set(self.waited.get().saturating_add(waited));
        self.calls.set(self.calls.get().saturating_add(1));
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.get()
    }

    pub(crate) fn waited(&self) -> Duration {
        self.waited.get()
    }

    pub(crate) fn is_over(&self) -> bool {
        if self.is_over.get() {
            return true;
        }
        let (Some(end), Some(wall_end)) = (self.end.get(), self.wall_end.get()) else { return false };
        let now = Instant::now();
        let own = end.checked_add(self.waited.get());
        let over = own.is_none_or(|end| now > end) || now > wall_end;
        self.is_over.set(over);
        over
    }
}
