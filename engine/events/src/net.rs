//! What a transaction comes to, row by row: a row that it changed twice was changed once for everybody else, and one that it made and
//! took away was never there.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::row::{RowConverter, SortField};
use querygate_driver_api::write::{ChangeOp, RowsChanged};
use querygate_types::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// A row of one of the batches.
type Place = (usize, usize);

/// One change for each object and operation; of an update, rows before and after are in one order.
///
/// # Errors
/// Internal: rows of one object have different columns.
pub(crate) fn net(changes: Vec<RowsChanged>) -> Result<Vec<RowsChanged>> {
    let mut objects: Vec<(Arc<str>, Vec<RowsChanged>)> = Vec::new();
    for change in changes {
        match objects.iter_mut().find(|(object, _)| *object == change.object) {
            Some((_, own)) => own.push(change),
            None => objects.push((Arc::clone(&change.object), vec![change])),
        }
    }
    let mut made = Vec::new();
    for (_, changes) in objects {
        let is_alone = match changes.as_slice() {
            [one] => one.operation != ChangeOp::Update,
            _ => false,
        };
        let is_unnamed = changes.iter().any(|change| change.key.is_empty());
        match (is_alone || is_unnamed, one_update(&changes)) {
            (true, _) | (false, Some(Difference::Some)) => made.extend(changes),
            (false, Some(Difference::None)) => {}
            (false, None) => made.extend(of_object(&changes)?),
        }
    }
    Ok(made)
}

/// Whether a row is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    Some,
    None,
}

/// What became of one row, which most transactions update: nothing is to be paired. `None`: there is more, or the row has another key.
fn one_update(changes: &[RowsChanged]) -> Option<Difference> {
    let [RowsChanged { key, before: Some(before), after: Some(after), .. }] = changes else { return None };
    let has_one = before.num_rows() == 1 && after.num_rows() == 1;
    let stays = |name: &String| {
        let (old, new) = (before.column_by_name(name), after.column_by_name(name));
        old.zip(new).is_some_and(|(old, new)| old == new)
    };
    if !has_one || !key.iter().all(stays) {
        return None;
    }
    Some(if before.columns() == after.columns() { Difference::None } else { Difference::Some })
}

fn of_object(changes: &[RowsChanged]) -> Result<Vec<RowsChanged>> {
    let Some(first) = changes.first() else { return Ok(Vec::new()) };
    let mut rows = Rows::default();
    for change in changes {
        if let Some(before) = &change.before {
            rows.add(before, &change.key, |row, place| {
                row.seen(Some(place));
                row.after = None;
            })?;
        }
        if let Some(after) = &change.after {
            rows.add(after, &change.key, |row, place| {
                row.seen(None);
                row.after = Some(place);
            })?;
        }
    }
    let mut made = Vec::new();
    for operation in [ChangeOp::Insert, ChangeOp::Update, ChangeOp::Delete] {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for row in &rows.rows {
            match (row.before.flatten(), row.after, operation) {
                (None, Some(new), ChangeOp::Insert) => after.push(new),
                (Some(old), Some(new), ChangeOp::Update) if !rows.are_equal(old, new) => {
                    before.push(old);
                    after.push(new);
                }
                (Some(old), None, ChangeOp::Delete) => before.push(old),
                (_, _, ChangeOp::Insert | ChangeOp::Update | ChangeOp::Delete) => {}
            }
        }
        if before.is_empty() && after.is_empty() {
            continue;
        }
        made.push(RowsChanged {
            object: Arc::clone(&first.object),
            operation,
            key: Arc::clone(&first.key),
            before: rows.batch(&before)?,
            after: rows.batch(&after)?,
        });
    }
    Ok(made)
}

/// A row by its key: as it was before the transaction, once that is known, and as it is.
#[derive(Debug, Default)]
struct Row {
    before: Option<Option<Place>>,
    after: Option<Place>,
}

impl Row {
    /// What it was when it was met first is what it was before.
    fn seen(&mut self, place: Option<Place>) {
        self.before.get_or_insert(place);
    }
}

