//! What sessions share: workspaces, engine states, bound statements.

use crate::bind::reader_rights::ReaderRights;
use crate::bind::statement::Bound;
use crate::bind::workspace::Workspace;
use crate::dialect::constants::Constants;
use crate::dialect::parameters::Declared;
use crate::engine::judged::Judged;
use crate::plan::template::Templates;
use crate::run::answers::Answers;
use crate::settings::list::Settings;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use moka::sync::Cache;
use querygate_pg_catalog::LeafToken;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is kept of one deployment, with the rights of its reader in each key.
#[derive(Debug)]
pub(crate) struct Caches {
    /// What principals may read, by the same as workspaces.
    pub(super) rights: Cache<(u64, String), Arc<ReaderRights>>,
    /// How many of them were evaluated.
    rights_made: AtomicU64,
    /// By version of the deployment and login, with the scope of narrowed credentials.
    pub(super) workspaces: Cache<(u64, String), Arc<Workspace>>,
    /// Engine states that sessions of one principal and equal settings share.
    pub(crate) states: Cache<StateKey, Arc<SessionState>>,
    /// Settings that sessions start with, by login and by what they name themselves. They depend on no deployment.
    pub(super) opened: Cache<String, Settings>,
    /// Statements bound before, by everything that binding depends on.
    pub(crate) bound: Cache<BoundKey, Arc<Bound>>,
    /// The constants of statements that ask the catalog, by their own texts. `None`: none of them may be a parameter.
    pub(crate) constants: Cache<BoundKey, Option<Arc<Constants>>>,
    /// Plans of bound statements that are kept for other values.
    pub(crate) templates: Templates,
    /// Answers of statements that ask the catalog alone.
    pub(crate) answers: Answers,
    /// What followers of changes share.
    pub(crate) judged: Judged,
    /// What bound statements, their plans and answers, rights and what followers share may take, charged to the engine as long as it runs.
    _bound_memory: MemoryReservation,
}

impl Caches {
    /// Empty ones. `memory_total`: what all statements together may hold, in bytes, out of `total`.
    ///
    /// # Errors
    /// The pool has not even these shares.
    pub(super) fn new(memory_total: usize, total: &Arc<dyn MemoryPool>) -> datafusion::error::Result<Self> {
        let bound_max = (memory_total / BOUND_SHARE).min(BOUND_MAX);
        let bound_memory = MemoryConsumer::new("bound statements").register(total);
        let templates_max = (memory_total / TEMPLATES_SHARE).min(TEMPLATES_MAX);
        let judged_max = (memory_total / JUDGED_SHARE).min(JUDGED_MAX);
        let rights_max = (memory_total / RIGHTS_SHARE).min(RIGHTS_MAX);
        let answers_max = (memory_total / ANSWERS_SHARE).min(ANSWERS_MAX);
        let constants_max = (memory_total / CONSTANTS_SHARE).min(CONSTANTS_MAX);
        let shares = [bound_max, constants_max, templates_max, answers_max, judged_max, rights_max];
        bound_memory.try_grow(shares.into_iter().fold(0, usize::saturating_add))?;
        Ok(Self {
            rights: Cache::builder()
                .max_capacity(rights_max as u64)
                .weigher(|(_, holder): &(u64, String), rights: &Arc<ReaderRights>| {
                    weight(rights.bytes().saturating_add(holder.len()))
                })
                .build(),
            rights_made: AtomicU64::new(0),
            workspaces: Cache::new(WORKSPACES_MAX),
            states: Cache::new(STATES_MAX),
            opened: Cache::new(OPENED_MAX),
            bound: Cache::builder()
                .max_capacity(bound_max as u64)
                .weigher(|key, bound: &Arc<Bound>| weight_of(key, bound))
                .build(),
            constants: Cache::builder()
                .max_capacity(constants_max as u64)
                .weigher(|key: &BoundKey, found: &Option<Arc<Constants>>| {
                    let bytes = found.as_ref().map_or(NO_CONSTANTS_BYTES, |found| found.bytes);
                    weight(bytes.saturating_add(key.text.len()).saturating_add(key.settings.len()))
                })
                .build(),
            templates: Templates::new(templates_max),
            answers: Answers::new(answers_max),
            judged: Judged::new(judged_max),
            _bound_memory: bound_memory,
        })
    }

