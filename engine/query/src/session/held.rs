//! What a session holds while it runs nothing: for operators who look for who keeps others waiting, and for itself.

use super::gate_session::Inner;
use crate::advisory::{LockKey, SessionLocks};
use crate::run::held::{HeldKind, HeldResource, SessionHolder};
use crate::run::lifecycle::SessionRuns;
use crate::temporary::tables::TemporaryTables;
use datafusion::execution::memory_pool::MemoryPool;
use querygate_query_api::service::TransactionStatus;
use std::sync::{Mutex, PoisonError, Weak};

/// The parts of a session that hold something. None of them is kept from its end.
#[derive(Debug)]
pub(crate) struct SessionHoldings {
    pub(super) inner: Weak<Mutex<Inner>>,
    pub(super) runs: Weak<SessionRuns>,
    pub(super) locks: Weak<SessionLocks>,
    pub(super) temporary: Weak<TemporaryTables>,
    pub(super) kept_rows: Weak<dyn MemoryPool>,
    pub(super) prepared: Weak<dyn MemoryPool>,
}

impl SessionHolder for SessionHoldings {
    fn held(&self, sources: bool) -> Vec<HeldResource> {
        let mut held = Vec::new();
        if let Some(inner) = self.inner.upgrade() {
            let inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            held.extend(self.transaction(&inner, sources));
            let cursors = inner.cursors.iter().map(|(name, cursor)| HeldResource {
                kind: HeldKind::Cursor,
                name: name.clone(),
                state: if cursor.hold { "with hold" } else { "of its transaction" },
                since: Some(cursor.since),
                bytes: None,
            });
            held.extend(cursors);
        }
        if let Some(runs) = self.runs.upgrade() {
            let occupations = runs.activity().occupations.now();
            held.extend(occupations.into_iter().map(|one| HeldResource {
                kind: HeldKind::Occupation(one.occupation),
                name: one.object,
                state: "",
                since: Some(one.since),
                bytes: None,
            }));
        }
        held.extend(bytes_of(&self.kept_rows, HeldKind::CursorRows));
        held.extend(bytes_of(&self.prepared, HeldKind::PreparedStatements));
        let plain = |kind, name, state| HeldResource { kind, name, state, since: None, bytes: None };
        if let Some(temporary) = self.temporary.upgrade() {
            let names = temporary.now();
            held.extend(names.iter().map(|relation| plain(HeldKind::Temporary, relation.name.clone(), "")));
        }
        if let Some(locks) = self.locks.upgrade() {
            let name = |key| match key {
                LockKey::One(number) => number.to_string(),
                LockKey::Two(class, number) => format!("{class}, {number}"),
            };
            held.extend(locks.keys().into_iter().map(|key| plain(HeldKind::AdvisoryLock, name(key), "")));
        }
        held
    }
}

impl SessionHoldings {
    fn transaction(&self, inner: &Inner, sources: bool) -> Option<HeldResource> {
        let state = match inner.transaction.status() {
            TransactionStatus::Idle => return None,
            TransactionStatus::InTransaction => "open",
            TransactionStatus::Failed => "failed",
        };
        let block = self.runs.upgrade().and_then(|runs| runs.block().open()).filter(|_| sources);
        let name = block.map(|block| block.sources().join(", ")).unwrap_or_default();
        Some(HeldResource { kind: HeldKind::Transaction, name, state, since: inner.transaction.since(), bytes: None })
    }
}

fn bytes_of(account: &Weak<dyn MemoryPool>, kind: HeldKind) -> Option<HeldResource> {
    let bytes = account.upgrade()?.reserved();
    (bytes > 0).then(|| HeldResource { kind, name: String::new(), state: "", since: None, bytes: Some(bytes) })
}
