//! What runs of a statement add up to, and which runs may be added up.

use crate::fragment::{FragmentRecord, FragmentTemplate};
use crate::table_writes::TableWrites;
use crate::times::Times;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes that count as a row: rows that were gathered into one value are rows nevertheless.
const ROW_BYTES: u64 = 200;

/// Rows that a result counts as.
#[must_use]
pub const fn read_rows(rows: u64, bytes: u64) -> u64 {
    let by_size = bytes / ROW_BYTES;
    if by_size > rows { by_size } else { rows }
}

/// Rows, as [`read_rows`] counts them, of a run that may be added up: what gives more is judged by itself.
pub const ROWS_MAX: u64 = 200;

/// Rows that a run may change that is added up.
pub const CHANGED_MAX: u64 = 4;

/// Further runs of a statement, beside the one that a record is of. None of them failed, followed advice, read from files,
/// gave more than [`ROWS_MAX`] rows, or changed more than [`CHANGED_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSums {
    pub runs: u64,
    /// Those that were spared planning.
    pub cached: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Rows as [`read_rows`] counts them for each run: their sum, and the most of one run.
    pub read: u64,
    pub read_most: u64,
    /// Rows that they changed: their sum, and the most of one run.
    pub changed: u64,
    pub changed_most: u64,
    /// What they wrote to tables of sources.
    pub writes: Vec<TableWrites>,
    pub planning: Times,
    pub total: Times,
    /// Of the record's fragment; each of the runs had it once, completely. Nothing where the record has none.
    pub fragment: FragmentSums,
    /// When the last of them began.
    pub last: Option<SystemTime>,
}

/// The runs of their fragment. Runs that were not timed count with the times of the next one that was, or of the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FragmentSums {
    pub rows: u64,
    pub bytes: u64,
    pub total: Times,
    /// Waiting for a connection left out.
    pub worked: Times,
}

/// How long one run of a fragment took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FragmentTimes {
    total: Duration,
    worked: Duration,
}

impl FragmentTimes {
    pub(crate) fn of(fragment: &FragmentRecord) -> Self {
        Self { total: fragment.total, worked: fragment.total.saturating_sub(fragment.acquire) }
    }
}

impl FragmentSums {
    fn add(&mut self, rows: u64, bytes: u64) {
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Takes in what each of some runs took.
    pub(crate) fn add_times(&mut self, times: FragmentTimes, runs: u32) {
        self.total.add_runs(times.total, runs);
        self.worked.add_runs(times.worked, runs);
    }
}

impl RunSums {
    pub(crate) fn add(&mut self, run: &EndedRun<'_>) {
        let read = read_rows(run.rows, run.bytes);
        self.runs += 1;
        self.cached += u64::from(run.cached);
        self.rows = self.rows.saturating_add(run.rows);
        self.bytes = self.bytes.saturating_add(run.bytes);
        self.read = self.read.saturating_add(read);
        self.read_most = self.read_most.max(read);
        self.changed = self.changed.saturating_add(run.changed);
        self.changed_most = self.changed_most.max(run.changed);
        TableWrites::join(&mut self.writes, run.writes);
        self.planning.add(run.planning);
        self.total.add(run.total);
        match run.fragments {
            RanFragments::Measured(fragments) => {
                for fragment in fragments {
                    self.fragment.add(fragment.rows, fragment.bytes);
                    self.fragment.add_times(FragmentTimes::of(fragment), 1);
                }
            }
            RanFragments::Untimed(_) => self.fragment.add(run.rows, run.bytes),
        }
        self.last = self.last.max(Some(run.started));
    }

    /// Takes in a run that was not timed.
    pub(crate) fn add_repeated(&mut self, run: &RepeatedRun) {
        let read = read_rows(run.rows, run.bytes);
        self.runs += 1;
        self.cached += u64::from(run.cached);
        self.rows = self.rows.saturating_add(run.rows);
        self.bytes = self.bytes.saturating_add(run.bytes);
        self.read = self.read.saturating_add(read);
        self.read_most = self.read_most.max(read);
        self.planning.add(run.planning);
        self.total.add(run.total);
        self.fragment.add(run.rows, run.bytes);
        self.last = self.last.max(Some(run.started));
    }

