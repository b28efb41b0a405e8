//! The transaction block that a session's statements run in, and what is in the audit file of its changes.

use crate::books::change_log::ChangeLog;
use querygate_catalog::deployment::Deployment;
use querygate_driver_api::execution::Uncommitted;
use querygate_resources::TransactionBlock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A session's transaction block. Empty: its statements have nothing in common at any source.
#[derive(Debug, Default)]
pub(crate) struct SessionBlock {
    block: Mutex<Option<OpenBlock>>,
    /// The same as whether there is one, for statements that ask nothing else.
    is_open: AtomicBool,
    /// Number of the first statement that changed rows, and the lines of the last one.
    changes: Mutex<Option<(u64, ChangeLog)>>,
}

/// A block, with the version of the metadata whose rights its changes were decided by.
#[derive(Debug, Clone)]
pub(crate) struct OpenBlock {
    pub(crate) block: Arc<TransactionBlock>,
    pub(crate) version: Arc<Deployment>,
}

impl SessionBlock {
    /// The block, if there is one.
    pub(crate) fn open(&self) -> Option<Arc<TransactionBlock>> {
        self.slot().as_ref().map(|opened| Arc::clone(&opened.block))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// What the block's transaction shows to statements that read its source past the driver.
    pub(crate) fn uncommitted(&self) -> Option<Arc<Uncommitted>> {
        // Most statements are in no block.
        if !self.is_open() {
            return None;
        }
        self.open()?.uncommitted().map(Arc::clone)
    }

    /// The block, which is made if there is none.
    pub(crate) fn open_or(&self, make: impl FnOnce() -> OpenBlock) -> Arc<TransactionBlock> {
        let mut slot = self.slot();
        let block = Arc::clone(&slot.get_or_insert_with(make).block);
        self.is_open.store(true, Ordering::Release);
        block
    }

    /// The block, for its end: later statements are not in it.
    pub(crate) fn take(&self) -> Option<OpenBlock> {
        let mut slot = self.slot();
        self.is_open.store(false, Ordering::Release);
        slot.take()
    }

    /// A change of the block is in the audit file, where its end is to be, too.
    pub(crate) fn remember_change(&self, log: ChangeLog) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let first = changes.as_ref().map_or(log.query, |(first, _)| *first);
        *changes = Some((first, log));
    }

    /// The changes up to now, which stay until the transaction ends.
    pub(crate) fn changes(&self) -> Option<(u64, ChangeLog)> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The changes up to now: the number of the first, and the lines of the last.
    pub(crate) fn take_changes(&self) -> Option<(u64, ChangeLog)> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<OpenBlock>> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
