//! What all runs of a gate share. Knows no run.

use crate::books::observe::Observer;
use crate::run::admission::Admission;
use crate::run::memory::Account;
use datafusion::execution::memory_pool::MemoryPool;
use querygate_resources::SourceShares;
use querygate_resources::memory::Owner;
use std::sync::Arc;

/// What all runs of a gate share.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) admission: Admission,
    pub(crate) observer: Arc<Observer>,
    /// Where queries run: not the runtime of the wire, so that CPU-bound work cannot starve it.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) source_shares: Arc<SourceShares>,
    /// Rows of one result; `None`: any number.
    pub(crate) rows_max: Option<u64>,
    /// Memory that one statement may hold, in bytes.
    pub(crate) memory_per_query: usize,
}

impl Resources {
    /// What a statement that is charged to this user's share may hold.
    pub(crate) fn statement_account(&self, user: &Arc<dyn MemoryPool>) -> Arc<dyn MemoryPool> {
        Account::new(Owner::Statement, Arc::clone(user), self.memory_per_query)
    }
}
