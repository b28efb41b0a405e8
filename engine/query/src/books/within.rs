//! What records and the audit file say of statements that a hook runs, beside whose session it is.

use serde_json::{Map, Value};
use std::sync::Arc;

/// Of which hook a statement is.
#[derive(Debug, Clone)]
pub(crate) struct Within {
    /// The hook that runs them.
    pub(crate) hook: Arc<str>,
    /// They run as the platform.
    pub(crate) is_system: bool,
    /// A statement waits for them, and has a turn.
    pub(crate) has_turn: bool,
    /// Hooks whose changes led to it, this one among them.
    pub(crate) depth: u32,
}

impl Within {
    /// What lines of the audit file say of it.
    pub(crate) fn mark(&self, line: &mut Map<String, Value>) {
        line.insert("hook".to_owned(), (&*self.hook).into());
        line.insert("as".to_owned(), (if self.is_system { "system" } else { "user" }).into());
    }
}
