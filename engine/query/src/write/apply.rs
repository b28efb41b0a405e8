//! Checked rows given to their source, and CHECK once more on what it has stored: triggers, defaults and generated columns of the
//! source come after us.

use super::check::{Checked, is_related, outside, passes};
use super::follow::{Changed, Masters, draw, retire, roll_up};
use super::hooks::{HookRow, Hooks, shown};
use super::image::Imaged;
use super::intent::unsupported;
use super::lock::{Locked, locked, read};
use super::store::{Assigned, RowsToStore, Storing, keep, operation};
use super::target::Targeted;
use super::unique::is_unique;
use crate::write::forms::record::GivenRecord;
use crate::write::values::rows::records;
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::Schema;
use querygate_catalog::write::{LockedRead, WriteTarget};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::Transaction;
use querygate_policy::RowFilter;
use querygate_policy::rules::Dropped;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// What a change did. Nothing of it holds before its transaction is committed.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) count: usize,
    /// All fields of each row as it is stored; of deleted rows, as they were.
    pub(crate) stored: RecordBatch,
    /// Values of a caller that were left out.
    pub(crate) dropped: Vec<Dropped>,
}

/// What came of a change that nothing refused.
#[derive(Debug)]
pub(crate) enum Attempt {
    Applied(Applied),
    /// A number that another writer takes at the same time may be why the source refused it, with this error. The statement may begin
    /// anew, where the transaction can.
    Raced(Error),
}

impl Attempt {
    /// # Errors
    /// The source's, where another writer may have taken a number.
    pub(super) fn applied(self) -> Result<Applied> {
        match self {
            Self::Applied(applied) => Ok(applied),
            Self::Raced(error) => Err(error),
        }
    }
}

impl Applied {
    /// Carries out a change of locked rows.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub(super) async fn of(locked: Locked, transaction: &mut Transaction, context: &ExecuteContext) -> Result<Attempt> {
        let masters = Masters::of(&locked, transaction, context).await?;
        let imaged = Imaged::of(locked, &masters, transaction, context).await?;
        let checked = Checked::of(imaged, transaction, context).await?;
        checked.apply(transaction, context).await
    }

    /// Of no row.
    pub(super) fn none() -> Self {
        Self { count: 0, stored: RecordBatch::new_empty(Arc::new(Schema::empty())), dropped: Vec::new() }
    }
}

impl Checked {
    /// Applies the change, and looks at what is stored.
    ///
    /// # Errors
    /// The source's; 40001: other rows were met than were locked; 42501, 23505: what is stored is not what was checked.
    pub(crate) async fn apply(self, transaction: &mut Transaction, context: &ExecuteContext) -> Result<Attempt> {
        let imaged = self.imaged();
        let targeted = Arc::clone(imaged.targeted());
        let count = imaged.locked().count();
        let mut changed = match self.taken() {
            Some(taken) => taken.apply(&targeted, transaction, context).await?,
            None => Vec::new(),
        };
        let (mut places, mut columns) = (imaged.places().to_vec(), imaged.columns().to_vec());
        let mut drawn = draw(&targeted, imaged.records(), transaction, context).await?;
        for (place, numbers) in std::mem::take(&mut drawn.columns) {
            places.push(place);
            columns.push(numbers);
        }
        if targeted.operation() == WriteOperation::Insert && places.is_empty() {
            let (place, nothing) = nothing(targeted.table(), count)?;
            places.push(place);
            columns.push(nothing);
        }
        if targeted.operation() == WriteOperation::Update && places.is_empty() {
            // Nothing but a key that stays as it is.
            let lost = || Error::internal("rows were changed that were not locked");
            let stored = imaged.locked().stored().ok_or_else(lost)?.clone();
            refuse_absent(&targeted)?;
            self.tell_hooks(&targeted, &stored, transaction, context).await?;
            return Ok(Attempt::Applied(Applied { count, stored, dropped: imaged.dropped().to_vec() }));
        }
        let with_lock =
            imaged.locked().changed().map(|changed| changed.holding(&places, &columns)).transpose()?.flatten();
        let (stored, found) = match with_lock {
            Some(stored) => {
                let rows = (imaged.locked().stored(), stored);
                keep(targeted.table(), operation(targeted.operation()), rows, transaction)?;
                (stored.clone(), Some(Found::of(&targeted, stored)?))
            }
            None => {
                let (table, op) = (targeted.table(), operation(targeted.operation()));
                let change = targeted.native().change(table, targeted.permit(), op, &places)?;
                let assigned = Assigned { places: &places, columns: &columns };
                let rows = RowsToStore { locked: imaged.locked().stored(), assigned, count };
                let storing = Storing { table, change: &change, rows };
                match stored(&targeted, storing, transaction, context).await {
                    Err(error) if error.code() == ErrorCode::UniqueViolation && drawn.may_be_taken(table) => {
                        return Ok(Attempt::Raced(error));
                    }
                    // A source that keeps references itself tells less of them than was found before.
                    Err(error) if error.code() == ErrorCode::ForeignKeyViolation => {
                        return Err(refuse_absent(&targeted).err().unwrap_or(error));
                    }
                    stored => stored?,
                }
            }
        };
        match targeted.operation() {
            WriteOperation::Delete => {
                if let Some(taken) = self.taken() {
                    taken.refuse_new_references(&targeted, &stored, transaction, context).await?;
                }
            }
            WriteOperation::Insert | WriteOperation::Update => {
                self.look(&targeted, &stored, found, transaction, context).await?;
                refuse_absent(&targeted)?;
            }
        }
        self.tell_hooks(&targeted, &stored, transaction, context).await?;
        changed.push(self.changed(&targeted, &stored)?);
        roll_up(&targeted, changed, transaction, context).await?;
        Ok(Attempt::Applied(Applied { count, stored, dropped: self.imaged().dropped().to_vec() }))
    }

