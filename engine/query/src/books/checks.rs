//! The self-check's books: which statements' turn it is, what was found. Bounded; holds no value. Runs nothing.

use crate::sql::template::Template;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Both runs gave the same.
    Equal,
    /// They did not, and the sources had not changed: push-down or local execution is wrong. The alarm.
    Different(String),
    /// They did not, but a second pushed run did not repeat the first either: rows changed meanwhile.
    Changed,
    /// The local run needs more rows or time than a check may take.
    TooLarge,
    /// The local run failed, with this SQLSTATE.
    Failed(&'static str),
    /// Two right runs may differ.
    Undetermined,
    /// Other checks were running.
    Busy,
}

impl Finding {
    /// As metrics and tables name it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Different(_) => "different",
            Self::Changed => "changed",
            Self::TooLarge => "too large",
            Self::Failed(_) => "failed",
            Self::Undetermined => "undetermined",
            Self::Busy => "busy",
        }
    }

    /// More about it.
    pub(crate) fn detail(&self) -> Option<&str> {
        match self {
            Self::Different(what) => Some(what),
            Self::Failed(sqlstate) => Some(sqlstate),
            Self::Equal | Self::Changed | Self::TooLarge | Self::Undetermined | Self::Busy => None,
        }
    }
}

/// One check.
#[derive(Debug, Clone)]
pub(crate) struct CheckRecord {
    /// Number of the checked statement.
    pub(crate) query: u64,
    pub(crate) at: SystemTime,
    pub(crate) login: String,
    pub(crate) template: Arc<Template>,
    pub(crate) sources: String,
    pub(crate) finding: Finding,
    pub(crate) took: Duration,
}

/// Checks remembered; differences are remembered longer than others.
const CHECKS_MAX: usize = 1_000;
/// Checks that run beside statements at the same time.
const CHECKS_AT_ONCE: usize = 1;
/// Parts of a whole in which shares are counted.
pub(crate) const WHOLE: u32 = 1_000_000;

/// The checks of one gate.
#[derive(Debug)]
pub(crate) struct Checks {
    /// Shares of all statements so far.
    shares: AtomicU64,
    at_once: Arc<Semaphore>,
    others: Mutex<VecDeque<CheckRecord>>,
    differences: Mutex<VecDeque<CheckRecord>>,
}

impl Default for Checks {
    fn default() -> Self {
        let at_once = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
        Self { shares: AtomicU64::new(0), at_once, others: Mutex::default(), differences: Mutex::default() }
    }
}

impl Checks {
    /// Whether this statement is to be checked, of which `share` (in parts of [`WHOLE`]) are. Evenly, without chance: a
    /// share of a quarter is every fourth.
    pub(crate) fn is_due(&self, share: u32) -> bool {
        if share == 0 {
            return false;
        }
        let before = self.shares.fetch_add(u64::from(share), Ordering::Relaxed);
        before % u64::from(WHOLE) + u64::from(share) >= u64::from(WHOLE)
    }

    /// A place beside other checks.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.at_once).try_acquire_owned().ok()
    }

    /// Counts, remembers, and raises the alarm.
    pub(crate) fn done(&self, record: CheckRecord) {
        metrics::counter!("querygate_self_checks_total", "outcome" => record.finding.name()).increment(1);
        let kept = match &record.finding {
            Finding::Different(what) => {
                tracing::error!(
                    query = record.query,
                    login = record.login,
                    sources = record.sources,
                    fingerprint = format!("{:016x}", record.template.fingerprint),
                    template = &*record.template.text,
                    what,
                    "self-check: a pushed statement and its local run differ"
                );
                &self.differences
            }
            Finding::Failed(sqlstate) => {
                tracing::warn!(query = record.query, sqlstate, "self-check: the local run failed");
                &self.others
            }
            Finding::Equal | Finding::Changed | Finding::TooLarge | Finding::Undetermined | Finding::Busy => {
                &self.others
            }
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CHECKS_MAX {
            kept.pop_front();
        }
        kept.push_back(record);
    }

    /// All that are remembered, oldest first.
    pub(crate) fn all(&self) -> Vec<CheckRecord> {
        let copy = |records: &Mutex<VecDeque<CheckRecord>>| -> Vec<CheckRecord> {
            records.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
        };
        let mut all = copy(&self.others);
        all.extend(copy(&self.differences));
        all.sort_by_key(|record| record.at);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_statements_is_due_evenly() {
        for (share, asked, expected) in
            [(0, 100, 0), (WHOLE, 100, 100), (WHOLE / 4, 100, 25), (WHOLE / 100, 1_000, 10), (1, 1_000, 0)]
        {
            let checks = Checks::default();
            assert_eq!((0..asked).filter(|_| checks.is_due(share)).count(), expected, "{share}");
        }
        let checks = Checks::default();
        let due: Vec<bool> = (0..8).map(|_| checks.is_due(WHOLE / 4)).collect();
        assert_eq!(due, [false, false, false, true, false, false, false, true]);
    }
}
