//! What followers share of a change that all of them hear of: its rows as policies look at them, and what is said of them to all who have
//! the same rights. Kept for a while in a bounded room; what is not there is made anew.

use crate::events::{RawRows, RowVerdict};
use moka::sync::Cache;
use querygate_types::Result;
use std::sync::Arc;

/// Rows of a change: the deployment of this version, the transaction's sequence, the change in it, the first of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PieceKey {
    pub(crate) version: u64,
    pub(crate) sequence: u64,
    pub(crate) change: usize,
    pub(crate) first: usize,
}

/// What was made of changes.
#[derive(Debug)]
pub(crate) struct Judged {
    raw: Cache<PieceKey, Arc<RawRows>>,
    /// By the number of the rights, too.
    verdicts: Cache<(u64, PieceKey), Arc<Vec<RowVerdict>>>,
}

/// Bytes of an entry beside its value.
const ENTRY_BYTES: usize = 160;

impl Judged {
    /// Empty. `bytes`: what all of it may take, as it is estimated.
    pub(super) fn new(bytes: usize) -> Self {
        let half = (bytes / 2) as u64;
        let of_verdicts = |verdicts: &Arc<Vec<RowVerdict>>| verdicts.iter().map(RowVerdict::bytes).sum::<usize>();
        Self {
            raw: Cache::builder().max_capacity(half).weigher(|_, raw: &Arc<RawRows>| weight(raw.bytes())).build(),
            verdicts: Cache::builder()
                .max_capacity(half)
                .weigher(move |_, verdicts| weight(of_verdicts(verdicts)))
                .build(),
        }
    }

    /// Rows as policies look at them.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn raw_rows(&self, key: PieceKey, make: impl FnOnce() -> Result<Arc<RawRows>>) -> Result<Arc<RawRows>> {
        found_or_made(&self.raw, key, make)
    }

    /// What is said of rows to all who have the rights of this number.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn verdicts(
        &self,
        rights: u64,
        key: PieceKey,
        make: impl FnOnce() -> Result<Arc<Vec<RowVerdict>>>,
    ) -> Result<Arc<Vec<RowVerdict>>> {
        found_or_made(&self.verdicts, (rights, key), make)
    }

    pub(super) fn clear(&self) {
        self.raw.invalidate_all();
        self.verdicts.invalidate_all();
    }
}

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(ENTRY_BYTES)).unwrap_or(u32::MAX)
}

/// Two who ask at the same time may both make it: to wait for the other would take longer.
fn found_or_made<K, V>(cache: &Cache<K, Arc<V>>, key: K, make: impl FnOnce() -> Result<Arc<V>>) -> Result<Arc<V>>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    if let Some(found) = cache.get(&key) {
        return Ok(found);
    }
    let made = make()?;
    cache.insert(key, Arc::clone(&made));
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::Error;

    fn key(sequence: u64) -> PieceKey {
        PieceKey { version: 1, sequence, change: 0, first: 0 }
    }

    #[test]
    fn what_is_said_is_shared_among_the_same_rights_alone() {
        let judged = Judged::new(1 << 20);
        let hidden = |count: usize| move || Ok(Arc::new((0..count).map(|_| RowVerdict::Hidden).collect::<Vec<_>>()));
        let refused = || Err(Error::internal("it was made"));
        assert!(judged.verdicts(1, key(7), refused).is_err(), "an error is not kept");
        assert_eq!(judged.verdicts(1, key(7), hidden(1)).unwrap().len(), 1);
        assert_eq!(judged.verdicts(1, key(7), refused).unwrap().len(), 1);
        assert_eq!(judged.verdicts(2, key(7), hidden(2)).unwrap().len(), 2, "other rights");
        assert_eq!(judged.verdicts(1, key(8), hidden(3)).unwrap().len(), 3, "another transaction");
        let other = PieceKey { version: 2, ..key(7) };
        assert_eq!(judged.verdicts(1, other, hidden(4)).unwrap().len(), 4, "another deployment");
        judged.clear();
        assert!(judged.verdicts(1, key(7), refused).is_err(), "it was forgotten");
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let judged = Judged::new(64 << 10);
        for sequence in 0..1_000 {
            let many = || Ok(Arc::new((0..10).map(|_| RowVerdict::Hidden).collect::<Vec<_>>()));
            judged.verdicts(1, key(sequence), many).unwrap();
        }
        judged.verdicts.run_pending_tasks();
        assert!(judged.verdicts.weighted_size() <= 32 << 10, "{}", judged.verdicts.weighted_size());
        assert!(judged.verdicts.entry_count() > 0);
    }
}
