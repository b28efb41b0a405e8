//! Open sessions by their numbers, for those who may end what others run.

use super::held::{HeldResource, SessionHolder};
use super::lifecycle::SessionRuns;
use querygate_query_api::service::Door;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A statement ends; its session stays.
#[derive(Debug, Default)]
pub(crate) struct SessionDirectory {
    open: Mutex<BTreeMap<u64, OpenSession>>,
}

#[derive(Debug)]
pub(crate) struct OpenSession {
    pub(crate) login: Arc<str>,
    pub(crate) door: Door,
    pub(crate) runs: Weak<SessionRuns>,
    pub(crate) holder: Box<dyn SessionHolder>,
}

impl SessionDirectory {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, OpenSession>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, id: u64, session: OpenSession) {
        self.open().insert(id, session);
    }

    pub(crate) fn leave(&self, id: u64) {
        self.open().remove(&id);
    }

    /// What sessions of these logins hold: the number of each, its login, its door. `sources`: whether those of transactions are named.
    pub(crate) fn held(
        &self,
        of: impl Fn(&str) -> bool,
        sources: bool,
    ) -> Vec<(u64, Arc<str>, Door, Vec<HeldResource>)> {
        let open = self.open();
        let wanted = open.iter().filter(|(_, session)| of(&session.login));
        let held = |(id, session): (&u64, &OpenSession)| {
            (*id, Arc::clone(&session.login), session.door, session.holder.held(sources))
        };
        wanted.map(held).collect()
    }

    /// Ends a session, and what it runs. Whether there is such a one.
    pub(crate) fn end(&self, id: u64) -> bool {
        self.runs(id, None).inspect(|runs| runs.end()).is_some()
    }

    /// Ends what a session runs, if there is such a one of this login (`None`: of any). Whether there is.
    pub(crate) fn cancel(&self, id: u64, of: Option<&str>) -> bool {
        self.runs(id, of).inspect(|runs| runs.cancel_last()).is_some()
    }

    fn runs(&self, id: u64, of: Option<&str>) -> Option<Arc<SessionRuns>> {
        let open = self.open();
        open.get(&id).filter(|session| of.is_none_or(|login| *session.login == *login))?.runs.upgrade()
    }
}