    /// Runs the hooks after the change.
    async fn tell_hooks(
        &self,
        targeted: &Targeted,
        stored: &RecordBatch,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<()> {
        let Some(hooks) = Hooks::after(targeted) else { return Ok(()) };
        let (imaged, object) = (self.imaged(), &targeted.intent().object().object);
        let mut results = match targeted.operation() {
            WriteOperation::Delete => Vec::new(),
            WriteOperation::Insert | WriteOperation::Update => records(targeted.table().fields(), stored)?,
        }
        .into_iter();
        let rows = (0..imaged.locked().count()).map(|row| HookRow {
            input: imaged.inputs().get(row).cloned().unwrap_or_default(),
            previous: imaged.previous().get(row).map(|previous| shown(object, previous.clone())),
            result: results.next().map(|result| shown(object, result)),
            ..HookRow::default()
        });
        hooks.conclude(rows.collect(), transaction, context).await
    }

    /// The statement's own rows, before and after it.
    fn changed(&self, targeted: &Targeted, stored: &RecordBatch) -> Result<Changed> {
        let object = targeted.permit().object().to_owned();
        if targeted.rules().summary_parents().next().is_none() {
            return Ok(Changed { object, before: Vec::new(), after: Vec::new() });
        }
        let after = match targeted.operation() {
            WriteOperation::Delete => Vec::new(),
            WriteOperation::Insert | WriteOperation::Update => records(targeted.table().fields(), stored)?,
        };
        Ok(Changed { object, before: self.imaged().previous().to_vec(), after })
    }

    /// Whether what is stored passes: by the source's own judgement, which sees other rows, and by that of the records. `found`: what
    /// was asked of the source together with the change.
    async fn look(
        &self,
        targeted: &Targeted,
        stored: &RecordBatch,
        found: Option<Found>,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<()> {
        let table = targeted.table();
        let (check, readable) = (targeted.permit().check(), to_be_readable(targeted));
        // Where rows are only added, what is stored is what is given, and no other row decides: that was asked before.
        if !table.only_inserts() && judged(targeted, stored, found, transaction, context).await? != stored.num_rows() {
            return Err(outside(targeted));
        }
        for record in records(table.fields(), stored)? {
            let is_read = readable.map_or(Ok(true), |readable| passes(readable, &record))?;
            if !is_read || !passes(check, &record)? {
                return Err(outside(targeted));
            }
        }
        for (places, violation) in self.uniques() {
            is_unique(targeted.table(), places, stored, transaction, context)
                .await?
                .then_some(())
                .ok_or_else(|| violation.clone())?;
        }
        Ok(())
    }
}

/// Whether a record that is given as values refers to records that are there. What may be hidden is answered last, behind CHECK, which the
/// source judges of the stored row where other rows decide, and behind unique values.
fn refuse_absent(targeted: &Targeted) -> Result<()> {
    targeted.intent().record().map_or(Ok(()), GivenRecord::refuse_absent)
}

/// Stored rows with these keys that pass in their source.
struct Found {
    keys: Vec<Vec<Value>>,
    rows: RecordBatch,
}

impl Found {
    /// A row that was changed under CHECK.
    fn of(targeted: &Targeted, stored: &RecordBatch) -> Result<Self> {
        let table = targeted.table();
        let keys = (0..stored.num_rows()).map(|row| table.values(stored, row, table.key())).collect::<Result<_>>()?;
        Ok(Self { keys, rows: stored.clone() })
    }
}

/// Stores rows. Where their keys are known before, the source is asked in one go which of them pass then.
async fn stored(
    targeted: &Targeted,
    storing: Storing<'_>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<(RecordBatch, Option<Found>)> {
    let keys = match targeted.operation() {
        WriteOperation::Delete => {
            if let Some(rows) = storing.rows.locked {
                retire(targeted.table(), targeted.rules(), rows).await?;
            }
            None
        }
        WriteOperation::Insert | WriteOperation::Update => storing.keys()?,
    };
    let Some(keys) = keys else { return Ok((storing.store(transaction, context).await?, None)) };
    let read = stored_read(targeted, &keys)?;
    let (stored, rows) = storing.store_and_read(&read, transaction, context).await?;
    Ok((stored, Some(Found { keys, rows })))
}

/// How many of the stored rows their source lets pass.
async fn judged(
    targeted: &Targeted,
    stored: &RecordBatch,
    found: Option<Found>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<usize> {
    let table = targeted.table();
    let keys = (0..stored.num_rows()).map(|row| table.values(stored, row, table.key()));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    match found {
        Some(found) if found.keys == keys => Ok(found.rows.num_rows()),
        // The source made the keys, or others of them.
        Some(_) | None => match keys.as_slice() {
            [_] => {
                let batches = read(&stored_read(targeted, &keys)?, transaction, context).await?;
                Ok(batches.iter().map(RecordBatch::num_rows).sum())
            }
            _ => Ok(locked(targeted, &keys, &wanted(targeted), transaction, context).await?.num_rows()),
        },
    }
}

/// Which rows the writer must be able to read afterwards: rows that are given back must be such. It is judged where a SELECT judges it:
/// here, unless other rows decide.
fn to_be_readable(targeted: &Targeted) -> Option<&RowFilter> {
    targeted.intent().returning().map(|_| targeted.readable())
}

/// What stored rows must pass in their source.
fn wanted(targeted: &Targeted) -> RowFilter {
    let check = targeted.permit().check();
    match to_be_readable(targeted).filter(|readable| is_related(readable)) {
        Some(readable) => RowFilter::And(vec![check.clone(), readable.clone()]),
        None => check.clone(),
    }
}

/// The read of stored rows with these keys that pass.
fn stored_read(targeted: &Targeted, keys: &[Vec<Value>]) -> Result<LockedRead> {
    let table = targeted.table();
    let read = match keys {
        [key] => targeted.native().check(table, key, || wanted(targeted))?,
        _ => None,
    };
    read.map_or_else(|| table.having(table.key(), keys, &wanted(targeted)), Ok)
}

/// What rows are stored by that have no value.
///
/// # Errors
/// 0A000: the source would store another row.
fn nothing(table: &WriteTarget, count: usize) -> Result<(usize, ArrayRef)> {
    let place = table.empty_field().ok_or_else(|| unsupported("an INSERT of a row without a value"))?;
    let field = table.fields().get(place).ok_or_else(|| Error::internal("a field that is not the table's"))?;
    Ok((place, new_null_array(&field.value_type().to_arrow(), count)))
}

#[cfg(test)]
mod tests;
