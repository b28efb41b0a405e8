//! The last questions before rows are changed: CHECK on the rows as they are to be stored, dependents of rows that go.

use super::follow::Taken;
use super::image::Imaged;
use super::target::{Targeted, closed};
use crate::write::values::rows::Row;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_policy::filter::{RowFilter, RowLookup, Test};
use querygate_policy::rules::UniqueGroup;
use querygate_policy::write::WriteOperation;
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};

/// Rows that may be stored as they are imaged, or deleted. Nothing else can be applied.
#[derive(Debug)]
pub(crate) struct Checked {
    imaged: Imaged,
    /// Fields that the metadata wants unique and the source does not keep so, with what is wrong where they are not.
    uniques: Vec<(Vec<usize>, Error)>,
    /// Of a delete, what it takes along.
    taken: Option<Taken>,
}

impl Checked {
    /// # Errors
    /// 42501: CHECK. 23503: rows that refer to one that is to be deleted forbid it; a record refers to one that is nowhere. 0A000: what follows of the change is not done here.
    pub(crate) async fn of(imaged: Imaged, transaction: &mut Transaction, context: &ExecuteContext) -> Result<Self> {
        let targeted = imaged.targeted();
        // The source has judged the same; where the two differ, nothing is changed.
        for previous in imaged.previous() {
            if !passes(targeted.permit().target(), previous)? {
                return Err(closed("source and gate differ in whether a rule lets a row be changed"));
            }
        }
        let (mut uniques, mut taken) = (Vec::new(), None);
        match targeted.operation() {
            WriteOperation::Delete => {
                if let Some(stored) = imaged.locked().stored() {
                    taken = Some(Taken::with(targeted, stored, transaction, context).await?);
                }
            }
            WriteOperation::Insert | WriteOperation::Update => {
                for (row, record) in imaged.records().iter().enumerate() {
                    let previous = imaged.previous().get(row);
                    if !passes(targeted.permit().check(), record)? {
                        return Err(outside(targeted));
                    }
                    for check in targeted.rules().unique_checks(record, previous) {
                        let places = unique_places(targeted, check.group)?;
                        let is_new = uniques.iter().all(|(known, _)| *known != places);
                        if is_new
                            && !(check.group.organization.is_none()
                                && targeted.table().keeps_unique(&check.group.fields))
                        {
                            let violation = targeted.refusal(&[check.violation()]);
                            uniques.push((
                                places,
                                violation.ok_or_else(|| Error::internal("a violation without an error"))?,
                            ));
                        }
                    }
                }
                if let Some(record) = targeted.intent().record() {
                    record.refuse_nowhere()?;
                }
            }
        }
        Ok(Self { imaged, uniques, taken })
    }

    pub(super) fn imaged(&self) -> &Imaged {
        &self.imaged
    }

    pub(super) fn taken(&self) -> Option<&Taken> {
        self.taken.as_ref()
    }

    pub(super) fn uniques(&self) -> &[(Vec<usize>, Error)] {
        &self.uniques
    }
}

/// The error of a row outside CHECK, one for all rules.
pub(super) fn outside(targeted: &Targeted) -> Error {
    let shown = &targeted.intent().object().sql_name;
    let text = format!("new row violates row-level security policy for table \"{shown}\"");
    Error::new(ErrorCode::InsufficientPrivilege, text).with_vendor_code(VendorCode::PermissionDenied)
}

fn unique_places(targeted: &Targeted, group: &UniqueGroup) -> Result<Vec<usize>> {
    let place =
        |name: &String| targeted.table().place(name).ok_or_else(|| closed("the source lacks a column that is unique"));
    group.fields.iter().chain(&group.organization).map(place).collect()
}

/// Whether a record passes a filter. What asks for other rows is left to the source, which judges the stored row.
pub(super) fn passes(filter: &RowFilter, record: &Row) -> Result<bool> {
    if is_related(filter) {
        return Ok(true);
    }
    filter.evaluate(record, &NoRows)
}

struct NoRows;

impl RowLookup for NoRows {
    fn rows_where(&self, _object: &str, _column: &str, _value: &str) -> Result<Vec<Row>> {
        Err(Error::internal("a check of one row asked for others"))
    }
}

pub(crate) fn is_related(filter: &RowFilter) -> bool {
    match filter {
        RowFilter::All | RowFilter::Nothing => false,
        RowFilter::Not(inner) => is_related(inner),
        RowFilter::And(all) | RowFilter::Or(all) => all.iter().any(is_related),
        RowFilter::Test(Test::InRelated { .. }) => true,
        RowFilter::Test(
            Test::Compare { .. }
            | Test::CompareColumns { .. }
            | Test::In { .. }
            | Test::IsNull { .. }
            | Test::Text { .. }
            | Test::ListContains { .. },
        ) => false,
    }
}
