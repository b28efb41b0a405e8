//! What runs of a statement add up to, and which runs may be added up.

use crate::fragment::FragmentRecord;
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

/// The runs of their fragment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FragmentSums {
    pub rows: u64,
    pub bytes: u64,
    pub total: Times,
    /// Waiting for a connection left out.
    pub worked: Times,
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
        for fragment in run.fragments {
            self.fragment.rows = self.fragment.rows.saturating_add(fragment.rows);
            self.fragment.bytes = self.fragment.bytes.saturating_add(fragment.bytes);
            self.fragment.total.add(fragment.total);
            self.fragment.worked.add(fragment.total.saturating_sub(fragment.acquire));
        }
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
        self.fragment.rows = self.fragment.rows.saturating_add(other.fragment.rows);
        self.fragment.bytes = self.fragment.bytes.saturating_add(other.fragment.bytes);
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
    pub fragments: &'a [FragmentRecord],
}

impl EndedRun<'_> {
    /// Whether nothing of it is worth a record.
    pub(crate) fn is_ordinary(&self) -> bool {
        let ordinary = |fragment: &FragmentRecord| {
            let FragmentRecord { complete, narrowed, ref nulls, reads, error, .. } = *fragment;
            complete && !narrowed && nulls.is_empty() && reads.is_none() && error.is_none()
        };
        let fragment = match self.fragments {
            [] => true,
            [one] => ordinary(one),
            [_, _, ..] => false,
        };
        !self.special
            && fragment
            && self.total <= Times::LONGEST
            && read_rows(self.rows, self.bytes) <= ROWS_MAX
            && self.changed <= CHANGED_MAX
    }
}