#[derive(Debug, Default)]
struct Rows<'a> {
    batches: Vec<&'a RecordBatch>,
    converter: Option<RowConverter>,
    places: HashMap<Box<[u8]>, usize>,
    rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    fn add(&mut self, batch: &'a RecordBatch, key: &[String], mut meet: impl FnMut(&mut Row, Place)) -> Result<()> {
        let column = |name: &String| batch.column_by_name(name).map(Arc::clone);
        let keys: Option<Vec<ArrayRef>> = key.iter().map(column).collect();
        let keys = keys.ok_or_else(|| Error::internal("changed rows lack their key"))?;
        if self.converter.is_none() {
            let fields = keys.iter().map(|values| SortField::new(values.data_type().clone())).collect();
            self.converter = Some(RowConverter::new(fields).map_err(Error::internal)?);
        }
        let converter = self.converter.as_mut().ok_or_else(|| Error::internal("changed rows lack their key"))?;
        let keys = converter.convert_columns(&keys).map_err(Error::internal)?;
        let number = self.batches.len();
        self.batches.push(batch);
        for (at, key) in keys.iter().enumerate() {
            let rows = &mut self.rows;
            let place = *self.places.entry(key.as_ref().into()).or_insert_with(|| {
                rows.push(Row::default());
                rows.len() - 1
            });
            if let Some(row) = self.rows.get_mut(place) {
                meet(row, (number, at));
            }
        }
        Ok(())
    }

    fn are_equal(&self, (old, old_row): Place, (new, new_row): Place) -> bool {
        let (Some(old), Some(new)) = (self.batches.get(old), self.batches.get(new)) else { return false };
        old.num_columns() == new.num_columns() && old.slice(old_row, 1) == new.slice(new_row, 1)
    }

    fn batch(&self, places: &[Place]) -> Result<Option<RecordBatch>> {
        if places.is_empty() {
            return Ok(None);
        }
        interleave_record_batch(&self.batches, places).map(Some).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};

    fn batch(rows: &[(&str, i64)]) -> RecordBatch {
        let ids: ArrayRef = Arc::new(StringArray::from(rows.iter().map(|row| row.0).collect::<Vec<_>>()));
        let values: ArrayRef = Arc::new(Int64Array::from(rows.iter().map(|row| row.1).collect::<Vec<_>>()));
        RecordBatch::try_from_iter([("id", ids), ("n", values)]).unwrap()
    }

    fn change(operation: ChangeOp, before: &[(&str, i64)], after: &[(&str, i64)]) -> RowsChanged {
        let rows = |rows: &[(&str, i64)]| (!rows.is_empty()).then(|| batch(rows));
        RowsChanged {
            object: "thing".into(),
            operation,
            key: vec!["id".to_owned()].into(),
            before: rows(before),
            after: rows(after),
        }
    }

    fn told(changes: Vec<RowsChanged>) -> Vec<(ChangeOp, Option<RecordBatch>, Option<RecordBatch>)> {
        net(changes).unwrap().into_iter().map(|change| (change.operation, change.before, change.after)).collect()
    }

    #[test]
    fn a_row_is_told_once_as_the_transaction_leaves_it() {
        let insert = |rows| change(ChangeOp::Insert, &[], rows);
        let delete = |rows| change(ChangeOp::Delete, rows, &[]);
        let update = |old, new| change(ChangeOp::Update, old, new);
        // Made, changed: made. Made, taken away: never there. Taken away and made again: changed.
        assert_eq!(
            told(vec![insert(&[("a", 1), ("b", 1)]), update(&[("a", 1)], &[("a", 2)]), delete(&[("b", 1)])]),
            [(ChangeOp::Insert, None, Some(batch(&[("a", 2)])))]
        );
        assert_eq!(
            told(vec![update(&[("a", 1)], &[("a", 2)]), update(&[("a", 2)], &[("a", 3)])]),
            [(ChangeOp::Update, Some(batch(&[("a", 1)])), Some(batch(&[("a", 3)])))]
        );
        assert_eq!(
            told(vec![update(&[("a", 1)], &[("a", 2)]), delete(&[("a", 2)])]),
            [(ChangeOp::Delete, Some(batch(&[("a", 1)])), None)]
        );
        assert_eq!(
            told(vec![delete(&[("a", 1)]), insert(&[("a", 5)])]),
            [(ChangeOp::Update, Some(batch(&[("a", 1)])), Some(batch(&[("a", 5)])))]
        );
        assert_eq!(
            told(vec![update(&[("a", 1)], &[("a", 2)])]),
            [(ChangeOp::Update, Some(batch(&[("a", 1)])), Some(batch(&[("a", 2)])))]
        );
        assert!(told(vec![update(&[("a", 1)], &[("a", 1)])]).is_empty(), "it stays as it was");
        assert_eq!(told(vec![update(&[("a", 1)], &[("b", 1)])]).len(), 2, "another row");
        // There and back again is nothing.
        assert!(told(vec![update(&[("a", 1)], &[("a", 2)]), update(&[("a", 2)], &[("a", 1)])]).is_empty());
        assert!(told(vec![insert(&[("a", 1)]), delete(&[("a", 1)])]).is_empty());
    }

    #[test]
    fn rows_before_and_after_are_paired_by_key() {
        let made = told(vec![change(ChangeOp::Update, &[("a", 1), ("b", 2)], &[("b", 20), ("a", 10)])]);
        let expected = (ChangeOp::Update, Some(batch(&[("a", 1), ("b", 2)])), Some(batch(&[("a", 10), ("b", 20)])));
        assert_eq!(made, [expected]);
    }
}
