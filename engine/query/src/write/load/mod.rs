//! New rows that a source may be given in its fastest way, without a look at what it has stored: those of which columns alone tell that
//! nothing refuses or changes them. Where that is not sure of one row, all rows of its batch take the steps of other changes, which is
//! where errors are made. So both ways store and refuse the same.

mod columns;
mod judgement;

use super::check::passes;
use super::follow::Masters;
use super::hooks::MadeRow;
use super::image::{Beside, payload, places, record};
use super::lock::new_rows;
use super::store::{Assigned, RowsToStore, Storing};
use super::target::Targeted;
use crate::write::values::rows::{Row, json, scalar};
use arrow::array::{ArrayRef, RecordBatch};
use columns::keeps;
use judgement::{is_by_columns, is_stored_alike};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::{Alterations, ChangeOp, Transaction};
use querygate_policy::rules::{ColumnContracts, ReferredRecords};
use querygate_policy::write::OwnerRule;
use querygate_types::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A change whose rows may be loaded, which only [`Loads::of`] says: nothing but their own columns has a say in them. What is said of the
/// statement is said of each of its batches.
#[derive(Debug)]
pub(crate) struct Loads<'t> {
    targeted: &'t Arc<Targeted>,
    contracts: ColumnContracts<'t>,
    /// Fields that CHECK and validations look at.
    read: BTreeSet<&'t str>,
}

/// Rows that may be stored as they are, which only [`Loads::rows`] makes.
#[derive(Debug)]
pub(crate) struct Loadable<'t> {
    targeted: &'t Targeted,
    /// Fields that are stored, as places of the table's, and their values.
    places: Vec<usize>,
    columns: Vec<ArrayRef>,
    count: usize,
}

impl<'t> Loads<'t> {
    /// `None`: the change's rows take the steps of other changes.
    pub(crate) fn of(targeted: &'t Arc<Targeted>) -> Option<Self> {
        if !targeted.only_stores() {
            return None;
        }
        let permit = targeted.permit();
        let mechanisms = targeted.following().mechanisms(permit)?;
        if !mechanisms.iter().all(|mechanism| is_by_columns(mechanism, targeted)) {
            return None;
        }
        let contracts = targeted.rules().by_columns(targeted.assigned(), targeted.stamps())?;
        let read = permit.check().columns().into_iter().chain(contracts.reads()).collect();
        Some(Self { targeted, contracts, read })
    }

    /// The rows of a batch, where each of them would be stored as it is. `None`: one may not, or that is not sure.
    pub(crate) fn rows(&self, found: &RecordBatch, alterations: &Alterations) -> Option<Loadable<'t>> {
        if found.num_rows() == 0 {
            return None;
        }
        let targeted = self.targeted;
        let given = new_rows(targeted, found).ok()??;
        if !self.contracts.contracts().iter().zip(&given).all(|(contract, values)| keeps(contract, values)) {
            return None;
        }
        // What no row is given is the same in all of them, so that the first one's evaluation tells it.
        let first = payload(targeted, &given, 0).ok()?;
        let (masters, referred) = (Masters::default(), ReferredRecords::default());
        let beside = Beside { masters: &masters, referred: &referred };
        let outcome = record(targeted, None, &MadeRow::from(first), beside).ok()?;
        let places = places(targeted, std::slice::from_ref(&outcome.record), std::slice::from_ref(&outcome.given));
        if places.is_empty() || !is_stored_alike(targeted, &places, alterations) {
            return None;
        }
        if !self.each_passes(&given, &outcome.record) {
            return None;
        }
        let columns = places.iter().map(|place| column(targeted, *place, &given, &outcome.record, found.num_rows()));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        Some(Loadable { targeted, places, columns, count: found.num_rows() })
    }

    /// Whether each row passes CHECK and the validations, and is such as the permit admits. Only what these look at is made a record.
    fn each_passes(&self, given: &[ArrayRef], first: &Row) -> bool {
        let (targeted, read) = (self.targeted, &self.read);
        let (permit, assigned) = (targeted.permit(), targeted.assigned());
        let owner = match permit.owner() {
            OwnerRule::Free => None,
            OwnerRule::Guarded { field, me: _ } => Some(field),
        };
        let admitted = |name: &String| permit.masks().contains_key(name) || owner == Some(name);
        let places = |is_read: &dyn Fn(&String) -> bool| -> Vec<(&String, &ArrayRef)> {
            assigned.iter().zip(given).filter(|(name, _)| is_read(name)).collect()
        };
        let of_record = places(&|name| read.contains(name.as_str()));
        let of_payload = places(&admitted);
        let mut record: Row = first
            .iter()
            .filter(|(name, _)| read.contains(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut payload = Row::new();
        let rows = if of_record.is_empty() && of_payload.is_empty() {
            1
        } else {
            given.first().map_or(1, |values| values.len())
        };
        (0..rows).all(|row| {
            let is_read = fill(&mut record, &of_record, row) && fill(&mut payload, &of_payload, row);
            is_read
                && permit.admit(None, &payload).is_ok()
                && self.contracts.passes(&record, targeted.principal(), targeted.now_ms())
                && passes(permit.check(), &record).is_ok_and(|passes| passes)
        })
    }
}

impl Loadable<'_> {
    /// Stores the rows.
    ///
    /// # Errors
    /// The source's: one that is about a row does not say which.
    pub(crate) async fn load(self, transaction: &mut Transaction, context: &ExecuteContext) -> Result<usize> {
        let (table, permit) = (self.targeted.table(), self.targeted.permit());
        let change = self.targeted.native().change(table, permit, ChangeOp::Insert, &self.places)?;
        let assigned = Assigned { places: &self.places, columns: &self.columns };
        let rows = RowsToStore { locked: None, assigned, count: self.count };
        let loaded = Storing { table, change: &change, rows }.load(transaction, context).await?;
        if usize::try_from(loaded).ok() != Some(self.count) {
            return Err(Error::internal("a source has loaded other rows than it was given"));
        }
        Ok(self.count)
    }
}

/// The values of one stored field: the statement's, or what every row gets.
fn column(targeted: &Targeted, place: usize, given: &[ArrayRef], first: &Row, count: usize) -> Option<ArrayRef> {
    let field = targeted.table().fields().get(place)?;
    if let Some(at) = targeted.assigned().iter().position(|name| *name == field.name) {
        return given.get(at).map(Arc::clone);
    }
    let value = first.get(&field.name).unwrap_or(&serde_json::Value::Null);
    scalar(value, &field.value_type().to_arrow()).ok()?.to_array_of_size(count).ok()
}

/// Puts the values of a row into a record that had those of another.
fn fill(record: &mut Row, columns: &[(&String, &ArrayRef)], row: usize) -> bool {
    columns.iter().all(|(name, values)| {
        let Ok(value) = json(values, row) else { return false };
        match record.get_mut(name.as_str()) {
            Some(known) => *known = value,
            None => drop(record.insert((*name).clone(), value)),
        }
        true
    })
}

#[cfg(test)]
mod tests;
