//! The last questions before rows are changed: CHECK on the rows as they are to be stored, dependents of rows that go.

use super::follow::Taken;
use super::image::Imaged;
use super::target::{Targeted, closed};
use super::unique::unkept;
use crate::write::values::rows::Row;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_policy::filter::{RowFilter, RowLookup, Test};
use querygate_policy::write::{Refusal, WriteOperation};
use querygate_types::{Error, Result};

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
                for record in imaged.records() {
                    if !passes(targeted.permit().check(), record)? {
                        return Err(outside(targeted));
                    }
                }
                let records = imaged.records().iter().enumerate();
                let records = records.map(|(row, record)| (record, imaged.previous().get(row)));
                for (places, violation) in unkept(targeted.table(), targeted.rules(), records)? {
                    let error = targeted.refusal(&[violation]);
                    uniques.push((places, error.ok_or_else(|| Error::internal("a violation without an error"))?));
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
    Error::from(Refusal::outside()).with_message(text)
}

/// Whether a record passes a filter. What asks for other rows is left to the source, which judges the stored row.
pub(super) fn passes(filter: &RowFilter, record: &Row) -> Result<bool> {
    if is_related(filter) {
        return Ok(true);
    }
    filter.evaluate(record, &NoRows)
}

/// No other rows are asked for.
pub(super) struct NoRows;

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
            | Test::ListContains { .. }
            | Test::HasElements { .. },
        ) => false,
    }
}
