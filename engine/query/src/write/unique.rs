//! Values that the metadata wants unique and the source does not keep so: looked for among all rows, once they are stored.

use super::lock::read;
use super::target::closed;
use crate::write::values::rows::Row;
use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use querygate_catalog::write::WriteTarget;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_policy::RowFilter;
use querygate_policy::rules::{ObjectRules, UniqueGroup, Violation};
use querygate_types::vendor::VendorFact;
use querygate_types::{Error, Result};
use std::collections::{BTreeSet, HashMap};

/// The places of fields that these records, each with the one before it, hold anew and that the source does not keep unique, with what
/// is wrong where they are not.
///
/// # Errors
/// 0A000: the source lacks one of them.
pub(in crate::write) fn unkept<'r>(
    table: &WriteTarget,
    rules: &ObjectRules,
    records: impl Iterator<Item = (&'r Row, Option<&'r Row>)>,
) -> Result<Vec<(Vec<usize>, Violation)>> {
    let mut uniques: Vec<(Vec<usize>, Violation)> = Vec::new();
    for (record, previous) in records {
        for check in rules.unique_checks(record, previous) {
            let places = places(table, check.group)?;
            let is_kept = check.group.organization.is_none() && table.keeps_unique(&check.group.fields);
            if !is_kept && uniques.iter().all(|(known, _)| *known != places) {
                uniques.push((places, check.violation()));
            }
        }
    }
    Ok(uniques)
}

fn places(table: &WriteTarget, group: &UniqueGroup) -> Result<Vec<usize>> {
    let place = |name: &String| table.place(name).ok_or_else(|| closed("the source lacks a column that is unique"));
    group.fields.iter().chain(&group.organization).map(place).collect()
}

/// Whether no two rows of the table have the values that one of these has there. A NULL among them is like no other.
pub(in crate::write) async fn is_unique(
    table: &WriteTarget,
    places: &[usize],
    stored: &RecordBatch,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<bool> {
    let values = (0..stored.num_rows()).map(|row| table.values(stored, row, places));
    let values = values.collect::<Result<Vec<_>>>()?;
    let mut times: HashMap<Vec<ScalarValue>, usize> = HashMap::new();
    for some in values.chunks(table.rows_at_once(places.len())) {
        for batch in read(&table.having(places, some, &RowFilter::All)?, transaction, context).await? {
            for row in 0..batch.num_rows() {
                let value = |place: &usize| {
                    let array = batch.columns().get(*place).ok_or_else(|| Error::internal("rows of another table"))?;
                    ScalarValue::try_from_array(array, row).map_err(Error::internal)
                };
                let found = places.iter().map(value).collect::<Result<Vec<_>>>()?;
                let before = times.entry(found).or_default();
                *before += 1;
            }
        }
    }
    // The organization may be NULL, which is one organization, too; it comes last.
    let counts = |found: &Vec<ScalarValue>| found.first().is_some_and(|first| !first.is_null());
    Ok(times.iter().all(|(found, times)| *times <= 1 || !counts(found)))
}

/// The error of a value that another record has, with what ObjectStack says of it. Which field it is, stands there where the whole store keeps
/// it unique.
pub(in crate::write) fn duplicate(error: Error, object: &str, field: Option<&str>, hidden: &BTreeSet<String>) -> Error {
    let field = field.filter(|field| !hidden.contains(*field));
    let held = match field {
        Some(field) => format!("a unique constraint on '{field}' already holds this value"),
        None => "a unique constraint already holds these values".to_owned(),
    };
    let error = error.with_vendor_fact(
        VendorFact::DeveloperMessage,
        format!("Duplicate record refused on '{object}': {held}. No record was written."),
    );
    match field {
        Some(field) => error.with_vendor_fact(VendorFact::Field, field),
        None => error,
    }
}
