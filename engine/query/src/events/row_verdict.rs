//! One change of a transaction, judged for one who follows. A row that he may see before and after was updated; one that he may see
//! only afterwards has appeared, and one that he may not see any more is gone, whatever was done to it.

use super::filter_outcome::{FilterOutcome, filter_outcome};
use super::view::{KeyText, Print, View, aligned};
use crate::write::values::rows::json;
use arrow::array::RecordBatch;
use querygate_catalog::VisibleObject;
use querygate_driver_api::write::RowsChanged;
use querygate_query_api::requests::events::EventOperation;
use querygate_query_api::requests::question::ObjectDescription;
use querygate_types::{Error, Result};
use serde_json::{Map, Value};

/// What a follower is given of a row.
#[derive(Debug, PartialEq, Eq)]
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

/// Judges each row of a change.
///
/// # Errors
/// A value that cannot be judged or printed: nothing of the change is published.
pub(crate) fn row_verdicts(
    visible: &VisibleObject,
    description: &ObjectDescription,
    raw_schema: &arrow::datatypes::SchemaRef,
    change: &RowsChanged,
    print: Print,
) -> Result<Vec<RowVerdict>> {
    if visible.decision.unusable_rule().is_some() || !visible.decision.is_allowed() {
        return Ok(Vec::new());
    }
    let side = |rows: Option<&RecordBatch>| {
        let raw = rows.map(|rows| aligned(rows, raw_schema)).transpose()?;
        let view = raw.as_ref().map(|raw| View::of(visible, description, &change.key, raw)).transpose()?;
        Ok::<_, Error>(raw.zip(view))
    };
    let judging = Judging {
        visible,
        key: &change.key,
        print,
        before: side(change.before.as_ref())?,
        after: side(change.after.as_ref())?,
    };
    let rows = judging.after.as_ref().or(judging.before.as_ref()).map_or(0, |(raw, _)| raw.num_rows());
    (0..rows).map(|row| judging.row(row)).collect()
}

type Side = Option<(RecordBatch, View)>;

struct Judging<'a> {
    visible: &'a VisibleObject,
    key: &'a [String],
    print: Print,
    before: Side,
    after: Side,
}

impl Judging<'_> {
    fn row(&self, row: usize) -> Result<RowVerdict> {
        let (before, after) = (self.stands(self.before.as_ref(), row)?, self.stands(self.after.as_ref(), row)?);
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

    /// Whether the follower sees the row on one side of the change. Where there is none, he does not.
    fn stands(&self, side: Option<&(RecordBatch, View)>, row: usize) -> Result<FilterOutcome> {
        let Some((raw, _)) = side else { return Ok(FilterOutcome::Fails) };
        filter_outcome(self.visible.decision.row_filter(), &record(raw, row)?)
    }

    fn there(&self, row: usize, operation: EventOperation, changed: Option<Vec<String>>) -> Result<RowVerdict> {
        let Some((_, view)) = &self.after else { return Ok(RowVerdict::Hidden) };
        let (key, record) = (view.key(self.print, row)?, Some(view.record(self.print, row)?));
        Ok(RowVerdict::Shown(RowEvent { operation, key, changed, record }))
    }

    fn gone(&self, row: usize) -> Result<RowEvent> {
        let (_, view) = self.before.as_ref().ok_or_else(|| Error::internal("a row that was not there is gone"))?;
        let key = view.key(self.print, row)?;
        Ok(RowEvent { operation: EventOperation::Delete, key, changed: None, record: None })
    }

    /// Fields that the follower sees and that are others than before; `None`: there is no before.
    fn changed(&self, row: usize) -> Option<Vec<String>> {
        let ((_, before), (_, after)) = self.before.as_ref().zip(self.after.as_ref())?;
        Some(after.changed(row, before))
    }

    fn raw_key(&self, row: usize) -> Result<Vec<(String, Value)>> {
        let Some((raw, _)) = &self.after else { return Ok(Vec::new()) };
        let value = |name: &String| {
            let values = raw.column_by_name(name).ok_or_else(|| Error::internal("a changed row lacks its key"))?;
            Ok((name.clone(), json(values, row)?))
        };
        self.key.iter().map(value).collect()
    }
}

/// A raw row as policies look at it.
fn record(raw: &RecordBatch, row: usize) -> Result<Map<String, Value>> {
    let schema = raw.schema_ref();
    let fields = schema.fields().iter().zip(raw.columns());
    fields.map(|(field, values)| Ok((field.name().clone(), json(values, row)?))).collect()
}
