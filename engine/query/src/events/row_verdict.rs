//! One change of a transaction, judged for one who follows. A row that he may see before and after was updated; one that he may see
//! only afterwards has appeared, and one that he may not see any more is gone, whatever was done to it.

use super::filter_outcome::{FilterOutcome, filter_outcome};
use super::raw_rows::{RawRows, RawSide};
use super::view::{KeyText, Print, View};
use crate::write::values::rows::json;
use querygate_catalog::VisibleObject;
use querygate_query_api::requests::events::EventOperation;
use querygate_query_api::requests::question::ObjectDescription;
use querygate_types::{Error, Result};
use serde_json::Value;

/// What a follower is given of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowEvent {
    pub(crate) operation: EventOperation,
    pub(crate) key: KeyText,
    pub(crate) changed: Option<Vec<String>>,
    pub(crate) record: Option<String>,
}

/// What is said of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RowVerdict {
    /// The follower is not to hear of it.
    Hidden,
    Shown(RowEvent),
    /// Whether he sees it now is to be asked of its object. `found`: what he hears where he does, with the record that is found.
    /// `missing`: what he hears where he does not. The values of its key, raw.
    Reread {
        found: EventOperation,
        missing: Option<RowEvent>,
        key: Vec<(String, Value)>,
    },
}

impl RowVerdict {
    /// What it takes, as it is estimated.
    pub(crate) fn bytes(&self) -> usize {
        let of_event = |event: &RowEvent| {
            let changed = event.changed.iter().flatten().map(|name| name.len() + size_of::<String>()).sum::<usize>();
            event.key.len() + event.record.as_ref().map_or(0, String::len) + changed
        };
        let own = match self {
            Self::Hidden => 0,
            Self::Shown(event) => of_event(event),
            Self::Reread { missing, key, .. } => {
                missing.as_ref().map_or(0, of_event)
                    + key.iter().map(|(name, value)| name.len() + size_of_val(value) + text_bytes(value)).sum::<usize>()
            }
        };
        size_of::<Self>() + own
    }
}

fn text_bytes(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

/// Whether a follower sees each row before and after a change.
pub(crate) type Seen = Vec<(FilterOutcome, FilterOutcome)>;

/// Tests each row of a change by the follower's row policy. `None`: he is to hear of none, which is what most changes are to most followers.
///
/// # Errors
/// A value that cannot be judged: nothing of the change is published.
pub(crate) fn seen_rows(visible: &VisibleObject, raw: &RawRows) -> Result<Option<Seen>> {
    if visible.decision.unusable_rule().is_some() || !visible.decision.is_allowed() {
        return Ok(None);
    }
    let filter = visible.decision.row_filter();
    // Where there is no row on one side of the change, he does not see it there.
    let stands = |side: &Option<RawSide>, row: usize| match side.as_ref().and_then(|side| side.records.get(row)) {
        Some(record) => filter_outcome(filter, record),
        None => Ok(FilterOutcome::Fails),
    };
    let outcomes = (0..raw.rows()).map(|row| Ok::<_, Error>((stands(&raw.before, row)?, stands(&raw.after, row)?)));
    let seen = outcomes.collect::<Result<Seen>>()?;
    Ok(seen.iter().any(|seen| !is_hidden(*seen)).then_some(seen))
}

/// Whether a follower who sees a row so does not hear of it.
fn is_hidden((before, after): (FilterOutcome, FilterOutcome)) -> bool {
    after == FilterOutcome::Fails && before != FilterOutcome::Passes
}

/// Judges each row of a change.
///
/// # Errors
/// A value that cannot be printed: nothing of the change is published.
pub(crate) fn row_verdicts(
    visible: &VisibleObject,
    description: &ObjectDescription,
    raw: &RawRows,
    seen: &[(FilterOutcome, FilterOutcome)],
    print: Print,
) -> Result<Vec<RowVerdict>> {
    let side = |side: &Option<RawSide>| {
        side.as_ref().map(|side| View::of(visible, description, &raw.key, &side.batch)).transpose()
    };
    let judging = Judging { raw, print, before: side(&raw.before)?, after: side(&raw.after)? };
    seen.iter().enumerate().map(|(row, seen)| judging.row(row, *seen)).collect()
}

struct Judging<'a> {
    raw: &'a RawRows,
    print: Print,
    before: Option<View>,
    after: Option<View>,
}

impl Judging<'_> {
    fn row(&self, row: usize, (before, after): (FilterOutcome, FilterOutcome)) -> Result<RowVerdict> {
        Ok(match (before, after) {
            (FilterOutcome::Fails | FilterOutcome::Unknown, FilterOutcome::Fails) => RowVerdict::Hidden,
            (FilterOutcome::Passes, FilterOutcome::Fails) => RowVerdict::Shown(self.gone(row)?),
            (FilterOutcome::Fails, FilterOutcome::Passes) => self.there(row, EventOperation::Insert, None)?,
            // Whether he saw it before is not known: he hears what it is, and not what is new of it.
            (FilterOutcome::Unknown, FilterOutcome::Passes) => match self.changed(row) {
                Some(changed) if changed.is_empty() => RowVerdict::Hidden,
                Some(_) | None => self.there(row, EventOperation::Update, None)?,
            },
            (FilterOutcome::Passes, FilterOutcome::Passes) => match self.changed(row) {
                Some(changed) if changed.is_empty() => RowVerdict::Hidden,
                changed => self.there(row, EventOperation::Update, changed)?,
            },
            (before, FilterOutcome::Unknown) => {
                let missing = (before == FilterOutcome::Passes).then(|| self.gone(row)).transpose()?;
                // What he sees of the row is as it was, and if he does not see it any more, other rows are why.
                if self.before.is_some() && self.changed(row).is_some_and(|changed| changed.is_empty()) {
                    return Ok(RowVerdict::Hidden);
                }
                let found = match before {
                    FilterOutcome::Fails => EventOperation::Insert,
                    FilterOutcome::Passes | FilterOutcome::Unknown => EventOperation::Update,
                };
                RowVerdict::Reread { found, missing, key: self.raw_key(row)? }
            }
        })
    }

    fn there(&self, row: usize, operation: EventOperation, changed: Option<Vec<String>>) -> Result<RowVerdict> {
        let Some(view) = &self.after else { return Ok(RowVerdict::Hidden) };
        let (key, record) = (view.key(self.print, row)?, Some(view.record(self.print, row)?));
        Ok(RowVerdict::Shown(RowEvent { operation, key, changed, record }))
    }

    fn gone(&self, row: usize) -> Result<RowEvent> {
        let view = self.before.as_ref().ok_or_else(|| Error::internal("a row that was not there is gone"))?;
        let key = view.key(self.print, row)?;
        Ok(RowEvent { operation: EventOperation::Delete, key, changed: None, record: None })
    }

    /// Fields that the follower sees and that are others than before; `None`: there is no before.
    fn changed(&self, row: usize) -> Option<Vec<String>> {
        let (before, after) = self.before.as_ref().zip(self.after.as_ref())?;
        Some(after.changed(row, before))
    }

    fn raw_key(&self, row: usize) -> Result<Vec<(String, Value)>> {
        let Some(RawSide { batch, .. }) = &self.raw.after else { return Ok(Vec::new()) };
        let value = |name: &String| {
            let values = batch.column_by_name(name).ok_or_else(|| Error::internal("a changed row lacks its key"))?;
            Ok((name.clone(), json(values, row)?))
        };
        self.raw.key.iter().map(value).collect()
    }
}
