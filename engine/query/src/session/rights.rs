//! Rights of a session, and of an open transaction: it pins its version of the metadata, but no right that was taken away since.

use super::gate_session::GateSession;
use crate::books::clock::now_ms;
use crate::books::learning_feed::MeasuredStatement;
use crate::settings::list::Settings;
use crate::sql::classify::Classified;
use querygate_catalog::rights::{keeps_rights, keeps_write_rights};
use querygate_query_api::service::Door;
use querygate_types::{Error, ErrorCode, Result};
use std::time::Duration;

impl GateSession {
    /// Refuses a statement of a transaction whose version gives more than the current one. Looks once for each version.
    pub(super) fn rights_hold(&self, class: &Classified) -> Result<()> {
        let current = self.gate.deployment();
        let Some(pinned) = self.inner().transaction.pinned_with_unchecked_rights(current.version) else {
            return Ok(());
        };
        if matches!(class, Classified::Commit | Classified::Rollback | Classified::RollbackTo(_)) {
            return Ok(());
        }
        let writes = !self.runs.block().is_open() || keeps_write_rights(&pinned, &current, &self.principal, now_ms());
        if writes && keeps_rights(&pinned, &current, &self.principal, now_ms()) {
            self.inner().transaction.rights_hold(current.version);
            return Ok(());
        }
        Err(Error::new(ErrorCode::InsufficientPrivilege, "rights of this transaction were changed while it was open")
            .with_hint("Roll back; the next transaction has the rights of now."))
    }

    /// Native text shows policy: for operators, and for the local shell, whose user reads the configuration anyway.
    pub(crate) fn shows_native_text(&self) -> bool {
        self.principal.operator || self.door == Door::Shell
    }

    /// Room for what learning is told, unless nobody wants to know. Whoever is watched cannot switch the watching off: the setting
    /// ends advice for anybody, the record for operators and the gate's own pages only.
    pub(super) fn told(&self) -> Option<MeasuredStatement> {
        if self.gate.observer().tells() { self.told_under(&self.inner().settings) } else { None }
    }

    /// Room for that, and how long a statement may take, from one look at the settings.
    pub(super) fn told_and_timeout(&self) -> (Option<MeasuredStatement>, Option<Duration>) {
        let inner = self.inner();
        let told = if self.gate.observer().tells() { self.told_under(&inner.settings) } else { None };
        (told, inner.settings.timeout())
    }

    fn told_under(&self, settings: &Settings) -> Option<MeasuredStatement> {
        let may_hide = self.principal.operator || self.door == Door::Http;
        let hides = may_hide && !settings.learning();
        (!hides).then(|| self.learning_feed.begin(settings.application()))
    }
}

#[cfg(test)]
mod tests;