    /// A number for rights that are evaluated.
    pub(super) fn next_number(&self) -> u64 {
        self.rights_made.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets all: what was made from another version holds all of it in memory; sessions that pinned it keep their own.
    pub(super) fn clear(&self) {
        self.rights.invalidate_all();
        self.workspaces.invalidate_all();
        self.states.invalidate_all();
        self.bound.invalidate_all();
        self.constants.invalidate_all();
        self.templates.clear();
        self.answers.clear();
        self.judged.clear();
    }
}

/// What an engine state depends on: a principal's catalog, and the settings that names and literals depend on.
type StateKey = (LeafToken, Arc<str>);

/// Bytes of rights kept, one per principal and version, as they are estimated; of the memory of all statements, a share at most. Each
/// event asks for those of all who follow.
const RIGHTS_MAX: usize = 64 << 20;
const RIGHTS_SHARE: usize = 64;
/// Workspaces kept: one per principal and version.
const WORKSPACES_MAX: u64 = 1_000;
/// Engine states kept.
const STATES_MAX: u64 = 1_000;
/// Start settings kept, and bytes of what such are named by: clients of other doors name what they like.
const OPENED_MAX: u64 = 1_000;
pub(super) const OPENED_KEY_MAX: usize = 512;
/// Bytes of bound statements kept, as they are estimated; of the memory of all statements, a share at most.
const BOUND_MAX: usize = 128 << 20;
const BOUND_SHARE: usize = 32;
/// Bytes of statements that ask the catalog kept with their constants apart, as they are estimated.
const CONSTANTS_MAX: usize = 16 << 20;
const CONSTANTS_SHARE: usize = 128;
/// What is kept of one that has none, beside its text, estimated.
const NO_CONSTANTS_BYTES: usize = 256;
/// Bytes of plans that are kept, as they are estimated; of the memory of all statements, a share at most.
const TEMPLATES_MAX: usize = 64 << 20;
const TEMPLATES_SHARE: usize = 64;
/// Bytes of answers of the catalog kept, as they are estimated; of the memory of all statements, a share at most.
const ANSWERS_MAX: usize = 16 << 20;
const ANSWERS_SHARE: usize = 128;
/// Bytes of what followers of changes share, as they are estimated; of the memory of all statements, a share at most.
const JUDGED_MAX: usize = 16 << 20;
const JUDGED_SHARE: usize = 128;
/// Texts longer than this are bound anew each time: a few of them would push out all others.
pub(crate) const BOUND_TEXT_MAX: usize = 64 << 10;

/// What a bound statement depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BoundKey {
    pub(crate) token: LeafToken,
    pub(crate) text: Arc<str>,
    pub(crate) declared: Vec<Option<Declared>>,
    /// Settings that names and literals depend on.
    pub(crate) settings: Arc<str>,
}

fn weight_of(key: &BoundKey, bound: &Bound) -> u32 {
    weight(bound.bytes().saturating_add(key.text.len()).saturating_add(key.settings.len()))
}

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    #[test]
    fn rights_are_kept_by_their_bytes() {
        let total: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 30));
        let caches = Caches::new(64 << 20, &total).unwrap();
        let most = (64 << 20) / RIGHTS_SHARE;
        assert!(total.reserved() >= most, "they are charged");
        let rights = Arc::clone(&Shop::open().owner().workspace.rights);
        assert!(rights.bytes() > 1_024, "{}", rights.bytes());
        for user in 0..1_000 {
            caches.rights.insert((1, format!("user{user}")), Arc::clone(&rights));
        }
        caches.rights.run_pending_tasks();
        let (kept, bytes) = (caches.rights.entry_count(), caches.rights.weighted_size());
        assert!(kept > 0 && kept < 1_000 && bytes <= most as u64, "{kept} of {bytes} bytes");
    }
}
