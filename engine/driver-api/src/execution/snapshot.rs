//! Snapshots of a source that are kept while several executions read parts of one result. Knows no source.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What a source answers when it is to keep a snapshot.
#[derive(Debug)]
pub enum SnapshotAnswer {
    /// It has no such thing: every execution sees a snapshot of its own.
    Unsupported,
    /// It could, and has no room now.
    NoRoom,
    /// It is kept from now on.
    Kept(Snapshot),
}

/// A kept snapshot: executions that name it see the same rows. It ends when this is dropped.
pub struct Snapshot {
    /// What executions name it by.
    pub name: Arc<str>,
    /// Pages of the table that the statement reads whole, where it can be read by them.
    pub pages: Option<u32>,
    /// Executions at once that leave room for others.
    pub executions_max: usize,
    /// What ends the snapshot when it is dropped.
    pub hold: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("name", &self.name).field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// What one execution reads of a kept snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotShare {
    /// The snapshot's name.
    pub snapshot: Arc<str>,
    /// The rows of these pages; `None`: all that the statement gives.
    pub pages: Option<Pages>,
}

/// Some pages of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// The first, counted from 0.
    pub from: u32,
    /// The first that is not among them.
    pub to: u32,
    /// Whether rows behind them belong to them too.
    pub last: bool,
}

impl Pages {
    /// Divides pages into `of` shares, or fewer where there are too few pages: each page is in exactly one.
    #[must_use]
    pub fn divided(pages: u32, of: usize) -> Vec<Self> {
        let of = u32::try_from(of).unwrap_or(u32::MAX).clamp(1, pages.max(1));
        let bound = |share: u32| u64::from(pages) * u64::from(share) / u64::from(of);
        let bound = |share: u32| u32::try_from(bound(share)).unwrap_or(pages);
        (0..of).map(|share| Self { from: bound(share), to: bound(share + 1), last: share + 1 == of }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_in_one_share() {
        for (pages, of, shares) in [(10, 3, 3), (2, 5, 2), (0, 4, 1), (u32::MAX, 64, 64), (7, 1, 1)] {
            let divided = Pages::divided(pages, of);
            assert_eq!(divided.len(), shares, "{pages} {of}");
            let mut at = 0;
            for share in &divided {
                assert_eq!((share.from, share.last), (at, share.to == pages), "{pages} {of}");
                at = share.to;
            }
            assert_eq!(at, pages);
        }
    }
}
