//! Open sessions by their numbers, for those who may end what others run.

use super::lifecycle::SessionRuns;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A statement ends; its session stays.
#[derive(Debug, Default)]
pub(crate) struct SessionDirectory {
    open: Mutex<BTreeMap<u64, OpenSession>>,
}

#[derive(Debug)]
struct OpenSession {
    login: Arc<str>,
    runs: Weak<SessionRuns>,
}

impl SessionDirectory {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, OpenSession>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, id: u64, login: &Arc<str>, runs: &Arc<SessionRuns>) {
        self.open().insert(id, OpenSession { login: Arc::clone(login), runs: Arc::downgrade(runs) });
    }

    pub(crate) fn leave(&self, id: u64) {
        self.open().remove(&id);
    }

    /// Ends what a session runs, if there is such a one of this login (`None`: of any). Whether there is.
    pub(crate) fn cancel(&self, id: u64, of: Option<&str>) -> bool {
        let runs = {
            let open = self.open();
            let session = open.get(&id).filter(|session| of.is_none_or(|login| *session.login == *login));
            session.and_then(|session| session.runs.upgrade())
        };
        runs.inspect(|runs| runs.cancel_last()).is_some()
    }
}
