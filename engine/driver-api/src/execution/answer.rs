//! How a statement is asked of a driver, and the forms of its answer. Knows no source and no client.

use super::room::Room;
use super::uncommitted::Uncommitted;
use crate::execution::SnapshotShare;
use arrow::array::RecordBatch;
use futures::stream::BoxStream;
use querygate_types::wire_rows::{WireForm, WireRows};
use querygate_types::{Error, PgType, PlannerSetting, Result, limits};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Batches as the source yields them: bounded in flight, back-pressured, all of the statement's schema. After an error
/// the stream ends. Dropping it stops the source's own query.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// The form in which the rows of a statement are asked for.
#[derive(Debug, Clone)]
pub enum Ask<'a> {
    /// Any number of rows, on a connection of the execution's own.
    Batches(ExecuteContext),
    /// The few rows that a key finds, all at once, perhaps over a connection that others use at the same time. It has no
    /// [`ExecuteContext`]: dropping the future stops the wait and nobody else's.
    LookUp,
    /// As [`LookUp`](Self::LookUp), for rows that go to a client of PostgreSQL's protocol unchanged.
    WireRows(Wanted<'a>),
}

/// How one execution is bounded and planned.
#[derive(Debug, Clone)]
pub struct ExecuteContext {
    /// Ends it early, with 57014.
    pub cancel: CancellationToken,
    /// When it ends with 57014 unless it is over; `None`: never.
    pub deadline: Option<Instant>,
    /// Rows per batch, at most.
    pub batch_rows: usize,
    /// What it reads of a moment that this source keeps. `None`: everything, as it is now.
    pub share: Option<SnapshotShare>,
    /// A setting of the source's planner for this execution alone: whatever comes of it, the next one on its connection is
    /// planned without.
    pub setting: Option<PlannerSetting>,
    /// Whether it finds rows by their key, for which one plan is as good as another whatever the values are.
    pub by_key: bool,
    /// Where a transaction that begins shows what it has stored. `None`: nothing of it is read past
    /// the driver.
    pub uncommitted: Option<Arc<Uncommitted>>,
    /// Who pays for what the execution holds beside its batches: rows that are read to change them, what a source has said that was
    /// not looked at. `None`: it is not charged.
    pub room: Option<Arc<dyn Room>>,
}

impl ExecuteContext {
    /// Charges bytes, for as long as the execution has its context.
    ///
    /// # Errors
    /// 53200: they have no room.
    pub fn charge(&self, bytes: usize) -> Result<()> {
        self.room.as_ref().map_or(Ok(()), |room| room.grow(bytes))
    }
}

impl Default for ExecuteContext {
    fn default() -> Self {
        Self {
            cancel: CancellationToken::new(),
            deadline: None,
            batch_rows: limits::BATCH_ROWS,
            share: None,
            setting: None,
            by_key: false,
            uncommitted: None,
            room: None,
        }
    }
}

/// How a client of PostgreSQL's protocol reads rows.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The type that it was told of each column.
    pub types: &'a [PgType],
    /// The form of all values.
    pub form: WireForm,
}

/// What a driver answers.
pub enum Answer {
    /// To [`Ask::Batches`].
    Batches(BatchStream),
    /// To [`Ask::LookUp`]: all its rows.
    Batch(RecordBatch),
    /// To [`Ask::WireRows`]: all its rows.
    WireRows(WireRows),
    /// To the forms of look-ups only. Nothing was changed by asking: the statement is to be run as [`Ask::Batches`].
    Declined(DeclineReason),
}

impl Answer {
    /// The batches that were asked for.
    ///
    /// # Errors
    /// XX000: the driver answered in another form.
    pub fn batches(self) -> Result<BatchStream> {
        match self {
            Self::Batches(batches) => Ok(batches),
            Self::Batch(_) | Self::WireRows(_) | Self::Declined(_) => Err(self.unexpected()),
        }
    }

    /// For a caller that asked for another form.
    #[must_use]
    pub fn unexpected(&self) -> Error {
        Error::internal(format!("a driver answered with {self:?} to another question"))
    }
}

impl fmt::Debug for Answer {
    /// The form only: rows stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batches(_) => f.write_str("Batches"),
            Self::Batch(_) => f.write_str("Batch"),
            Self::WireRows(_) => f.write_str("WireRows"),
            Self::Declined(reason) => f.debug_tuple("Declined").field(reason).finish(),
        }
    }
}

/// What a look-up finds, or why the statement is not run as one.
pub type LookUp<T> = std::result::Result<T, DeclineReason>;

/// Why a statement is not run as a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclineReason {
    /// The driver runs none.
    Unsupported,
    /// No key of one table finds the rows, or the statement does more with them than a look-up may.
    NoKey,
    /// A column is not the source's own, as it is and in its place.
    ComputedColumn,
    /// The values are not of the types that the statement was compiled for.
    ValueTypes,
    /// The source cannot be given the values with equal results.
    Values,
    /// A list of values is planned anew for each run.
    ValueList,
    /// The pool has too few connections to share any.
    SmallPool,
    /// Its text is too long to be kept prepared.
    LongText,
    /// It was slow or could not be answered a short time ago.
    SetApart,
    /// No shared connection took it: none is open yet, all are full, or the values are too large.
    NoRoom,
    /// It, or its columns, must be read first to be known: some values cannot go to the client unchanged.
    ReadFirst,
    /// The shared connection ended, or gave the statement up.
    GivenUp,
}

impl DeclineReason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::Unsupported,
        Self::NoKey,
        Self::ComputedColumn,
        Self::ValueTypes,
        Self::Values,
        Self::ValueList,
        Self::SmallPool,
        Self::LongText,
        Self::SetApart,
        Self::NoRoom,
        Self::ReadFirst,
        Self::GivenUp,
    ];

    /// For people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unsupported => "the source runs no look-ups",
            Self::NoKey => "no key of one table finds its rows",
            Self::ComputedColumn => "a column is computed, cast or moved",
            Self::ValueTypes => "the values are of other types than the statement's",
            Self::Values => "the source cannot be given the values with equal results",
            Self::ValueList => "a list of values is planned anew for each run",
            Self::SmallPool => "the source's pool is too small to share a connection",
            Self::LongText => "the statement is too long to be kept prepared",
            Self::SetApart => "the statement was slow or too large on a shared connection a short time ago",
            Self::NoRoom => "no shared connection had room",
            Self::ReadFirst => "some values must be read before they can be printed",
            Self::GivenUp => "the shared connection gave it up",
        }
    }
}

impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_a_text_of_its_own() {
        let texts: BTreeSet<_> = DeclineReason::ALL.into_iter().map(DeclineReason::text).collect();
        assert_eq!(texts.len(), DeclineReason::ALL.len());
    }

    #[test]
    fn an_answer_in_another_form_is_an_error() {
        let declined = Answer::Declined(DeclineReason::NoRoom);
        assert!(declined.batches().is_err_and(|error| error.code().sqlstate() == "XX000"));
        assert!(Answer::WireRows(WireRows::default()).batches().is_err());
    }
}
