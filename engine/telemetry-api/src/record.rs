//! What the gate records of a finished statement. Holds no literal and no value of a row.

use crate::advice::Choice;
use crate::fragment::FragmentRecord;
use crate::run_sums::{EndedRun, RanFragments, RunSums};
use crate::table_writes::TableWrites;
use crate::trace::StatementTrace;
use querygate_query_api::service::Door;
use querygate_types::ErrorCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A finished statement.
#[derive(Debug, Clone)]
pub struct StatementRecord {
    /// Number of the statement, as `querygate.queries` shows it. Not ordered by time.
    pub id: u64,
    pub started: SystemTime,
    /// Login of the principal.
    pub login: Arc<str>,
    pub door: Door,
    /// `application_name`, as the client says it.
    pub application: Arc<str>,
    /// The statement with `?` for each literal, bounded in length.
    pub template: Arc<str>,
    /// Hash of the whole template: stable across literals, white space, letter case and the length of IN lists.
    pub fingerprint: u64,
    /// SQL names of the governed tables that it read.
    pub objects: Arc<[String]>,
    /// From the start to where the plan ran.
    pub planning: Duration,
    /// From the start to the first batch, of few rows to where more was asked for; `None` without one.
    pub first_row: Option<Duration>,
    /// From the start to the end, the reader's own pace included.
    pub total: Duration,
    /// Rows that the client was given.
    pub rows: u64,
    /// Rows of its table that it changed: of the first of its objects.
    pub changed: ChangedRows,
    /// What it wrote to tables of sources, with what followed of it.
    pub writes: Vec<TableWrites>,
    /// Their bytes in memory: an upper bound of what went over the wire in columns.
    pub bytes: u64,
    /// `None`: success, or a reader that left early.
    pub error: Option<ErrorCode>,
    /// Whether planning was spared.
    pub cached: bool,
    /// What the plan advisor chose; `None` where it was not asked.
    pub choice: Option<Choice>,
    /// In no order.
    pub fragments: Vec<FragmentRecord>,
    /// Further runs of the same, added up: everything above is of one run.
    pub more: Option<Box<RunSums>>,
    /// Whether it goes on: this is what it did so far, and its own record comes when it ends.
    pub under_way: bool,
    /// `None`: nobody traces.
    pub trace: Option<Box<StatementTrace>>,
}

/// Rows that a statement inserted, updated or deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangedRows {
    pub rows: u64,
    /// Whether it deleted them.
    pub deletes: bool,
}

impl StatementRecord {
    /// Runs that it stands for; none, while it goes on.
    #[must_use]
    pub fn runs(&self) -> u64 {
        u64::from(!self.under_way) + self.more.as_ref().map_or(0, |more| more.runs)
    }

    /// Takes in a record of the same statement that stands for more runs of it. The slower of the two runs stays.
    pub fn join(&mut self, mut other: Self) {
        if other.total > self.total {
            std::mem::swap(self, &mut other);
        }
        let more = self.more.get_or_insert_with(Box::default);
        more.add(&EndedRun::of(&other));
        if let Some(further) = &other.more {
            more.merge(further);
        }
    }

    /// Whether its run is one that may be added up with others.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        EndedRun::of(self).is_ordinary()
    }

    /// When the last of them began.
    #[must_use]
    pub fn last(&self) -> SystemTime {
        let more = self.more.as_ref().and_then(|more| more.last);
        more.map_or(self.started, |last| last.max(self.started))
    }
}

impl<'a> EndedRun<'a> {
    /// The run that a record is of.
    #[must_use]
    pub fn of(record: &'a StatementRecord) -> Self {
        Self {
            fingerprint: record.fingerprint,
            application: &record.application,
            objects: &record.objects,
            started: record.started,
            planning: record.planning,
            total: record.total,
            rows: record.rows,
            changed: record.changed.rows,
            writes: &record.writes,
            bytes: record.bytes,
            cached: record.cached,
            special: record.error.is_some() || record.choice.is_some(),
            fragments: RanFragments::Measured(&record.fragments),
        }
    }
}