    /// Takes in further runs of the same statement.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.cached += other.cached;
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.read = self.read.saturating_add(other.read);
        self.read_most = self.read_most.max(other.read_most);
        self.changed = self.changed.saturating_add(other.changed);
        self.changed_most = self.changed_most.max(other.changed_most);
        TableWrites::join(&mut self.writes, &other.writes);
        self.planning.merge(&other.planning);
        self.total.merge(&other.total);
        self.fragment.add(other.fragment.rows, other.fragment.bytes);
        self.fragment.total.merge(&other.fragment.total);
        self.fragment.worked.merge(&other.fragment.worked);
        self.last = self.last.max(other.last);
    }
}

/// A run that has ended: what decides whether it is added up, and what is added.
#[derive(Debug, Clone, Copy)]
pub struct EndedRun<'a> {
    pub fingerprint: u64,
    pub application: &'a Arc<str>,
    pub objects: &'a Arc<[String]>,
    pub started: SystemTime,
    pub planning: Duration,
    pub total: Duration,
    pub rows: u64,
    pub changed: u64,
    pub writes: &'a [TableWrites],
    pub bytes: u64,
    pub cached: bool,
    /// Whether it failed, or ran a plan that somebody chose.
    pub special: bool,
    pub fragments: RanFragments<'a>,
}

/// A run of a statement that was added up before in the same session, and of which one fragment is all. It succeeded, was read to its end,
/// changed nothing and was not timed.
#[derive(Debug, Clone, Copy)]
pub struct RepeatedRun {
    pub started: SystemTime,
    pub planning: Duration,
    pub total: Duration,
    pub rows: u64,
    pub bytes: u64,
    pub cached: bool,
}

impl RepeatedRun {
    /// Whether nothing of it is worth a record.
    pub(crate) fn is_ordinary(&self) -> bool {
        self.total <= Times::LONGEST && read_rows(self.rows, self.bytes) <= ROWS_MAX
    }
}

/// What is known of the fragments of a run.
#[derive(Debug, Clone, Copy)]
pub enum RanFragments<'a> {
    /// All of them were measured.
    Measured(&'a [FragmentRecord]),
    /// The one that is its whole statement, whose rows and bytes are the statement's; it was not timed. Earlier runs were.
    Untimed(&'a Arc<FragmentTemplate>),
}

impl<'a> EndedRun<'a> {
    /// Its first fragment.
    pub(crate) fn template(&self) -> Option<&'a Arc<FragmentTemplate>> {
        match self.fragments {
            RanFragments::Measured(fragments) => fragments.first().map(|fragment| &fragment.template),
            RanFragments::Untimed(template) => Some(template),
        }
    }

    /// How long its fragment took, where that was measured.
    pub(crate) fn times(&self) -> Option<FragmentTimes> {
        match self.fragments {
            RanFragments::Measured(fragments) => fragments.first().map(FragmentTimes::of),
            RanFragments::Untimed(_) => None,
        }
    }

    pub(crate) fn is_untimed(&self) -> bool {
        matches!(self.fragments, RanFragments::Untimed(_))
    }

    /// Whether nothing of it is worth a record.
    pub(crate) fn is_ordinary(&self) -> bool {
        let ordinary = |fragment: &FragmentRecord| {
            let FragmentRecord { complete, narrowed, ref nulls, reads, error, .. } = *fragment;
            complete && !narrowed && nulls.is_empty() && reads.is_none() && error.is_none()
        };
        let fragment = match self.fragments {
            RanFragments::Measured([]) | RanFragments::Untimed(_) => true,
            RanFragments::Measured([one]) => ordinary(one),
            RanFragments::Measured([_, _, ..]) => false,
        };
        !self.special
            && fragment
            && self.total <= Times::LONGEST
            && read_rows(self.rows, self.bytes) <= ROWS_MAX
            && self.changed <= CHANGED_MAX
    }
}
