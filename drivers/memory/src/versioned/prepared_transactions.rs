//! Transactions that have done everything but end: their rows are held until somebody says how they do. They last as long as the tables.

use super::open_transaction::OpenTransaction;
use super::store::State;
use querygate_driver_api::write::distributed::LISTED_MAX;
use querygate_driver_api::write::{Fate, GateId, GlobalId, Settled};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Those that wait, by their ids.
#[derive(Debug, Default)]
pub(super) struct PreparedTransactions(BTreeMap<GlobalId, Waiting>);

#[derive(Debug)]
struct Waiting {
    open: OpenTransaction,
    /// Tables that change if it is committed.
    tables: BTreeSet<Arc<str>>,
}

impl PreparedTransactions {
    /// Those of a gate.
    pub(super) fn of(&self, gate: GateId) -> Vec<GlobalId> {
        self.0.keys().filter(|id| id.gate == gate).copied().collect()
    }

    /// Whether one of them may change the table.
    pub(super) fn writes(&self, table: &Arc<str>) -> bool {
        self.0.values().any(|waiting| waiting.tables.contains(table))
    }
}

/// Keeps a transaction, or undoes it.
///
/// # Errors
/// 40001: what it read was changed; too many wait; internal: its id was given twice.
pub(super) fn prepare(state: &mut State, id: GlobalId, mut open: OpenTransaction, alone: bool) -> Result<()> {
    let refusal = if state.prepared.0.contains_key(&id) {
        Some(Error::internal("two transactions have one id"))
    } else if state.prepared.0.len() >= LISTED_MAX {
        Some(Error::new(ErrorCode::TooManyQueries, "too many prepared transactions"))
    } else {
        open.verify(state, alone).err()
    };
    if let Some(refusal) = refusal {
        open.rollback(state);
        return Err(refusal);
    }
    let tables = open.written();
    state.prepared.0.insert(id, Waiting { open, tables });
    Ok(())
}

/// Ends one that waits.
pub(super) fn settle(state: &mut State, id: &GlobalId, fate: Fate) -> Settled {
    let Some(Waiting { mut open, .. }) = state.prepared.0.remove(id) else { return Settled::Absent };
    match fate {
        Fate::Committed => open.store(state),
        Fate::RolledBack => open.rollback(state),
    }
    Settled::Done
}
