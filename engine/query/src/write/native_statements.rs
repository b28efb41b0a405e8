//! The native statements of a change, kept for every run of the statement: no value and no time is in them.

use super::forms::at_once::AtOnce;
use super::values::computation::template::Template;
use querygate_catalog::write::{KeyRead, LockedRead, WriteTarget};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{ChangeOp, NativeChange};
use querygate_policy::RowFilter;
use querygate_policy::write::WritePermit;
use querygate_types::{ErrorCode, Result};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Changes of different columns that one statement makes, at most: which have a value may differ from run to run.
const CHANGES_MAX: usize = 8;
/// Runs in which a row was to be changed with its lock and was not, before it is no longer tried.
const LOCKED_FIRST_MAX: u32 = 2;

/// Filled as the statement runs.
#[derive(Debug, Default)]
pub(crate) struct NativeStatements {
    template: OnceLock<Option<Template>>,
    /// The row of a key under the policies of reading and changing.
    target: OnceLock<Option<KeyRead>>,
    /// The row of a key under CHECK.
    check: OnceLock<Option<KeyRead>>,
    changes: Mutex<Vec<(Vec<usize>, Arc<NativeChange>)>>,
    /// The change of the row of a key with its lock.
    at_once: OnceLock<Option<AtOnce>>,
    /// Runs without one between in which the source has not changed a row with its lock that it let be locked.
    locked_first: AtomicU32,
}

impl NativeStatements {
    /// What a change of a row by its key computes. `None`: it depends on its values.
    pub(super) fn template(&self, make: impl FnOnce() -> Option<Template>) -> Option<&Template> {
        self.template.get_or_init(make).as_ref()
    }

    /// The read that locks the target of a key. `None`: the source cannot be asked exactly this.
    ///
    /// # Errors
    /// As [`WriteTarget::having`], but for 0A000.
    pub(super) fn target(
        &self,
        table: &WriteTarget,
        key: &[Value],
        filter: impl FnOnce() -> RowFilter,
    ) -> Result<Option<LockedRead>> {
        key_read(&self.target, table, key, filter)
    }

    /// As [`target`](Self::target), of the stored row of a key.
    ///
    /// # Errors
    /// As there.
    pub(super) fn check(
        &self,
        table: &WriteTarget,
        key: &[Value],
        filter: impl FnOnce() -> RowFilter,
    ) -> Result<Option<LockedRead>> {
        key_read(&self.check, table, key, filter)
    }

    /// The change of the row of a key in the statement that locks it. `None`: the row is locked first.
    ///
    /// # Errors
    /// Internal ones.
    pub(super) fn at_once(&self, make: impl FnOnce() -> Result<Option<AtOnce>>) -> Result<Option<&AtOnce>> {
        if self.locked_first.load(Ordering::Relaxed) >= LOCKED_FIRST_MAX {
            return Ok(None);
        }
        let made = match self.at_once.get() {
            Some(made) => made,
            None => {
                let made = make()?;
                self.at_once.get_or_init(|| made)
            }
        };
        Ok(made.as_ref())
    }

    /// Whether the source has changed a row with its lock that it has. It does not where CHECK stands against the row, which says nothing
    /// of other rows, nor where rules of the table do: after some such runs, rows are locked first.
    pub(super) fn changed_at_once(&self, is_changed: bool) {
        if !is_changed {
            self.locked_first.fetch_add(1, Ordering::Relaxed);
        } else if self.locked_first.load(Ordering::Relaxed) > 0 {
            self.locked_first.store(0, Ordering::Relaxed);
        }
    }

    /// A change that stores these fields.
    ///
    /// # Errors
    /// As [`WriteTarget::change`].
    pub(super) fn change(
        &self,
        table: &WriteTarget,
        permit: &WritePermit,
        op: ChangeOp,
        places: &[usize],
    ) -> Result<Arc<NativeChange>> {
        let known = || self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, change)) = known().iter().find(|(own, change)| own == places && change.shape.op == op) {
            return Ok(Arc::clone(change));
        }
        let change = table.change(permit, op, places)?;
        let mut changes = known();
        if changes.len() < CHANGES_MAX {
            changes.push((places.to_vec(), Arc::clone(&change)));
        }
        Ok(change)
    }
}

fn key_read(
    kept: &OnceLock<Option<KeyRead>>,
    table: &WriteTarget,
    key: &[Value],
    filter: impl FnOnce() -> RowFilter,
) -> Result<Option<LockedRead>> {
    let read = match kept.get() {
        Some(read) => read,
        None => {
            let made = match table.key_read(&filter()) {
                Ok(made) => Some(made),
                Err(error) if error.code() == ErrorCode::FeatureNotSupported => None,
                Err(error) => return Err(error),
            };
            kept.get_or_init(|| made)
        }
    };
    match read {
        Some(read) => table.with_key(read, key),
        None => Ok(None),
    }
}
